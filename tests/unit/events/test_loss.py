"""Loss receipts: what a device says it lost is kept like any other event, once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.events import loss
from holdfast.events.entry import Kinds
from holdfast.events.loss import LossReported
from holdfast.journal.record import Record
from holdfast.store import schema
from holdfast.store.sqlite import SqliteStore
from tests.unit.events.spine import apply, at, held, lease, tallied

GOOD: dict[str, Any] = {
    "deviceId": "tablet-7",
    "generation": 2,
    "missing": [[3, 5], [9, 9]],
    "cause": "a gap",
}


def reported(number: int, **changed: Any) -> Record:  # noqa: ANN401 - JSON
    facts = {"org": changed.pop("org", "tide"), "user": changed.pop("user", "ada")}
    return at(number, "loss.reported", GOOD | changed, lane="admin", **facts)


def taken(store: SqliteStore, *records: Record) -> None:
    epoch = lease(store)
    with store.transaction(None) as tx:
        apply(tx, records, lane="admin", epoch=epoch, known=Kinds([loss.KIND]))


def test_a_loss_is_kept_as_it_was_told_under_its_event(store: SqliteStore) -> None:
    one = reported(1)
    taken(store, one)
    assert held(store, schema.loss_receipts) == [
        ("tide", one.id, "ada", "tablet-7", 2, [[3, 5], [9, 9]], "a gap", one.received_at)
    ]


def test_each_receipt_is_a_row_and_the_same_one_twice_is_one(store: SqliteStore) -> None:
    taken(store, reported(1), reported(2, cause="reborn"), reported(3, org="high", user="cleo"), reported(1))
    taken(store, reported(2, cause="reborn"))
    assert [(row[0], row[6]) for row in held(store, schema.loss_receipts)] == [
        ("high", "a gap"),
        ("tide", "a gap"),
        ("tide", "reborn"),
    ]
    assert tallied(store) == (2, 2, 0)


def test_a_device_that_lost_nothing_it_can_name_may_say_so(store: SqliteStore) -> None:
    taken(store, reported(1, missing=[], cause="the database was born again"))
    assert [row[5] for row in held(store, schema.loss_receipts)] == [[]]


@pytest.mark.parametrize(
    "changed",
    [
        {"deviceId": ""},
        {"deviceId": "has a space"},
        {"deviceId": "tablet\n"},
        {"deviceId": "x" * 129},
        {"generation": 0},
        {"generation": 2**31},
        {"missing": [[0, 1]]},
        {"missing": [[1, 2, 3]]},
        {"missing": [[1, 2**53]]},
        {"missing": [[1, 1]] * 1001},
        {"cause": ""},
        {"cause": "x" * 501},
        {"more": 1},
    ],
    ids=str,
)
def test_what_is_no_loss_receipt_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(GOOD | changed), type=LossReported)


@pytest.mark.parametrize("left_out", GOOD)
def test_no_field_of_it_may_be_missing(left_out: str) -> None:
    rest = {name: value for name, value in GOOD.items() if name != left_out}
    with pytest.raises(msgspec.ValidationError, match=left_out):
        msgspec.json.decode(msgspec.json.encode(rest), type=LossReported)


def test_as_many_gaps_as_are_allowed_are_kept(store: SqliteStore) -> None:
    gaps = [[number, number] for number in range(1, 2001, 2)]
    taken(store, reported(1, missing=gaps, cause="x" * 500))
    assert held(store, schema.loss_receipts)[0][5] == gaps
