"""Which rows a transaction changes, noted exactly: what is undone or the same as before is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from holdfast.store.port import Change, Tx
from holdfast.store.schema import assignments, devices, metadata, progress
from holdfast.store.scope import OrgEscape
from holdfast.store.sqlite import SqliteStore

ROW: dict[str, Any] = {
    "org_id": "tide", "user_id": "ada", "course_id": "knots", "lesson_id": "one", "percent": 50.0,
    "completed": False, "completed_at": None, "position_s": 0.0, "position_key": "", "last_at": "now",
}  # fmt: skip
MANY = insert(progress).values(dict.fromkeys(progress.c.keys()))
UPSERT = "insert into progress values ('tide','ada','knots','one',{},0,null,0,'','now') on conflict do update set percent = max(percent, excluded.percent)"  # noqa: E501


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    opened = SqliteStore(None)
    yield opened
    opened.close()


def put(tx: Tx, **more: Any) -> None:  # noqa: ANN401
    tx.run(insert(progress).values(**ROW | more))


def put_and_fail(tx: Tx) -> None:
    with tx.savepoint():
        put(tx)
        raise RuntimeError


def test_an_added_a_changed_and_a_removed_row_are_noted_in_their_order(store: SqliteStore) -> None:
    with store.transaction(None) as tx, tx.watching([progress]) as taken:
        put(tx)
        assert taken() == [Change("progress", "added", None, ROW)]
        tx.run(progress.update().values(percent=60.0, completed=True))
        tx.run(progress.delete())
        after = ROW | {"percent": 60.0, "completed": True}
        assert taken() == [
            Change("progress", "changed", ROW, after),
            Change("progress", "removed", after, None),
        ]
        assert taken() == []


def test_rows_that_go_straight_to_the_driver_are_noted_too(store: SqliteStore) -> None:
    with store.transaction(None) as tx, tx.watching([progress]) as taken:
        tx.many(MANY, [tuple(ROW.values()), tuple((ROW | {"user_id": "abe"}).values())])
        assert [change.act for change in taken()] == ["added", "added"]


def test_an_upsert_that_writes_what_stood_there_is_no_change(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        put(tx)
        with tx.watching([progress]) as taken:
            tx.run(text(UPSERT.format(40)))
            assert taken() == []
            tx.run(text(UPSERT.format(70)))
            assert [change.act for change in taken()] == ["changed"]


def test_what_a_savepoint_undoes_is_not_noted(store: SqliteStore) -> None:
    with store.transaction(None) as tx, tx.watching([progress]) as taken:
        with pytest.raises(RuntimeError):
            put_and_fail(tx)
        assert taken() == []
        put(tx)
        assert len(taken()) == 1


def test_json_is_noted_as_json(store: SqliteStore) -> None:
    with store.transaction(None) as tx, tx.watching([devices]) as taken:
        row = {"org_id": "tide", "user_id": "ada", "device_id": "d", "generation": 1, "seqs": [[1, 3]]}
        tx.run(insert(devices).values(**row, seen_at="now"))
        (change,) = taken()
        assert change.after is not None
        assert change.after["seqs"] == [[1, 3]]


def test_tables_that_are_not_watched_are_not_noted(store: SqliteStore) -> None:
    with store.transaction(None) as tx, tx.watching([assignments]) as taken:
        put(tx)
        assert taken() == []


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_nothing_of_it_is_left_afterwards(store: SqliteStore, ends: str) -> None:
    def watched() -> None:
        with store.transaction(None) as tx, tx.watching([*metadata.sorted_tables[:3], progress]):
            put(tx)
            if ends == "badly":
                raise RuntimeError

    if ends == "badly":
        with pytest.raises(RuntimeError):
            watched()
    else:
        watched()
    with store.transaction(None) as tx:
        assert tx.rows(text("select name from sqlite_temp_master")) == []
        assert len(tx.rows(select(progress))) == (0 if ends == "badly" else 1)


def test_a_scoped_transaction_watches_nothing(store: SqliteStore) -> None:
    with store.transaction("tide") as tx, pytest.raises(OrgEscape), tx.watching([progress]):
        pass
