"""Which rows a SQLite transaction changes, told by temporary triggers: exact, whatever wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import JSON, Boolean, Column, Table

from holdfast.store.port import Act, Change, Taken

_NOTES: Final = "temp.holdfast_changes"
_ACTS: Final[dict[str, Act]] = {"insert": "added", "update": "changed", "delete": "removed"}


@contextmanager
def watching(driver: Any, tables: Iterable[Table]) -> Iterator[Taken]:  # noqa: ANN401 - sqlite3's connection
    """Note changes of the tables inside the caller's transaction; nothing of it is left afterwards.

    A savepoint that is undone takes its notes with it, and so does the transaction.
    """
    watched = {table.name: table for table in tables}
    driver.execute(f"CREATE TABLE {_NOTES} (named TEXT, act TEXT, before TEXT, after TEXT)")
    for table in watched.values():
        for act in _ACTS:
            driver.execute(_trigger(table, act))

    def taken() -> list[Change]:
        noted = driver.execute(f"SELECT named, act, before, after FROM {_NOTES} ORDER BY rowid").fetchall()  # noqa: S608 - our own name
        driver.execute(f"DELETE FROM {_NOTES}")  # noqa: S608 - as above
        return [
            Change(name, act, _row(watched[name], before), _row(watched[name], after))
            for name, act, before, after in noted
        ]

    try:
        yield taken
    finally:
        # A transaction that was rolled back under us has taken them away already.
        for table in watched.values():
            for act in _ACTS:
                driver.execute(f"DROP TRIGGER IF EXISTS temp.{_name(table, act)}")
        driver.execute(f"DROP TABLE IF EXISTS {_NOTES}")


def _name(table: Table, act: str) -> str:
    return f"holdfast_{table.name}_{act}"


def _trigger(table: Table, act: str) -> str:
    old = "NULL" if act == "insert" else _object("OLD", table)
    new = "NULL" if act == "delete" else _object("NEW", table)
    # An upsert that writes what stood there is no change.
    differs = " OR ".join(f'OLD."{column.name}" IS NOT NEW."{column.name}"' for column in table.c)
    only = f"WHEN {differs} " if act == "update" else ""
    note = f"INSERT INTO holdfast_changes VALUES ('{table.name}', '{_ACTS[act]}', {old}, {new})"  # noqa: S608
    return (
        f'CREATE TEMP TRIGGER {_name(table, act)} AFTER {act.upper()} ON main."{table.name}" '
        f"{only}BEGIN {note}; END"
    )


def _object(which: str, table: Table) -> str:
    return f"json_object({', '.join(_pair(which, column) for column in table.c)})"


def _pair(which: str, column: Column[Any]) -> str:
    return f"'{column.name}', {which}.\"{column.name}\""


def _row(table: Table, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    row: dict[str, Any] = msgspec.json.decode(text)
    for column in table.c:
        value = row[column.name]
        if isinstance(column.type, Boolean) and value is not None:
            row[column.name] = bool(value)
        elif isinstance(column.type, JSON) and isinstance(value, str):
            row[column.name] = msgspec.json.decode(value)
    return row
