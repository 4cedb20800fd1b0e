"""The applier: it waits out an outage, steps over poison, stops for a release bug, and is only one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import structlog.testing
from sqlalchemy import text

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Corrupt, HoldfastError, Rejected, Unavailable
from holdfast.events import marks
from holdfast.events.applier import SCANNED_PAST, STOPPED_S
from holdfast.events.batch import Outcome
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.port import Slice
from holdfast.journal.record import Event
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.store.sqlite import SqliteStore
from tests.records import event, put
from tests.unit.events.spine import (
    NOW,
    SCHOOL_KINDS,
    MoodyStore,
    Sightings,
    applier,
    at_work,
    held,
    sighted,
    tallied,
)


@pytest.fixture
def journal(clock: ManualClock) -> MemoryJournal:
    return MemoryJournal(clock=clock)


def seen(number: int, what: str = "a seal", **changed: Any) -> Event:  # noqa: ANN401 - facts of an event
    facts: dict[str, Any] = {"org": "tide", "kind": "buoy.sighted"} | changed
    return event(number, body={"what": what}, **facts)


async def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not holds():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.005)


# Going on


async def test_draining_applies_every_lane_to_the_head(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, waiting = applier(journal, store, clock)
    progress = {"courseId": "knots", "lessonId": "one"}
    assign = {"courseId": "knots", "userIds": ["ada"]}
    await put(journal, [event(1, org="tide", kind="lesson.completed", body=progress)])
    await put(
        journal,
        [
            event(2, org="tide", lane="admin", kind="course.assigned", user="ben", body=assign),
            event(3, org="tide", lane="analytics", kind="analytics.recorded", body={"name": "page.opened"}),
        ],
    )
    await one.drain()
    assert [one.cursor(lane) for lane in ("progress", "admin", "analytics")] == [3, 3, 3]
    for each in (schema.progress, schema.assignments, schema.activity):
        assert len(held(store, each)) == 1
    assert tallied(store) == (3, 0, 0)
    assert waiting.total() == 0


async def test_more_than_one_batch_is_applied_in_turns_and_each_is_told(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, _ = applier(journal, store, clock, [Sightings().kind])
    told: list[Outcome] = []
    one.listen(told.append)
    await put(journal, [seen(number) for number in range(2500)])
    await one.drain()
    assert [each.counts["tide"] for each in told] == [(1000, 0, 0), (1000, 0, 0), (500, 0, 0)]
    assert [each.through for each in told] == [1000, 2000, 2500]


async def test_after_a_restart_it_goes_on_behind_its_cursor(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    sightings = Sightings()
    first, _ = applier(journal, store, clock, [sightings.kind])
    await put(journal, [seen(1)])
    await first.drain()
    await put(journal, [seen(2), seen(3)])
    second, waiting = applier(journal, store, clock, [sightings.kind])
    caught_up = [second.caught_up]
    await second.drain()
    assert [*caught_up, second.caught_up] == [False, True]
    assert sightings.sizes == [1, 2]
    assert tallied(store) == (3, 0, 0)
    assert waiting.total() == 0


async def test_a_lane_with_nothing_in_it_stores_how_far_it_looked_only_now_and_then(
    store: SqliteStore, clock: ManualClock
) -> None:
    journal = MemoryJournal(clock=clock, after=SCANNED_PAST - 3)
    one, _ = applier(journal, store, clock, [Sightings().kind])
    await put(journal, [seen(number) for number in range(1, 4)])
    await one.drain()
    assert [row[0] for row in held(store, schema.cursors)] == ["progress"]
    await put(journal, [seen(4)])
    await one.drain()
    assert sorted(row[:2] for row in held(store, schema.cursors)) == [
        ("admin", SCANNED_PAST + 1),
        ("analytics", SCANNED_PAST + 1),
        ("progress", SCANNED_PAST + 1),
    ]


async def test_whoever_waits_for_a_position_hears_when_it_is_reached_or_that_it_was_not(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, _ = applier(journal, store, clock, [Sightings().kind])
    assert not await one.reached("progress", 1, 0.01)
    await put(journal, [seen(1)])
    waits = asyncio.create_task(one.reached("progress", 1, 10.0))
    await asyncio.sleep(0)
    await one.drain()
    assert await waits
    assert await one.reached("progress", 1, 0.0)


async def test_whoever_waits_for_a_lane_in_which_nothing_stands_hears_as_soon_as_it_was_passed(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, _ = applier(journal, store, clock, [Sightings().kind])
    await one.turn()
    await put(journal, [seen(1)])
    waits = asyncio.create_task(one.reached("admin", 1, 3600.0))
    await asyncio.sleep(0)
    await one.drain()
    assert await asyncio.wait_for(waits, 20.0)


# Outages


async def test_an_outage_parks_nothing_and_counts_no_attempt_and_it_goes_on_when_the_store_is_back(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    moody = MoodyStore(store)
    one, waiting = applier(journal, moody, clock, [Sightings().kind])
    await put(journal, [seen(number) for number in range(1, 21)])
    moody.out = True
    with structlog.testing.capture_logs() as logged:
        async with at_work(one):
            await until(lambda: moody.refused >= 2)
            assert one.outage == "the store is out for a walk"
            assert held(store, schema.dead_letters) == []
            assert tallied(store) == (0, 0, 0)
            moody.out = False
            assert await one.reached("progress", 20, 10.0)
            await until(lambda: one.outage is None)
    assert tallied(store) == (20, 0, 0)
    assert held(store, schema.dead_letters) == []
    assert waiting.total() == 0
    assert len([line for line in logged if "store is out" in line["event"]]) == 1, "one line an outage"


@pytest.mark.parametrize("fault", [Unavailable("gone"), Corrupt("torn", code="store_corrupt")])
async def test_a_store_that_goes_away_at_the_commit_costs_nothing(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock, fault: Exception
) -> None:
    moody = MoodyStore(store)
    one, waiting = applier(journal, moody, clock, [Sightings().kind])
    await one.turn()
    await put(journal, [seen(1), seen(2)])
    moody.after_work = fault
    with pytest.raises(type(fault)):
        await one.turn()
    assert sighted(store) == []
    assert one.cursor("progress") == 0
    assert waiting.total() == 2, "what was rolled back still waits"
    await one.drain()
    assert sighted(store) == ["a seal"] * 2
    assert waiting.total() == 0


async def test_a_store_that_goes_away_before_a_batch_is_sifted_keeps_nothing_of_the_try_before(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    moody, kind = MoodyStore(store), Sightings()

    def out_and_refused() -> Exception:
        moody.out = True
        return Rejected("no such beast", code="not_a_member")

    kind.faults["a kraken"] = out_and_refused
    one, waiting = applier(journal, moody, clock, [kind.kind])
    await one.turn()
    await put(journal, [seen(1), seen(2, "a kraken"), seen(3)])
    with pytest.raises(Unavailable):
        await one.turn()
    assert kind.sizes == [3], "it was tried whole"
    assert (sighted(store), tallied(store), one.cursor("progress")) == ([], (0, 0, 0), 0)
    assert held(store, schema.marks) == []
    assert waiting.total() == 3

    kind.faults["a kraken"] = lambda: Rejected("no such beast", code="not_a_member")
    moody.out = False
    await one.drain()
    assert sighted(store) == ["a seal"] * 2
    assert (tallied(store), one.cursor("progress")) == ((2, 0, 1), 3)
    assert [row[8] for row in held(store, schema.dead_letters)] == ["not_a_member"]
    assert waiting.total() == 0


async def test_a_fault_of_its_own_is_loud_and_does_not_end_it(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = []

    async def at_once(seconds: float) -> None:
        slept.append(seconds)

    moody = MoodyStore(store)
    one, _ = applier(journal, moody, clock, [Sightings().kind])
    await put(journal, [seen(1)])
    moody.after_work = KeyError("a slip")
    with structlog.testing.capture_logs() as logged:
        monkeypatch.setattr("holdfast.events.applier.asyncio.sleep", at_once)
        async with at_work(one):
            assert await one.reached("progress", 1, 10.0)
    assert slept[0] == 5.0
    assert [line["log_level"] for line in logged if line["event"] == "applier turn failed"] == ["error"]
    assert tallied(store) == (1, 0, 0)


@pytest.mark.parametrize("lane", ["admin", "analytics"])
async def test_a_lane_that_can_not_be_read_is_not_hidden_by_one_with_nothing_to_do(
    store: SqliteStore,
    journal: MemoryJournal,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    lane: str,
) -> None:
    one, _ = applier(journal, store, clock)
    await one.drain()
    read = journal.read

    def broken(after: int, limit: int, wanted: str | None = None) -> Slice:
        if wanted == lane:
            raise OSError(5, "Input/output error")
        return read(after, limit, wanted)

    with monkeypatch.context() as patched:
        patched.setattr(journal, "read", broken)
        for _ in range(3):
            clock.advance(10.0)
            with pytest.raises(OSError, match="Input/output"):
                await one.turn()
        assert clock.now_s() - one.moved_at_s == pytest.approx(30.0)
    await one.drain()
    assert one.moved_at_s == clock.now_s()


async def test_while_a_crowd_sends_it_rests_for_its_reading_too(
    store: SqliteStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(MemoryJournal):
        def read(self, after: int, limit: int, lane: str | None = None) -> Slice:
            clock.advance(0.01)
            return super().read(after, limit, lane)

    rested = []

    async def at_once(seconds: float) -> None:
        rested.append(seconds)

    journal = Slow(clock=clock)
    one, _ = applier(journal, store, clock, [Sightings().kind])
    one._busy = lambda: True
    await put(journal, [seen(1)])
    monkeypatch.setattr("holdfast.events.applier.asyncio.sleep", at_once)
    await one.turn()
    assert rested == [pytest.approx(20 * 0.01, rel=0.01)], "a twentieth of the time, reading included"


# The breaker


async def test_a_release_bug_stops_its_lane_alone_until_it_has_rested(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    bad, fine = Sightings(), Sightings("buoy.counted", "analytics")
    bad.faults["a kraken"] = lambda: TypeError("a release bug")
    one, waiting = applier(journal, store, clock, [bad.kind, fine.kind])
    await put(journal, [seen(number, "a kraken") for number in range(1, 13)])
    counted = {"lane": "analytics", "kind": "buoy.counted"}
    await put(journal, [seen(number, "a crab", **counted) for number in range(13, 16)])
    with structlog.testing.capture_logs() as logged:
        await one.drain()
    assert "12 of 12" in one.stopped["progress"]
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["lane stopped"]
    assert sighted(store) == ["a crab"] * 3
    assert held(store, schema.dead_letters) == []
    assert one.cursor("progress") == 0
    assert waiting.pending()["tide"] == {"progress": 12, "analytics": 0}

    clock.advance(STOPPED_S - 1)
    tries = len(bad.sizes)
    await one.drain()
    assert len(bad.sizes) == tries, "it rests"
    clock.advance(1.1)
    await one.drain()
    assert len(bad.sizes) > tries, "it is tried again"
    assert "progress" in one.stopped

    bad.faults.clear()  # the next release
    clock.advance(STOPPED_S + 1)
    await one.drain()
    assert one.stopped == {}
    assert tallied(store) == (15, 0, 0)
    assert waiting.total() == 0


async def test_a_release_with_a_broken_statement_stops_its_lane_instead_of_waiting_for_the_store(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    def broken(tx: Tx, _: object) -> None:
        tx.run(text("INSERT INTO sightngs VALUES (1)"))

    kind = Sightings().kind._replace(apply=broken)
    one, waiting = applier(journal, store, clock, [kind])
    await put(journal, [seen(number) for number in range(1, 13)])
    await one.drain()
    assert "no such table: sightngs" in one.stopped["progress"]
    assert one.outage is None
    assert held(store, schema.dead_letters) == []
    assert (one.cursor("progress"), waiting.total()) == (0, 12)


async def test_a_broken_statement_beside_the_events_stops_the_lane_too_and_parks_none(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    moody = MoodyStore(store)
    one, waiting = applier(journal, moody, clock, [Sightings().kind])
    await one.turn()
    await put(journal, [seen(1)])
    moody.after_work = HoldfastError("a statement of the portal's own is wrong: no such column: x")
    await one.drain()
    assert one.stopped == {"progress": "a statement of the portal's own is wrong: no such column: x"}
    assert (sighted(store), held(store, schema.dead_letters)) == ([], [])
    clock.advance(STOPPED_S + 1)
    await one.drain()
    assert (one.stopped, sighted(store), waiting.total()) == ({}, ["a seal"], 0)


# The fence


async def test_when_a_second_applier_takes_over_the_first_ones_transaction_does_not_commit(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    sightings = Sightings()
    first, stale = applier(journal, store, clock, [sightings.kind])
    second, waiting = applier(journal, store, clock, [sightings.kind])
    await first.turn()
    await second.turn()
    await put(journal, [seen(1)])
    with pytest.raises(Unavailable, match="another applier"):
        await first.turn()
    assert sighted(store) == []
    assert held(store, schema.ledger) == []
    assert stale.total() == 1
    await second.drain()
    assert sighted(store) == ["a seal"]
    assert tallied(store) == (1, 0, 0)
    assert waiting.total() == 0


async def test_two_appliers_that_fight_for_the_lease_apply_each_event_once(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    sightings = Sightings()
    both = [applier(journal, store, clock, [sightings.kind])[0] for _ in range(2)]
    with structlog.testing.capture_logs():
        async with at_work(both[0]), at_work(both[1]):
            for number in range(1, 41):
                await put(journal, [seen(number)])
                for each in both:
                    each.wake()
                await asyncio.sleep(0)
            await until(lambda: tallied(store)[0] >= 40)
    assert sighted(store) == ["a seal"] * 40
    assert tallied(store) == (40, 0, 0)
    assert len(held(store, schema.marks)) == 40


async def test_device_rows_that_somebody_changed_under_a_lease_of_their_own_are_read_again(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    """The applier remembers the rows it wrote; the lease tells it when they may be others."""

    def click(number: int) -> Event:
        facts: dict[str, Any] = {"deviceId": "phone", "generation": 1, "seq": number}
        name = {"name": "page.opened"}
        return event(number, org="tide", lane="analytics", kind="analytics.recorded", body=name, **facts)

    one, _ = applier(journal, store, clock, SCHOOL_KINDS)
    await put(journal, [click(1), click(2)])
    await one.drain()
    with store.transaction(None) as tx:
        marks.take_lease(tx, "an erasure", NOW)
        tx.run(schema.devices.delete())
    with structlog.testing.capture_logs():
        async with at_work(one):
            await put(journal, [click(3)])
            one.wake()
            await until(lambda: tallied(store)[0] >= 3)
    assert [row[4] for row in held(store, schema.devices)] == [[[3, 3]]]


async def test_a_cursor_that_went_back_makes_duplicates_and_no_second_effects(
    store: SqliteStore, journal: MemoryJournal, clock: ManualClock
) -> None:
    one, _ = applier(journal, store, clock, SCHOOL_KINDS)
    clicks = [
        event(number, org="tide", lane="analytics", kind="analytics.recorded", body={"name": "page.opened"})
        for number in range(1, 6)
    ]
    await put(journal, clicks)
    await one.drain()
    with store.transaction(None) as tx:
        tx.run(schema.cursors.delete())
    again, _ = applier(journal, store, clock, SCHOOL_KINDS)
    await again.drain()
    assert [row[6] for row in held(store, schema.activity)] == [5]
    assert tallied(store) == (5, 5, 0)
