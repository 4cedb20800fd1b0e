"""The ids lately committed: who is known, for how long, and which conflicts were kept."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.events.window import CONFLICTS, Window
from tests.records import event, events, record


def test_a_committed_id_is_known_with_its_digest_and_position_in_its_org_only() -> None:
    window = Window()
    window.add("tide", "an-id", 0xFFFFFFFF, 2**40)
    assert window.get("tide", "an-id") == (0xFFFFFFFF, 2**40)
    assert window.get("high", "an-id") is None
    assert window.get("tide", "another") is None


def test_a_frame_s_events_stand_at_its_first_position_and_those_after_it() -> None:
    window = Window()
    made = events(1, 3, org="tide")
    window.extend("tide", [each.id for each in made], [each.digest for each in made], 41)
    assert [window.get("tide", each.id) for each in made] == [
        (each.digest, at) for at, each in enumerate(made, 41)
    ]


def test_the_newest_half_is_always_known_and_no_more_than_the_size() -> None:
    window = Window(10)
    for number in range(100):
        window.add("tide", f"id-{number}", number, number)
        known = [each for each in range(number + 1) if window.get("tide", f"id-{each}")]
        assert known == list(range(number + 1))[-len(known) :], "the newest, and no gaps"
        assert min(number + 1, 5) <= len(known) <= 10


def test_a_frame_larger_than_the_window_is_known_whole_until_the_next_one() -> None:
    window = Window(4)
    made = events(1, 20, org="tide")
    window.extend("tide", [each.id for each in made], [each.digest for each in made], 1)
    assert all(window.get("tide", each.id) for each in made)


def test_an_org_that_sends_much_costs_others_nothing_but_time() -> None:
    window = Window(4)
    window.add("tide", "mine", 1, 1)
    window.add("high", "theirs", 2, 2)
    assert window.get("tide", "mine") == (1, 1)
    window.add("high", "more", 3, 3)
    window.add("high", "most", 4, 4)
    assert window.get("tide", "mine") is None


@settings(derandomize=True, deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(st.sampled_from(("tide", "high")), st.integers(0, 20)), max_size=60),
    st.lists(st.integers(0, 25), max_size=6),
    st.integers(1, 16),
)
def test_strangers_are_those_of_whom_no_id_is_known(
    added: list[tuple[str, int]], asked: list[int], size: int
) -> None:
    window = Window(size)
    for number, (org, each) in enumerate(added):
        window.add(org, f"id-{each}", each, number)
    ids = [f"id-{each}" for each in asked]
    for org in ("tide", "high", "nobody"):
        assert window.strangers(org, ids) == all(window.get(org, each) is None for each in ids)


def test_an_id_that_is_added_again_stands_where_it_was_added_last() -> None:
    window = Window(4)
    window.add("tide", "an-id", 7, 1)
    window.add("tide", "other", 8, 2)  # the first generation is full
    window.add("tide", "an-id", 7, 3)
    assert window.get("tide", "an-id") == (7, 3)


def test_a_size_of_nothing_still_remembers_the_last_id() -> None:
    window = Window(0)
    window.add("tide", "one", 1, 1)
    assert window.get("tide", "one") == (1, 1)
    window.add("tide", "two", 2, 2)
    assert (window.get("tide", "one"), window.get("tide", "two")) == (None, (2, 2))


def test_conflicts_are_remembered_by_org_id_and_body_the_last_thousand() -> None:
    window = Window()
    window.note_conflict("tide", "an-id", 0)
    assert window.conflicted("tide", "an-id", 0)
    assert not window.conflicted("tide", "an-id", 1)
    assert not window.conflicted("high", "an-id", 0)
    for number in range(1, CONFLICTS + 1):
        window.note_conflict("tide", "an-id", number)
    assert not window.conflicted("tide", "an-id", 0)
    assert window.conflicted("tide", "an-id", 1)
    assert window.conflicted("tide", "an-id", CONFLICTS)


def test_filling_takes_the_journal_s_last_records_and_the_first_body_of_an_id_wins() -> None:
    window = Window()
    first, other, next_ = event(1, raw=b'{"a":1}'), event(1, raw=b'{"a":2}'), event(2)
    made = [("tide", record(first, 5)), ("tide", record(other, 6)), ("tide", record(next_, 7))]
    made += [("high", record(other, 8))]
    window.fill(made)
    assert window.get("tide", first.id) == (first.digest, 5)
    assert window.get("tide", next_.id) == (next_.digest, 7)
    assert window.get("high", first.id) == (other.digest, 8)
    assert window.get("nobody", first.id) is None
