"""Dead letters: kept with their exact bytes and their reason, listed whole, never deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.core.errors import Conflict, Rejected
from holdfast.events import deadletters
from holdfast.events.deadletters import DeadLetter
from holdfast.events.entry import Entry, read_record
from holdfast.journal.record import Record
from holdfast.store import schema
from holdfast.store.sqlite import SqliteStore
from tests.unit.events.spine import apply, at, held, lease, progressed, tallied

LATER = "2026-11-24T10:00:00.000Z"


def bad(number: int, **changed: Any) -> Record:  # noqa: ANN401 - facts of an event
    return progressed(number, lesson="nowhere", **changed)


def park(store: SqliteStore, *records: Record, now: str | None = None) -> None:
    epoch = lease(store)
    with store.transaction(None) as tx:
        apply(tx, records, epoch=epoch)
        if now is not None:
            ids = [each.id for each in records]
            letters = schema.dead_letters
            tx.run(letters.update().where(letters.c.event_id.in_(ids)).values(parked_at=now))


def letter_id(record: Record) -> str:
    return f"{record.id}.{record.digest:08x}"


def shown(store: SqliteStore, which: str, org: str | None = None) -> DeadLetter:
    with store.transaction(org) as tx:
        return deadletters.show(tx, which)


def listed(store: SqliteStore, org: str | None = None, **wanted: str | int | None) -> list[str]:
    with store.transaction(org) as tx:
        return [each.event_id for each in deadletters.letters(tx, **wanted)]  # type: ignore[arg-type]


# Showing


def test_a_letter_shows_its_record_as_it_stands_in_the_journal(store: SqliteStore) -> None:
    park(store, bad(7))
    letter = shown(store, letter_id(bad(7)))
    assert letter.record is not None
    assert bytes(letter.record) == bad(7).data
    assert (letter.org_id, letter.user_id, letter.kind, letter.lane) == (
        "tide", "ada", "lesson.progressed", "progress",
    )  # fmt: skip
    assert (letter.position, letter.status, letter.redrives) == ("0000000000000007", "parked", 0)


@pytest.mark.parametrize("spelt", [str.lower, str.upper])
def test_a_letter_is_named_by_its_id_in_any_case_or_by_its_event_alone(
    store: SqliteStore, spelt: Callable[[str], str]
) -> None:
    park(store, bad(1))
    whole = shown(store, letter_id(bad(1)))
    assert shown(store, spelt(whole.id)) == whole
    assert shown(store, spelt(whole.event_id)) == whole


def test_a_record_that_is_no_json_is_shown_as_text(store: SqliteStore) -> None:
    torn = progressed(1)._replace(data=progressed(1).data[:-3] + b"\xff")
    park(store, torn)
    letter = shown(store, letter_id(torn))
    assert letter.record is not None
    assert json.loads(bytes(letter.record)).startswith('{"id":"')


def test_an_event_with_two_letters_must_be_named_in_full(store: SqliteStore) -> None:
    park(store, progressed(1, 10), progressed(1, 20, position=2), progressed(1, 30, position=3))
    with pytest.raises(Rejected, match="more than one") as refused:
        shown(store, progressed(1).id)
    assert refused.value.code == "not_found"
    assert "<event id>.<digest>" in refused.value.hint
    assert shown(store, letter_id(progressed(1, 20))).position.endswith("2")


@pytest.mark.parametrize("which", ["", ".", "nobody", "nobody.xyz", "nobody.0123456789", "nobody.0000000g"])
def test_what_names_no_letter_is_not_found(store: SqliteStore, which: str) -> None:
    park(store, bad(1))
    with pytest.raises(Rejected, match="no dead letter") as refused:
        shown(store, which)
    assert refused.value.code == "not_found"


def test_a_scoped_transaction_sees_its_own_org_s_letters_only(store: SqliteStore) -> None:
    theirs = bad(2, org="high", user="cleo")
    park(store, bad(1), theirs)
    assert listed(store, "tide") == [bad(1).id]
    assert listed(store) == [bad(1).id, theirs.id]
    with pytest.raises(Rejected):
        shown(store, letter_id(theirs), "tide")
    with pytest.raises(Rejected), store.transaction("tide") as tx:
        deadletters.discard(tx, letter_id(theirs), "ben", "not mine", LATER)
    assert [row[11] for row in held(store, schema.dead_letters)] == ["parked", "parked"]


# Listing


def test_letters_are_listed_the_oldest_first_and_without_their_records(store: SqliteStore) -> None:
    park(store, bad(3), now="2026-11-23T12:00:00.000Z")
    park(store, bad(9), now="2026-11-23T11:00:00.000Z")
    assert listed(store) == [bad(9).id, bad(3).id]
    with store.transaction(None) as tx:
        assert {each.record for each in deadletters.letters(tx)} == {None}


def test_a_listing_is_narrowed_by_status_code_kind_and_user(store: SqliteStore) -> None:
    forgotten = at(2, "lesson.forgotten", {}, user="abe")
    park(store, bad(1), forgotten)
    with store.transaction(None) as tx:
        deadletters.discard(tx, letter_id(bad(1)), "olga", "a trial", LATER)
    assert listed(store, status="parked") == [forgotten.id]
    assert listed(store, status="discarded") == [bad(1).id]
    assert listed(store, code="unknown_kind") == [forgotten.id]
    assert listed(store, kind="lesson.progressed") == [bad(1).id]
    assert listed(store, user="abe") == [forgotten.id]
    assert listed(store, user="abe", code="course_unknown") == []


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_listing_in_pages_shows_every_letter_once_however_they_came(store: SqliteStore, size: int) -> None:
    # One time of parking, bodies and orgs that share an event's id.
    bodies = [progressed(1, percent, position=percent) for percent in range(10, 14)]
    elsewhere = [
        progressed(1, percent, org="high", user="ada", position=percent) for percent in range(11, 14)
    ]
    park(store, *bodies, *elsewhere, bad(20), bad(21))
    with store.transaction(None) as tx:
        whole = deadletters.letters(tx)
        assert len(whole) == 8
        paged: list[DeadLetter] = []
        after = None
        while some := deadletters.letters(tx, limit=size, after=after):
            paged += some
            after = deadletters.place(some[-1])
    assert paged == whole


@pytest.mark.parametrize("after", ["", "|", "2026-11-23T11:00:00.000Z|x", "a|b|c|d", "a|b|0000000g|d"])
def test_what_is_no_letter_s_place_is_refused_in_words(store: SqliteStore, after: str) -> None:
    with pytest.raises(Rejected, match="after is not one of a page's next"):
        listed(store, after=after)


# Discarding


def test_discarding_keeps_the_row_its_bytes_and_its_reason_and_says_who_and_why(store: SqliteStore) -> None:
    park(store, bad(1))
    (before,) = held(store, schema.dead_letters)
    with store.transaction(None) as tx:
        letter = deadletters.discard(tx, letter_id(bad(1)), "olga", "a trial course", LATER)
    assert (letter.status, letter.settled_by, letter.settled_why) == ("discarded", "olga", "a trial course")
    assert letter.settled_at == LATER
    (after,) = held(store, schema.dead_letters)
    assert after[:11] == before[:11]
    assert tallied(store) == (0, 0, 1), "a discarded event is a dead one still"
    assert held(store, schema.marks) == []


@pytest.mark.parametrize("status", ["redriven", "discarded"])
def test_what_is_settled_is_not_discarded(store: SqliteStore, status: str) -> None:
    park(store, bad(1))
    with store.transaction(None) as tx:
        row = deadletters.find(tx, letter_id(bad(1)))
        deadletters.settle(tx, row, status, "olga", "done", LATER)
    before = held(store, schema.dead_letters)
    with pytest.raises(Conflict, match=status) as refused, store.transaction(None) as tx:
        deadletters.discard(tx, letter_id(bad(1)), "ben", "again", LATER)
    assert refused.value.code == "settled"
    assert held(store, schema.dead_letters) == before


def test_an_exhausted_letter_can_be_discarded(store: SqliteStore) -> None:
    park(store, bad(1))
    with store.transaction(None) as tx:
        for _ in range(deadletters.MAX_REDRIVES):
            deadletters.count_redrive(tx, deadletters.find(tx, letter_id(bad(1))), "poison", "still")
        assert deadletters.find(tx, letter_id(bad(1))).status == "exhausted"
        assert deadletters.discard(tx, letter_id(bad(1)), "olga", "why", LATER).status == "discarded"


def test_settling_one_of_two_bodies_leaves_the_other(store: SqliteStore) -> None:
    one, other = progressed(1, 20, position=2), progressed(1, 30, position=3)
    park(store, progressed(1, 10), one, other)
    with store.transaction(None) as tx:
        deadletters.discard(tx, letter_id(one), "olga", "why", LATER)
    assert {row[6]: row[11] for row in held(store, schema.dead_letters)} == {2: "discarded", 3: "parked"}


def test_a_reason_beyond_reason_is_cut(store: SqliteStore) -> None:
    entry = read_record(bad(1))
    assert isinstance(entry, Entry)
    with store.transaction(None) as tx:
        assert deadletters.park(tx, bad(1), entry.envelope, "poison", "x" * 5000, LATER)
        assert not deadletters.park(tx, bad(1), entry.envelope, "poison", "again", LATER)
    assert shown(store, letter_id(bad(1))).reason == "x" * 2000
