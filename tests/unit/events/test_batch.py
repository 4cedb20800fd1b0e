"""What happens to one batch of one lane inside the applier's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.core.errors import Corrupt, Rejected, Unavailable
from holdfast.events import marks
from holdfast.events.batch import LaneStopped, Outcome
from holdfast.events.entry import Kinds
from holdfast.journal.record import Record
from holdfast.store import schema
from holdfast.store.sqlite import SqliteStore
from tests.unit.events.spine import (
    SCHOOL_KINDS,
    Sightings,
    apply,
    at,
    held,
    lease,
    progressed,
    sighted,
    sighting,
    tallied,
)


def batch(
    store: SqliteStore,
    records: list[Record],
    sightings: Sightings | None = None,
    *,
    lane: str = "progress",
    through: int | None = None,
) -> Outcome:
    epoch = lease(store)
    known = Kinds([*SCHOOL_KINDS, *([sightings.kind] if sightings else [])])
    with store.transaction(None) as tx:
        return apply(tx, records, lane=lane, known=known, epoch=epoch, through=through)


def letters(store: SqliteStore) -> dict[int, tuple[str, str]]:
    """Position -> (code, reason) of the dead letters."""
    return {row[6]: (row[8], row[9]) for row in held(store, schema.dead_letters)}


def nothing_happened(store: SqliteStore) -> bool:
    tables = (schema.marks, schema.dead_letters, schema.ledger, schema.cursors, schema.loss_receipts)
    return not any(held(store, each) for each in (*tables, schema.progress, schema.devices))


# Marks, ledger, cursor


def test_an_applied_event_has_its_row_its_mark_its_count_and_the_cursor_stands_behind_it(
    store: SqliteStore,
) -> None:
    one = progressed(7, 40)
    outcome = batch(store, [one], through=9)
    assert outcome == Outcome("progress", 9, {"tide": (1, 0, 0)})
    assert held(store, schema.marks) == [("tide", one.id, one.digest, 7)]
    assert [(row[:5]) for row in held(store, schema.progress)] == [("tide", "ada", "knots", "one", 40.0)]
    assert held(store, schema.ledger) == [("tide", "progress", 1, 0, 0)]
    assert [row[:2] for row in held(store, schema.cursors)] == [("progress", 9)]


def test_an_empty_batch_moves_the_cursor_and_nothing_else(store: SqliteStore) -> None:
    assert batch(store, [], through=41).counts == {}
    assert [row[:2] for row in held(store, schema.cursors)] == [("progress", 41)]
    assert held(store, schema.ledger) == []


def test_each_lane_has_its_own_cursor_and_its_own_line_in_the_ledger(store: SqliteStore) -> None:
    click = at(2, "analytics.recorded", {"name": "page.opened"}, lane="analytics")
    batch(store, [progressed(1)])
    batch(store, [click], lane="analytics")
    assert [row[:2] for row in held(store, schema.cursors)] == [("analytics", 2), ("progress", 1)]
    lines = held(store, schema.ledger)
    assert lines == [("tide", "analytics", 1, 0, 0), ("tide", "progress", 1, 0, 0)]


def test_the_same_event_again_is_a_duplicate_and_has_no_second_effect(store: SqliteStore) -> None:
    click = at(1, "analytics.recorded", {"name": "page.opened"}, lane="analytics")
    again = click._replace(position=2)
    batch(store, [click, again], lane="analytics")
    outcome = batch(store, [click._replace(position=3)], lane="analytics")
    assert outcome.counts == {"tide": (0, 1, 0)}
    assert tallied(store) == (1, 2, 0)
    assert len(held(store, schema.analytics_events)) == 1
    assert [row[3] for row in held(store, schema.marks)] == [1]


def test_the_same_id_in_two_orgs_is_two_events(store: SqliteStore) -> None:
    ours, theirs = progressed(1), progressed(1, org="high", user="cleo")
    assert ours.id == theirs.id
    assert batch(store, [ours, theirs]).counts == {"tide": (1, 0, 0), "high": (1, 0, 0)}
    assert len(held(store, schema.progress)) == 2


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
def test_the_same_id_with_another_body_is_kept_as_a_dead_letter_conflict(
    store: SqliteStore, *, together: bool
) -> None:
    first, other = progressed(1, 40), progressed(1, 90, position=2)
    assert first.id == other.id
    for part in [[first, other]] if together else [[first], [other]]:
        batch(store, part)
    assert letters(store)[2][0] == "conflict"
    assert [row[10] for row in held(store, schema.dead_letters)] == [other.data]
    assert [row[4] for row in held(store, schema.progress)] == [40.0]
    assert tallied(store) == (1, 0, 1)
    # The very same conflict again is a duplicate; a third body is one more letter.
    batch(store, [other._replace(position=3), progressed(1, 10, position=4)])
    assert sorted(letters(store)) == [2, 4]
    assert tallied(store) == (1, 1, 2)


def test_a_duplicate_and_a_conflict_in_a_batch_leave_its_new_events_alone(store: SqliteStore) -> None:
    batch(store, [progressed(1, 40)])
    new = [progressed(number, lesson="two", percent=number) for number in range(10, 20)]
    outcome = batch(
        store, [*new[:5], progressed(1, 40, position=30), *new[5:], progressed(1, 41, position=31)]
    )
    assert outcome.counts == {"tide": (10, 1, 1)}


# Poison


def test_one_bad_event_among_a_thousand_parks_one_and_the_rest_is_applied(store: SqliteStore) -> None:
    sightings = Sightings()
    sightings.faults["a kraken"] = lambda: ZeroDivisionError("secret words of a learner")
    records = [sighting(number, "a kraken" if number == 617 else "a seal") for number in range(1, 1001)]
    assert batch(store, records, sightings).counts == {"tide": (999, 0, 1)}
    assert sighted(store) == ["a seal"] * 999
    # The fault's own words may quote a payload: its type says enough.
    assert letters(store) == {617: ("poison", "applying it failed with ZeroDivisionError")}
    assert len(held(store, schema.marks)) == 999
    assert len(sightings.sizes) <= 2 * 11, "found by halving, not one by one"


def test_a_parked_event_has_no_mark_so_it_can_be_redriven(store: SqliteStore) -> None:
    bad, good = progressed(1, lesson="nowhere"), progressed(2)
    batch(store, [bad, good])
    assert [row[1] for row in held(store, schema.marks)] == [good.id]


def test_a_parked_record_keeps_its_exact_bytes_and_who_sent_it(store: SqliteStore) -> None:
    bad = progressed(5, lesson="nowhere")
    batch(store, [bad])
    (row,) = held(store, schema.dead_letters)
    assert row[:8] == ("tide", bad.id, bad.digest, "progress", "lesson.progressed", "ada", 5, bad.received_at)
    assert row[10:13] == (bad.data, "parked", 0)


@pytest.mark.parametrize(
    "record, code, words",
    [
        (progressed(1, lesson="nowhere"), "course_unknown", "lesson nowhere of course knots"),
        (progressed(1, user="cleo"), "not_a_member", "cleo is not an active member"),
        (progressed(1, percent=101), "invalid", "percent must be 0 to 100"),
        (at(1, "lesson.progressed", {"percent": 1}), "invalid", "courseId"),
        (at(1, "lesson.forgotten", {}), "unknown_kind", "'lesson.forgotten' version 1"),
        (at(1, "lesson.progressed", {}, version=9), "unknown_kind", "version 9"),
    ],
)
def test_a_record_that_cannot_be_applied_is_parked_with_its_code_and_words(
    store: SqliteStore, record: Record, code: str, words: str
) -> None:
    assert batch(store, [record, progressed(2)]).counts["tide"] == (1, 0, 1)
    assert letters(store)[1][0] == code
    assert words in letters(store)[1][1]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b'"userId":"ada"', b'"userId":7'),
        lambda data: data.replace(b'"kind"', b'"kand"'),
        lambda data: data[:-1],
        lambda data: data.replace(b'"body":{', b'"body":{{'),
        lambda data: data.replace(b'"version":1', b'"version":"one"'),
        lambda data: data.replace(b'"userId":"ada"', b'"userId":"\xff"'),
    ],
)
def test_an_envelope_this_version_cannot_read_is_parked_under_its_org(
    store: SqliteStore, damage: Callable[[bytes], bytes]
) -> None:
    whole = progressed(1)
    torn = whole._replace(data=damage(whole.data))
    assert torn.data != whole.data
    assert batch(store, [torn, progressed(2, org="high", user="cleo")]).counts == {
        "tide": (0, 0, 1),
        "high": (1, 0, 0),
    }
    (row,) = held(store, schema.dead_letters)
    assert (row[0], row[1], row[3], row[10]) == ("tide", whole.id, "progress", torn.data)
    batch(store, [torn._replace(position=9)])
    assert tallied(store) == (0, 1, 1)


def test_a_body_that_is_no_utf_8_is_parked_and_does_not_hold_up_its_lane(store: SqliteStore) -> None:
    whole = progressed(1)
    odd = whole._replace(data=whole.data.replace(b'"lessonId":"one"', b'"lessonId":"\xff"'))
    assert batch(store, [odd, progressed(2)]).counts == {"tide": (1, 0, 1)}
    assert letters(store)[1][0] == "invalid"


def test_a_sender_of_another_org_never_writes_into_this_one(store: SqliteStore) -> None:
    batch(store, [progressed(1, user="cleo"), progressed(2, org="high", user="ada")])
    assert held(store, schema.progress) == []
    assert {code for code, _ in letters(store).values()} == {"not_a_member"}


# The breaker


def failing(number: int, of: int) -> tuple[Sightings, list[Record]]:
    sightings = Sightings()
    sightings.faults["a kraken"] = lambda: TypeError("a release bug")
    return sightings, [sighting(n, "a kraken" if n <= number else "a seal") for n in range(1, of + 1)]


@pytest.mark.parametrize("bad, of", [(10, 10), (10, 19), (11, 20), (501, 1000)])
def test_ten_unexplained_failures_that_are_more_than_half_stop_the_lane_and_leave_nothing(
    store: SqliteStore, bad: int, of: int
) -> None:
    sightings, records = failing(bad, of)
    with pytest.raises(LaneStopped, match=f"{bad} of {of} events of lane progress failed.*TypeError"):
        batch(store, records, sightings)
    assert nothing_happened(store)


@pytest.mark.parametrize("bad, of", [(9, 9), (10, 20), (500, 1000)])
def test_nine_of_any_number_or_just_half_are_parked(store: SqliteStore, bad: int, of: int) -> None:
    sightings, records = failing(bad, of)
    assert batch(store, records, sightings).counts == {"tide": (of - bad, 0, bad)}


def test_a_batch_in_which_nothing_is_known_here_is_data_and_never_stops_a_lane(store: SqliteStore) -> None:
    unknown = [progressed(number, lesson="nowhere") for number in range(1, 21)]
    strangers = [progressed(number, user="cleo") for number in range(21, 41)]
    newer = [at(number, "lesson.forgotten", {}) for number in range(41, 61)]
    shapeless = [at(number, "lesson.progressed", {}) for number in range(61, 81)]
    for part in (unknown, strangers, newer, shapeless):
        assert batch(store, part).counts == {"tide": (0, 0, 20)}


def test_ten_envelopes_that_cannot_be_read_stop_the_lane(store: SqliteStore) -> None:
    torn = [progressed(number) for number in range(1, 11)]
    torn = [each._replace(data=each.data.replace(b'"kind"', b'"kand"')) for each in torn]
    with pytest.raises(LaneStopped):
        batch(store, torn)
    assert nothing_happened(store)


# Outages and the fence


@pytest.mark.parametrize("fault", [Unavailable("out"), Corrupt("torn", code="store_corrupt")])
def test_an_outage_while_applying_parks_nothing_and_leaves_nothing(
    store: SqliteStore, fault: Exception
) -> None:
    sightings = Sightings()
    sightings.faults["a storm"] = lambda: fault
    with pytest.raises(type(fault)):
        batch(store, [sighting(1), sighting(2, "a storm"), sighting(3)], sightings)
    assert nothing_happened(store)
    sightings.faults.clear()
    assert batch(store, [sighting(1), sighting(2, "a storm"), sighting(3)], sightings).counts == {
        "tide": (3, 0, 0)
    }


@pytest.mark.parametrize("fault", [Unavailable("out"), Corrupt("torn", code="store_corrupt")])
def test_an_outage_in_a_batch_with_poison_and_a_duplicate_leaves_nothing_either(
    store: SqliteStore, fault: Exception
) -> None:
    sightings = Sightings()
    sightings.faults["a kraken"] = ZeroDivisionError
    sightings.faults["a storm"] = lambda: fault
    mixed = [sighting(1, "a kraken"), sighting(2), sighting(2), sighting(3, "a storm"), sighting(4)]
    with pytest.raises(type(fault)):
        batch(store, mixed, sightings)
    assert nothing_happened(store)
    del sightings.faults["a storm"]
    assert batch(store, mixed, sightings).counts == {"tide": (3, 1, 1)}


def test_an_apply_function_that_refuses_with_a_code_parks_under_that_code(store: SqliteStore) -> None:
    sightings = Sightings()
    sightings.faults["no leave"] = lambda: Rejected("the buoy may not", code="forbidden")
    batch(store, [sighting(1, "no leave")], sightings)
    assert letters(store) == {1: ("forbidden", "the buoy may not")}


def test_whoever_lost_the_lease_writes_nothing(store: SqliteStore) -> None:
    mine = lease(store, "the first")
    assert lease(store, "the second") == mine + 1
    with pytest.raises(Unavailable, match="another applier"), store.transaction(None) as tx:
        apply(tx, [progressed(1)], epoch=mine)
    assert nothing_happened(store)
    with store.transaction(None) as tx:
        apply(tx, [progressed(1)], epoch=mine + 1)
        assert marks.cursors(tx) == {"progress": 1}


def test_without_a_lease_row_nobody_writes(store: SqliteStore) -> None:
    with pytest.raises(Unavailable), store.transaction(None) as tx:
        apply(tx, [progressed(1)], epoch=1)


# Devices


def test_a_device_s_numbers_are_kept_whatever_became_of_its_events(store: SqliteStore) -> None:
    facts: dict[str, Any] = {"deviceId": "d1", "generation": 1}
    batch(store, [progressed(1, seq=1, **facts), progressed(2, seq=2, lesson="nowhere", **facts)])
    later = progressed(4, seq=5, **facts)._replace(received_at="2026-11-23T10:09:00.000Z")
    batch(store, [progressed(3, seq=4, **facts), later, progressed(5, 60), progressed(1, seq=1, **facts)])
    batch(store, [progressed(6, seq=7, **facts)])
    assert held(store, schema.devices) == [
        ("tide", "ada", "d1", 1, [[1, 2], [4, 5], [7, 7]], "2026-11-23T10:09:00.000Z")
    ]


def test_each_generation_and_sender_of_a_device_counts_for_itself(store: SqliteStore) -> None:
    one: dict[str, Any] = {"deviceId": "d1", "generation": 1, "seq": 1}
    batch(store, [progressed(1, **one), progressed(2, **(one | {"generation": 2, "seq": 3}))])
    batch(store, [progressed(3, user="abe", **one), progressed(4, org="high", user="cleo", **one)])
    assert [(row[0], row[1], row[3], row[4]) for row in held(store, schema.devices)] == [
        ("high", "cleo", 1, [[1, 1]]),
        ("tide", "abe", 1, [[1, 1]]),
        ("tide", "ada", 1, [[1, 1]]),
        ("tide", "ada", 2, [[3, 3]]),
    ]
