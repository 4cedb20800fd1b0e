"""The ledger: three counts by three parties that must balance, whatever happened."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Unavailable
from holdfast.events import deadletters, ledger
from holdfast.events.applier import Applier
from holdfast.events.backlog import Backlog
from holdfast.events.ledger import Row
from holdfast.journal.file import FileJournal
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.port import Journal
from holdfast.journal.record import Event
from holdfast.store import schema
from holdfast.store.sqlite import SqliteStore
from tests.records import event, put, seal
from tests.unit.events.spine import MoodyStore, Sightings, applier
from tests.unit.learning.register import add_course


def done(
    number: int, *, course: str = "knots", org: str = "tide", user: str = "ada", lane: str = "progress"
) -> Event:
    body = {"courseId": course, "lessonId": "one"}
    return event(number, org=org, user=user, lane=lane, kind="lesson.completed", body=body)


def click(number: int) -> Event:
    body = {"name": "page.opened"}
    return event(number, org="tide", lane="analytics", kind="analytics.recorded", body=body)


def lines(store: SqliteStore, journal: Journal, waiting: Backlog, org: str | None = None) -> dict[str, Row]:
    with store.transaction(org) as tx:
        rows = ledger.rows(tx, journal, waiting)
    assert [row.org_id for row in rows] == sorted(row.org_id for row in rows)
    assert all(row.unaccounted == 0 for row in rows), rows
    return {row.org_id: row for row in rows}


@pytest.fixture
def journal(clock: ManualClock) -> MemoryJournal:
    return MemoryJournal(clock=clock)


async def test_it_balances_while_events_wait_when_they_are_applied_and_for_each_end_they_come_to(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, waiting = applier(journal, store, clock)
    await one.turn()
    await put(journal, [done(1), done(2, course="nowhere"), done(3, org="high", user="cleo")])
    await put(journal, [click(4), done(1), done(1, course="tides")])
    assert lines(store, journal, waiting) == {
        "high": Row("high", 1, 0, 0, 0, 1),
        "tide": Row("tide", 5, 0, 0, 0, 5),
    }
    await one.drain()
    assert lines(store, journal, waiting) == {
        "high": Row("high", 1, 1, 0, 0, 0),
        "tide": Row("tide", 5, 2, 1, 2, 0),
    }


async def test_it_balances_between_the_lanes_of_one_turn(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, waiting = applier(journal, store, clock)
    await put(journal, [done(1), click(2), done(3)])
    seen: list[Row] = []
    one.listen(lambda _: seen.append(lines(store, journal, waiting)["tide"]))
    await one.drain()
    assert seen == [Row("tide", 3, 2, 0, 0, 1), Row("tide", 3, 3, 0, 0, 0)]


async def test_it_balances_after_an_outage_at_the_commit(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    moody = MoodyStore(store)
    one, waiting = applier(journal, moody, clock)
    await one.turn()
    await put(journal, [done(1), done(2, course="nowhere")])
    moody.after_work = Unavailable("gone")
    with pytest.raises(Unavailable):
        await one.turn()
    assert lines(store, journal, waiting)["tide"] == Row("tide", 2, 0, 0, 0, 2)
    await one.drain()
    assert lines(store, journal, waiting)["tide"] == Row("tide", 2, 1, 0, 1, 0)


async def test_it_balances_while_a_lane_stands_still(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    bad = Sightings()
    bad.faults["a kraken"] = lambda: TypeError("a release bug")
    one, waiting = applier(journal, store, clock, [bad.kind])
    made = [event(n, org="tide", kind="buoy.sighted", body={"what": "a kraken"}) for n in range(12)]
    await put(journal, made)
    await one.drain()
    assert one.stopped
    assert lines(store, journal, waiting)["tide"] == Row("tide", 12, 0, 0, 0, 12)


async def parked(store: SqliteStore, journal: Journal, clock: ManualClock) -> tuple[Applier, Backlog, str]:
    one, waiting = applier(journal, store, clock)
    await put(journal, [done(1), done(2, course="nowhere")])
    await one.drain()
    assert lines(store, journal, waiting)["tide"] == Row("tide", 2, 1, 0, 1, 0)
    return one, waiting, done(2).id


async def test_it_balances_after_each_redrive_and_after_what_came_again(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, waiting, letter = await parked(store, journal, clock)
    await one.redrive("tide", letter, "olga", lambda _: None)
    assert lines(store, journal, waiting)["tide"] == Row("tide", 2, 1, 0, 1, 0)
    await put(journal, [done(2, course="nowhere")])
    await one.drain()
    assert lines(store, journal, waiting)["tide"] == Row("tide", 3, 1, 1, 1, 0)
    with store.transaction(None) as tx:
        add_course(tx, "tide", "nowhere")
    await put(journal, [done(2, course="nowhere")])
    await one.drain()
    assert lines(store, journal, waiting)["tide"] == Row("tide", 4, 2, 1, 1, 0)
    await one.redrive("tide", letter, "olga", lambda _: None)
    assert lines(store, journal, waiting)["tide"] == Row("tide", 4, 2, 2, 0, 0)
    with store.transaction(None) as tx:
        tx.run(schema.lessons.delete().where(schema.lessons.c.course_id == "nowhere"))
        tx.run(schema.courses.delete().where(schema.courses.c.id == "nowhere"))


async def test_it_balances_after_a_discard_and_when_the_discarded_event_comes_again(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, waiting, letter = await parked(store, journal, clock)
    with store.transaction(None) as tx:
        deadletters.discard(tx, letter, "olga", "a trial", "2026-11-24T10:00:00.000Z")
    assert lines(store, journal, waiting)["tide"] == Row("tide", 2, 1, 0, 1, 0)
    await put(journal, [done(2, course="nowhere")])
    await one.drain()
    assert lines(store, journal, waiting)["tide"] == Row("tide", 3, 1, 1, 1, 0)


async def test_an_org_reads_its_own_line_and_one_that_never_sent_reads_zeros(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, waiting = applier(journal, store, clock)
    await put(journal, [done(1), done(3, org="high", user="cleo")])
    await one.drain()
    assert lines(store, journal, waiting, "tide") == {"tide": Row("tide", 1, 1, 0, 0, 0)}
    assert lines(store, journal, waiting, "new") == {"new": Row("new", 0, 0, 0, 0, 0)}


async def test_it_balances_after_a_restart_over_a_real_journal_in_segments(
    store: SqliteStore, tmp_path: Path, clock: ManualClock
) -> None:
    journal = FileJournal(tmp_path, clock=clock)
    one, _ = applier(journal, store, clock)
    await put(journal, [done(1), click(2), done(3, org="high", user="cleo")])
    seal(journal)
    await one.drain()
    await put(journal, [done(4), done(5, course="nowhere"), click(6)])
    journal.close()
    again = FileJournal(tmp_path, clock=clock)
    other, waiting = applier(again, store, clock)
    await other._begin()
    assert lines(store, again, waiting) == {
        "high": Row("high", 1, 1, 0, 0, 0),
        "tide": Row("tide", 5, 2, 0, 0, 3),
    }
    await other.drain()
    assert lines(store, again, waiting)["tide"] == Row("tide", 5, 4, 0, 1, 0)
    again.close()


async def test_what_is_missing_is_told_as_a_number(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, waiting = applier(journal, store, clock)
    await put(journal, [done(1), done(2)])
    await one.drain()
    with store.transaction(None) as tx:
        tx.run(update(schema.ledger).values(applied=schema.ledger.c.applied - 1))
        (line,) = ledger.rows(tx, journal, waiting)
    assert line.unaccounted == 1
