"""How much waits and for how long, told from memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.core.clock import ManualClock, rfc3339
from holdfast.events.backlog import Backlog
from holdfast.events.kind import LANES
from holdfast.journal.file import FileJournal
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.port import Counts, Journal
from tests.records import event, put, seal


@pytest.fixture
def journal(clock: ManualClock) -> MemoryJournal:
    return MemoryJournal(clock=clock)


@pytest.fixture
def segments(tmp_path: Path, clock: ManualClock) -> Iterator[FileJournal]:
    opened = FileJournal(tmp_path, clock=clock)
    yield opened
    opened.close()


PLAN = [
    ("tide", "progress"),
    ("tide", "analytics"),
    ("high", "progress"),
    ("tide", "progress"),
    ("high", "admin"),
]


async def filled(journal: FileJournal) -> list[tuple[int, str, str]]:
    """Frames of three to seven events over three segments: position, org and lane of each."""
    placed: list[tuple[int, str, str]] = []
    number = 0
    for size in (3, 7, 4, 5, 6):
        made = []
        for _ in range(size):
            org, lane = PLAN[number % len(PLAN)]
            made.append(event(number, org=org, lane=lane))
            number += 1
        first = await put(journal, made)
        placed += [(first + at, each.org, each.lane) for at, each in enumerate(made)]
        if size in {7, 5}:
            seal(journal)
    return placed


def waiting_after(placed: list[tuple[int, str, str]], cursors: dict[str, int]) -> Counts:
    counts: Counts = {}
    for position, org, lane in placed:
        lanes = counts.setdefault(org, {})
        lanes[lane] = lanes.get(lane, 0) + (position > cursors.get(lane, 0))
    return counts


async def test_it_begins_from_cursors_anywhere_in_frames_and_segments(
    segments: FileJournal, clock: ManualClock
) -> None:
    placed = await filled(segments)
    assert segments.stats().segments == 3
    head = segments.stats().head
    for cursor in range(head + 2):
        cursors = {"progress": cursor, "analytics": (cursor * 7) % (head + 1)}  # admin has none yet
        backlog = Backlog(segments, clock)
        backlog.begin(cursors)
        assert backlog.pending() == waiting_after(placed, cursors), cursors
        assert backlog.total() == sum(sum(each.values()) for each in waiting_after(placed, cursors).values())


async def test_it_begins_alike_when_the_journal_was_opened_anew(tmp_path: Path, clock: ManualClock) -> None:
    first = FileJournal(tmp_path, clock=clock)
    placed = await filled(first)
    first.close()
    journal = FileJournal(tmp_path, clock=clock)
    for cursor in (0, 2, 3, 9, 10, 11, 18, 19, 25):
        backlog = Backlog(journal, clock)
        backlog.begin({"progress": cursor})
        assert backlog.pending() == waiting_after(placed, {"progress": cursor})
    journal.close()


async def test_it_knows_nothing_before_it_begins(journal: MemoryJournal, clock: ManualClock) -> None:
    backlog = Backlog(journal, clock)
    known = [backlog.known]
    backlog.begin({})
    assert [*known, backlog.known] == [False, True]


async def test_until_it_begins_what_came_since_start_waits_and_nothing_from_before(
    journal: MemoryJournal, clock: ManualClock
) -> None:
    await put(journal, [event(number, org="tide") for number in range(1, 6)])
    backlog = Backlog(journal, clock)
    assert (backlog.total(), backlog.of("tide")) == (0, 0)
    await put(journal, [event(6, org="tide"), event(7, org="high", lane="admin")])
    assert backlog.pending() == {"tide": {"progress": 1}, "high": {"admin": 1}}
    backlog.begin({"progress": 4})
    assert backlog.pending() == {"tide": {"progress": 2}, "high": {"admin": 1}}


async def test_what_is_finished_no_longer_waits_and_what_comes_does(
    journal: MemoryJournal, clock: ManualClock
) -> None:
    backlog = Backlog(journal, clock)
    backlog.begin({})
    assert (backlog.total(), backlog.of("tide")) == (0, 0)
    await put(journal, [event(1, org="tide"), event(2, org="tide", lane="admin"), event(3, org="high")])
    assert (backlog.total(), backlog.of("tide"), backlog.of("high"), backlog.of("nobody")) == (3, 2, 1, 0)
    backlog.finished("progress", {"tide": 1, "high": 1})
    assert backlog.pending() == {"tide": {"progress": 0, "admin": 1}, "high": {"progress": 0}}
    await put(journal, [event(4, org="high")])
    assert (backlog.total(), backlog.of("tide"), backlog.of("high")) == (2, 1, 1)


async def test_beginning_again_forgets_what_was_counted_before(
    journal: MemoryJournal, clock: ManualClock
) -> None:
    backlog = Backlog(journal, clock)
    await put(journal, [event(number, org="tide") for number in range(1, 6)])
    backlog.begin({"progress": 5})
    backlog.begin({"progress": 2})
    assert backlog.total() == 3


def test_lag_is_the_age_of_the_oldest_of_all_lanes(journal: MemoryJournal, clock: ManualClock) -> None:
    backlog = Backlog(journal, clock)
    assert backlog.lag_ms() == 0
    now_s = clock.now_s()
    backlog.reading("progress", rfc3339(now_s - 3))
    backlog.reading("analytics", rfc3339(now_s - 90))
    assert [backlog.lag_ms(lane) for lane in LANES] == [3000, 0, 90_000]
    assert backlog.lag_ms() == 90_000
    clock.advance(10)
    assert backlog.lag_ms("progress") == 13_000
    backlog.reading("analytics", None)
    assert backlog.lag_ms() == 13_000
    backlog.reading("progress", None)
    assert backlog.lag_ms() == 0


def test_a_clock_set_back_makes_no_negative_lag(journal: MemoryJournal, clock: ManualClock) -> None:
    backlog = Backlog(journal, clock)
    backlog.reading("progress", rfc3339(clock.now_s() + 60))
    assert backlog.lag_ms() == 0


@pytest.mark.parametrize(
    "lag_s, asked_ms", [(0, 0), (4.9, 0), (5, 500), (30, 3000), (80, 8000), (9000, 8000)]
)
def test_senders_are_asked_to_wait_a_tenth_of_the_lag_and_eight_seconds_at_most(
    journal: MemoryJournal, clock: ManualClock, lag_s: float, asked_ms: int
) -> None:
    backlog = Backlog(journal, clock)
    backlog.reading("progress", rfc3339(clock.now_s() - lag_s))
    assert backlog.slow_down_ms() == asked_ms


async def test_counts_from_several_threads_are_none_lost(journal: MemoryJournal, clock: ManualClock) -> None:
    backlog = Backlog(journal, clock)
    await put(journal, [event(number, org="tide") for number in range(1, 4001)])

    def work(backlog: Backlog) -> None:
        for _ in range(1000):
            backlog.finished("progress", {"tide": 1})

    threads = [threading.Thread(target=work, args=(backlog,)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert backlog.total() == 0


def test_a_journal_s_own_count_may_be_handed_in(journal: Journal, clock: ManualClock) -> None:
    backlog = Backlog(journal, clock)
    backlog.finished("progress", {"tide": 2})
    assert backlog.pending({"tide": {"progress": 5}}) == {"tide": {"progress": 3}}
