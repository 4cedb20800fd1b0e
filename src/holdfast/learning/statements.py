"""Insert statements for many rows, each built once an engine: that is what makes them cheap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, cast

from sqlalchemy import Insert, Table

from holdfast.store.port import Tx

EngineInsert = Callable[[Table], Any]
"""An engine's own insert, which knows `on_conflict_do_update`."""


def engine_insert(tx: Tx, table: Table) -> EngineInsert:
    """The engine's insert as a class: one an engine, so a statement can be cached by it."""
    return cast("EngineInsert", type(tx.insert(table)))


def insert_all(insert: EngineInsert, table: Table) -> Any:  # noqa: ANN401 - each dialect has a class of its own
    """An insert that names every column of the table, as `Tx.many` wants it."""
    return insert(table).values(dict.fromkeys(table.c.keys()))


def append(tx: Tx, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert whole rows in an unbound transaction."""
    tx.many(_append(engine_insert(tx, table), table), rows)


def add_once(tx: Tx, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert whole rows in an unbound transaction; a row whose key is there already stays as it is."""
    tx.many(_add_once(engine_insert(tx, table), table), rows)


@cache
def _append(insert: EngineInsert, table: Table) -> Insert:
    return cast("Insert", insert_all(insert, table))


@cache
def _add_once(insert: EngineInsert, table: Table) -> Insert:
    return cast("Insert", insert_all(insert, table).on_conflict_do_nothing())
