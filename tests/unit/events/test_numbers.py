"""The devices' rows that the applier remembers: never more than the store holds, never another's."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from holdfast.events.numbers import Device, Heard, Remembered, note
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.store.sqlite import SqliteStore
from tests.unit.events.spine import NOW, held

PHONE: Device = ("tide", "ada", "phone", 1)
TABLET: Device = ("tide", "ada", "tablet", 1)


class BreaksOffError(Exception):
    """Something else in the batch fails."""


def heard(**seqs: list[int]) -> Mapping[Device, Heard]:
    devices = {"phone": PHONE, "tablet": TABLET}
    return {devices[name]: Heard(numbers, NOW) for name, numbers in seqs.items()}


def stored(store: SqliteStore) -> dict[str, list[list[int]]]:
    return {row[2]: row[4] for row in held(store, schema.devices)}


def put(store: SqliteStore, remembered: Remembered, **seqs: list[int]) -> None:
    with store.transaction(None) as tx:
        note(tx, heard(**seqs), remembered)


def test_numbers_that_come_batch_by_batch_are_one_range_however_they_are_known(store: SqliteStore) -> None:
    remembered = Remembered()
    put(store, remembered, phone=[1, 2, 3])
    put(store, remembered, phone=[4, 5], tablet=[2])
    put(store, Remembered(), phone=[6], tablet=[9, 1])
    put(store, remembered, tablet=[3])
    assert stored(store)["phone"] == [[1, 6]]


def test_what_is_remembered_is_what_the_store_holds(store: SqliteStore) -> None:
    remembered = Remembered()
    for seqs in ([1, 2], [3], [9, 8], [5], [4, 6, 7], [1], [20]):
        put(store, remembered, phone=seqs)
        row = remembered.get(PHONE)
        assert row is not None
        assert row[0] == stored(store)["phone"]
    assert stored(store)["phone"] == [[1, 9], [20, 20]]


@pytest.mark.parametrize("seqs", [[3], [7], [1, 5]])
def test_a_transaction_that_fails_leaves_what_is_remembered_as_it_was(
    store: SqliteStore, seqs: list[int]
) -> None:
    remembered = Remembered()
    put(store, remembered, phone=[1, 2])
    before = msgspec.json.encode(remembered.get(PHONE))
    with pytest.raises(BreaksOffError), store.transaction(None) as tx:  # noqa: PT012 - both in one transaction
        note(tx, heard(phone=seqs, tablet=[1]), remembered)
        raise BreaksOffError
    assert msgspec.json.encode(remembered.get(PHONE)) == before
    assert remembered.get(TABLET) is None
    put(store, remembered, phone=[3])
    assert stored(store) == {"phone": [[1, 3]]}


def test_what_is_forgotten_is_read_again(store: SqliteStore) -> None:
    remembered = Remembered()
    put(store, remembered, phone=[1, 2])
    with store.transaction(None) as tx:
        tx.run(schema.devices.delete())
    remembered.forget()
    put(store, remembered, phone=[3])
    assert stored(store) == {"phone": [[3, 3]]}


def test_no_more_is_remembered_than_there_is_room_for(store: SqliteStore) -> None:
    remembered = Remembered(1)
    put(store, remembered, phone=[1])
    put(store, remembered, tablet=[1])
    assert (remembered.get(PHONE), remembered.get(TABLET)) == (None, ([[1, 1]], NOW))
    put(store, remembered, phone=[2])
    assert stored(store) == {"phone": [[1, 2]], "tablet": [[1, 1]]}


def test_a_device_that_is_remembered_costs_no_look_into_the_store(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = Remembered()
    put(store, remembered, phone=[1])
    with store.transaction(None) as tx:
        monkeypatch.setattr(type(tx), "rows", _no_rows)
        note(tx, heard(phone=[2]), remembered)


def _no_rows(_tx: Tx, *_: object) -> None:
    raise AssertionError("the store was asked")
