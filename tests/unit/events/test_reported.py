"""What devices say of their own outboxes, added up per org and forgotten with age."""

from __future__ import annotations

import random

import pytest

from holdfast.core.clock import ManualClock
from holdfast.events import reported
from holdfast.events.reported import FORGET_S, NOBODY, Reported, ReportedQueues


def test_devices_with_a_backlog_are_counted_per_org_with_its_sum_and_the_longest_lag(
    clock: ManualClock,
) -> None:
    queues = ReportedQueues(clock)
    queues.note("tide", "ada", "a", "3", "1500")
    queues.note("tide", "ada", "b", "4", "200")
    queues.note("tide", "ada", "c", "0", "9999")
    queues.note("high", "cleo", "a", "7", "2500")
    assert queues.of("tide") == Reported(2, 7, 1500)
    assert queues.of("high") == Reported(1, 7, 2500)
    assert queues.of(None) == Reported(3, 14, 2500)
    assert queues.of("nobody") == Reported(0, 0, 0)


def test_a_device_s_last_word_counts(clock: ManualClock) -> None:
    queues = ReportedQueues(clock)
    queues.note("tide", "ada", "a", "30", "1500")
    queues.note("tide", "ada", "a", "2", None)
    assert queues.of("tide") == Reported(1, 2, 0)
    queues.note("tide", "ada", "a", "0", "1")
    assert queues.of("tide") == Reported(0, 0, 0)


def test_a_device_whose_last_events_were_just_answered_for_holds_none(clock: ManualClock) -> None:
    queues = ReportedQueues(clock)
    queues.note("tide", "ada", "a", "3", "1500")
    queues.took("tide", "ada", "a", 2)
    assert queues.of("tide") == Reported(1, 3, 1500)
    queues.took("tide", "ada", "a", 3)
    queues.took("tide", "ada", "never heard of", 3)
    assert queues.of("tide") == NOBODY
    assert queues.last("tide", "ada", "a") == (0, 0)


def test_a_word_of_ten_minutes_ago_says_nothing_about_now(clock: ManualClock) -> None:
    queues = ReportedQueues(clock)
    queues.note("tide", "ada", "a", "3", "10")
    clock.advance(FORGET_S)
    queues.note("tide", "ada", "b", "1", "1")
    assert queues.of("tide") == Reported(2, 4, 10)
    clock.advance(0.1)
    assert queues.of("tide") == Reported(1, 1, 1)


@pytest.mark.parametrize("backlog", [None, "", "-1", "1.5", "many", " 3", "1e3", "1234567890123"])
def test_what_is_no_number_is_not_heard_and_leaves_what_was_said_before(
    clock: ManualClock, backlog: str | None
) -> None:
    queues = ReportedQueues(clock)
    queues.note("tide", "ada", "a", "3", "10")
    queues.note("tide", "ada", "a", backlog, "99")
    assert queues.of("tide") == Reported(1, 3, 10)


@pytest.mark.parametrize("lag", [None, "", "-1", "soon", "9" * 13])
def test_a_lag_that_is_no_number_counts_as_none(clock: ManualClock, lag: str | None) -> None:
    queues = ReportedQueues(clock)
    queues.note("tide", "ada", "a", "3", lag)
    assert queues.of("tide") == Reported(1, 3, 0)


@pytest.mark.parametrize("digits", ["²", "①", "٣"])
def test_a_digit_of_any_script_does_no_harm(clock: ManualClock, digits: str) -> None:
    queues = ReportedQueues(clock)
    queues.note("tide", "ada", "a", digits, digits)
    assert queues.of("tide").backlog in {0, 3}


def test_beyond_its_size_the_device_heard_longest_ago_is_forgotten(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reported, "MOST", 3)
    queues = ReportedQueues(clock)
    for device in ("a", "b", "c"):
        queues.note("tide", "ada", device, "1", None)
    queues.note("tide", "ada", "a", "1", None)
    queues.note("tide", "ada", "d", "10", None)
    assert queues.of("tide") == Reported(3, 12, 0)
    queues.note("tide", "ada", "b", "100", None)
    assert queues.of("tide") == Reported(3, 111, 0)


def test_what_is_too_old_takes_no_room_once_anybody_speaks(clock: ManualClock) -> None:
    queues = ReportedQueues(clock)
    for number in range(100):
        queues.note("tide", "ada", f"old {number}", "1", "5")
    clock.advance(FORGET_S + 1)
    queues.note("high", "cleo", "a", "2", "7")
    assert list(queues._said) == [("high", "cleo", "a")]
    assert queues.by_org() == {"high": Reported(1, 2, 7)}


def test_one_person_s_word_says_nothing_about_another_with_the_same_device(clock: ManualClock) -> None:
    queues = ReportedQueues(clock)
    queues.note("tide", "ada", "shared", "3", "1500")
    queues.note("tide", "abe", "shared", "0", "0")
    assert queues.of("tide") == Reported(1, 3, 1500)
    assert queues.last("tide", "ada", "shared") == (3, 1500)
    assert queues.last("tide", "abe", "shared") == (0, 0)
    assert queues.last("high", "ada", "shared") is None
    clock.advance(FORGET_S + 1)
    assert queues.last("tide", "ada", "shared") is None


def test_the_sums_are_those_of_the_last_words_however_they_came(clock: ManualClock) -> None:
    queues, chance = ReportedQueues(clock), random.Random(7)
    said: dict[tuple[str, str], tuple[float, int, int]] = {}
    for _ in range(3_000):
        org, device = chance.choice(["tide", "high"]), str(chance.randrange(40))
        backlog, lag = chance.choice([0, 0, 1, 5]), chance.randrange(50)
        queues.note(org, "ada", device, str(backlog), str(lag))
        said[org, device] = (clock.ticks_s(), backlog, lag)
        clock.advance(chance.choice([0.0, 1.0, 60.0]))
        for each in ("tide", "high"):
            fresh = [
                (its_backlog, its_lag)
                for (its, _), (at, its_backlog, its_lag) in said.items()
                if its == each and its_backlog and clock.ticks_s() - at <= FORGET_S
            ]
            sums = Reported(len(fresh), sum(b for b, _ in fresh), max((lag for _, lag in fresh), default=0))
            assert queues.of(each) == queues.by_org().get(each, NOBODY) == sums
