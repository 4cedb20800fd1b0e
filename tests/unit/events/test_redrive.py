"""Sending a dead letter through again, and every way in which that may end."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Conflict, Rejected, Unavailable
from holdfast.events import deadletters
from holdfast.events.deadletters import DeadLetter
from holdfast.events.entry import Kinds
from holdfast.events.redrive import redrive_one
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.record import Record
from holdfast.learning.orgs import create_org
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.store.sqlite import SqliteStore
from tests.unit.events.spine import (
    KINDS,
    MoodyStore,
    Sightings,
    applier,
    apply,
    held,
    lease,
    progressed,
    sighted,
    sighting,
    tallied,
)
from tests.unit.learning.register import add_course

LATER = "2026-11-24T10:00:00.000Z"
NOTHING_KNOWN = Kinds([])


def letter_id(record: Record) -> str:
    return f"{record.id}.{record.digest:08x}"


def parked(store: SqliteStore, *records: Record, known: Kinds = KINDS) -> str:
    """Apply records, the first of which can't be; its letter's id."""
    epoch = lease(store)
    with store.transaction(None) as tx:
        apply(tx, records, epoch=epoch, known=known)
    return letter_id(records[0])


def redriven(store: SqliteStore, which: str, known: Kinds = KINDS, body: bytes | None = None) -> DeadLetter:
    with store.transaction(None) as tx:
        return redrive_one(tx, known, which, "olga", LATER, body=body)


def applied_instead(store: SqliteStore) -> dict[tuple[str, int], bytes]:
    """The bodies that replays and proofs take for what was applied."""
    with store.transaction("tide") as tx:
        return deadletters.corrections(tx, "tide")


def mended(store: SqliteStore, course: str = "nowhere") -> None:
    with store.transaction(None) as tx:
        add_course(tx, "tide", course)


@pytest.fixture(autouse=True)
def _no_course_nowhere(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        for each in (schema.lessons, schema.courses):
            name = each.c.course_id if each is schema.lessons else each.c.id
            tx.run(each.delete().where(name == "nowhere"))


def bad() -> Record:
    """Progress in a course that is not there yet."""
    return progressed(1, 40, course="nowhere")


def with_course(course: str) -> bytes:
    """A body of progress for it."""
    return msgspec.json.encode({"courseId": course, "lessonId": "one", "percent": 70.0})


def test_what_was_mended_is_applied_with_its_old_id_and_the_letter_is_settled(store: SqliteStore) -> None:
    letter = parked(store, bad(), progressed(2, 10))
    mended(store)
    settled = redriven(store, letter)
    assert (settled.status, settled.settled_by, settled.settled_at) == ("redriven", "olga", LATER)
    assert [row[2:5] for row in held(store, schema.progress)] == [
        ("knots", "one", 10.0),
        ("nowhere", "one", 40.0),
    ]
    assert bad().id in {row[1] for row in held(store, schema.marks)}
    assert tallied(store) == (2, 0, 0)


def test_it_is_applied_at_its_own_position_and_time_of_receipt(store: SqliteStore) -> None:
    sightings = Sightings()
    record = sighting(7)._replace(received_at="2026-11-20T10:00:00.000Z")
    letter = parked(store, record, known=NOTHING_KNOWN)
    redriven(store, letter, Kinds([sightings.kind]))
    assert [row[7] for row in held(store, schema.loss_receipts)] == ["2026-11-20T10:00:00.000Z"]
    assert [row[3] for row in held(store, schema.marks)] == [7]


def test_after_a_redrive_the_same_event_again_is_a_duplicate(store: SqliteStore) -> None:
    letter = parked(store, bad())
    mended(store)
    redriven(store, letter)
    parked(store, bad()._replace(position=9))
    assert tallied(store) == (1, 1, 0)


def test_a_redrive_that_fails_is_counted_and_leaves_the_new_reason_and_no_trace_else(
    store: SqliteStore,
) -> None:
    letter = parked(store, sighting(1, "a kraken"), known=NOTHING_KNOWN)
    sightings = Sightings()
    sightings.faults["a kraken"] = lambda: Rejected("it bites", code="forbidden")
    tried = redriven(store, letter, Kinds([sightings.kind]))
    assert (tried.status, tried.redrives, tried.code, tried.reason) == ("parked", 1, "forbidden", "it bites")
    assert tried.settled_at is None
    assert sighted(store) == []
    assert held(store, schema.marks) == []
    assert tallied(store) == (0, 0, 1)


def test_a_corrected_body_that_failed_is_not_taken_for_what_was_applied_later(store: SqliteStore) -> None:
    letter = parked(store, bad())
    tried = redriven(store, letter, body=with_course("elsewhere"))
    assert (tried.status, tried.redrives, tried.corrected) == ("parked", 1, None)
    mended(store)
    settled = redriven(store, letter)
    assert (settled.status, settled.settled_why, settled.corrected) == ("redriven", "applied", None)
    assert applied_instead(store) == {}


@pytest.mark.parametrize("why", ["applied", "was applied already"])
def test_a_corrected_body_that_failed_and_still_stands_there_goes_when_the_letter_is_settled(
    store: SqliteStore, why: str
) -> None:
    letter = parked(store, bad())
    with store.transaction(None) as tx:
        deadletters.correct(tx, deadletters.find(tx, letter), with_course("elsewhere"))
    mended(store)
    if why == "was applied already":
        parked(store, bad()._replace(position=5))
    assert redriven(store, letter).settled_why == why
    assert applied_instead(store) == {}


def test_a_corrected_body_that_went_through_stands_for_what_was_applied(store: SqliteStore) -> None:
    letter = parked(store, bad())
    redriven(store, letter, body=with_course("elsewhere"))
    redriven(store, letter, body=with_course("knots"))
    assert list(applied_instead(store).values()) == [with_course("knots")]


def test_two_failed_redrives_exhaust_a_letter_and_a_third_is_refused(store: SqliteStore) -> None:
    letter = parked(store, bad())
    assert [redriven(store, letter).status for _ in range(2)] == ["parked", "exhausted"]
    mended(store)
    with pytest.raises(Conflict, match="redriven 2 times") as refused:
        redriven(store, letter)
    assert refused.value.code == "exhausted"
    assert "discard" in refused.value.hint
    assert tallied(store) == (0, 0, 1)


@pytest.mark.parametrize("end", ["redriven", "discarded"])
def test_a_settled_letter_is_not_redriven_again(store: SqliteStore, end: str) -> None:
    letter = parked(store, bad())
    mended(store)
    if end == "redriven":
        redriven(store, letter)
    else:
        with store.transaction(None) as tx:
            deadletters.discard(tx, letter, "olga", "a trial", LATER)
    before = held(store, schema.dead_letters), tallied(store)
    with pytest.raises(Conflict, match=end) as refused:
        redriven(store, letter)
    assert refused.value.code == "settled"
    assert (held(store, schema.dead_letters), tallied(store)) == before


def test_a_conflict_of_bodies_is_never_redriven(store: SqliteStore) -> None:
    first, other = progressed(1, 40), progressed(1, 90, position=2)
    parked(store, first, other)
    with pytest.raises(Conflict, match="another body") as refused:
        redriven(store, letter_id(other))
    assert "Discard" in refused.value.hint
    assert [row[4] for row in held(store, schema.progress)] == [40.0]
    assert tallied(store) == (1, 0, 1)


def test_what_came_again_by_itself_and_was_applied_is_settled_without_a_second_effect(
    store: SqliteStore,
) -> None:
    letter = parked(store, bad())
    mended(store)
    parked(store, bad()._replace(position=5))
    before = held(store, schema.progress)
    settled = redriven(store, letter)
    assert (settled.status, settled.settled_why) == ("redriven", "was applied already")
    assert held(store, schema.progress) == before
    assert tallied(store) == (1, 1, 0)


def test_a_letter_whose_id_was_applied_meanwhile_with_another_body_is_not_called_applied(
    store: SqliteStore,
) -> None:
    letter = parked(store, bad())
    parked(store, progressed(1, 90, position=5))
    with pytest.raises(Conflict, match="another body"):
        redriven(store, letter)
    assert [row[11] for row in held(store, schema.dead_letters)] == ["parked"]
    assert tallied(store) == (1, 0, 1)


def test_an_envelope_that_cannot_be_read_stays_a_letter(store: SqliteStore) -> None:
    torn = progressed(1)._replace(data=progressed(1).data[:-1])
    letter = parked(store, torn)
    tried = redriven(store, letter)
    assert (tried.status, tried.code, tried.redrives) == ("parked", "poison", 1)
    assert tried.record is not None


def test_an_unknown_letter_is_not_found(store: SqliteStore) -> None:
    with pytest.raises(Rejected, match="no dead letter") as refused:
        redriven(store, letter_id(bad()))
    assert refused.value.code == "not_found"


def test_an_outage_during_a_redrive_counts_nothing(store: SqliteStore) -> None:
    sightings = Sightings()
    sightings.faults["a storm"] = lambda: Unavailable("gone")
    letter = parked(store, sighting(1, "a storm"), known=NOTHING_KNOWN)
    before = held(store, schema.dead_letters)
    with pytest.raises(Unavailable):
        redriven(store, letter, Kinds([sightings.kind]))
    assert held(store, schema.dead_letters) == before


# Through the applier, which adds the audit and the org


async def test_the_audit_is_written_with_the_redrive_or_not_at_all(
    store: SqliteStore, clock: ManualClock
) -> None:
    letter = parked(store, bad())
    moody = MoodyStore(store)
    one, _ = applier(MemoryJournal(clock=clock), moody, clock)
    mended(store)

    def note(tx: Tx) -> None:
        create_org(tx, "noted", "Noted", org_id="noted", at=LATER)

    moody.after_work = Unavailable("gone")
    with pytest.raises(Unavailable):
        await one.redrive(None, letter, "olga", note)
    assert "noted" not in {row[0] for row in held(store, schema.orgs)}
    assert tallied(store) == (0, 0, 1)
    assert (await one.redrive("tide", letter, "olga", note)).status == "redriven"
    assert "noted" in {row[0] for row in held(store, schema.orgs)}
    assert tallied(store) == (1, 0, 0)
    with store.transaction(None) as tx:
        tx.run(schema.orgs.delete().where(schema.orgs.c.id == "noted"))


async def test_another_org_s_letter_is_not_to_be_seen(store: SqliteStore, clock: ManualClock) -> None:
    letter = parked(store, bad())
    one, _ = applier(MemoryJournal(clock=clock), store, clock)
    with pytest.raises(Rejected) as refused:
        await one.redrive("high", letter, "olga", lambda _: None)
    assert refused.value.code == "not_found"
    assert [row[12] for row in held(store, schema.dead_letters)] == [0]


async def test_another_org_s_letter_of_the_same_id_does_not_stand_in_the_way(
    store: SqliteStore, clock: ManualClock
) -> None:
    theirs = bad()._replace(data=bad().data.replace(b'"orgId":"tide"', b'"orgId":"high"'), position=2)
    letter = parked(store, bad(), theirs)
    one, _ = applier(MemoryJournal(clock=clock), store, clock)
    mended(store)
    assert (await one.redrive("tide", letter, "olga", lambda _: None)).org_id == "tide"
    assert tallied(store, "tide") == (1, 0, 0)
    assert tallied(store, "high") == (0, 0, 1)
