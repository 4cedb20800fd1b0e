"""What proves that an event had its one effect: marks, cursors, the fence, and the ledger's counts.

All of it is written in the applier's own transaction, beside the effect itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

from sqlalchemy import Insert, bindparam, insert, select, update

from holdfast.core.errors import Unavailable
from holdfast.store import schema
from holdfast.store.port import Tx

_EPOCH: Final = select(schema.leases.c.epoch).where(schema.leases.c.name == "applier")


def take_lease(tx: Tx, holder: str, now: str) -> int:
    """Become the only applier: raise the epoch, and say which one is ours now."""
    rows = tx.rows(_EPOCH)
    epoch = int(rows[0].epoch) + 1 if rows else 1
    values = {"epoch": epoch, "holder": holder, "taken_at": now}
    if rows:
        tx.run(update(schema.leases).where(schema.leases.c.name == "applier").values(**values))
    else:
        tx.run(insert(schema.leases).values(name="applier", **values))
    return epoch


def require_lease(tx: Tx, epoch: int) -> None:
    """Refuse to go on when another applier has taken over. Raises Unavailable."""
    rows = tx.rows(_EPOCH)
    if not rows or rows[0].epoch != epoch:
        raise Unavailable("another applier has taken the lease", hint="One portal applies at a time.")


def cursors(tx: Tx) -> dict[str, int]:
    """Lane -> the position it has finished."""
    return {row.lane: int(row.position) for row in tx.rows(select(schema.cursors))}


def move_cursor(tx: Tx, lane: str, position: int, now: str) -> None:
    """Say that a lane has finished everything up to a position."""
    statement = _move(cast("_EngineInsert", type(tx.insert(schema.cursors))))
    tx.many(statement, [(lane, position, now)])


_KNOWN: Final = select(schema.marks.c.event_id, schema.marks.c.digest).where(
    schema.marks.c.org_id == bindparam("org"), schema.marks.c.event_id.in_(bindparam("ids", expanding=True))
)


_PLACED: Final = _KNOWN.add_columns(schema.marks.c.position)


def known(tx: Tx, ids: dict[str, list[str]]) -> dict[tuple[str, str], int]:
    """(org, event id) -> digest, of those ids (by org) that have a mark."""
    found: dict[tuple[str, str], int] = {}
    for org, wanted in ids.items():
        for event_id, digest in map(tuple, tx.rows(_KNOWN, {"org": org, "ids": wanted})):
            found[org, event_id] = digest
    return found


def placed(tx: Tx, ids: Mapping[str, list[str]]) -> dict[tuple[str, str], tuple[int, int]]:
    """(org, event id) -> (digest, position), of those ids (by org) that have a mark."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for org, wanted in ids.items():
        for row in tx.rows(_PLACED, {"org": org, "ids": wanted}):
            event_id, digest, position = tuple(row)
            found[org, event_id] = int(digest), int(position)
    return found


_PUT: Final = insert(schema.marks).values({column.name: None for column in schema.marks.c})


def put(tx: Tx, rows: Sequence[tuple[str, str, int, int]]) -> None:
    """Write marks: (org, event id, digest, position). A second one for an id breaks the transaction."""
    tx.many(_PUT, rows)


def tally(tx: Tx, lane: str, counts: Mapping[str, tuple[int, int, int]]) -> None:
    """Add org -> (applied, duplicate, dead) to the ledger."""
    statement = _tally(cast("_EngineInsert", type(tx.insert(schema.ledger))))
    tx.many(statement, [(org, lane, *numbers) for org, numbers in counts.items()])


_EngineInsert = Callable[..., Any]


@cache
def _move(insert: _EngineInsert) -> Insert:
    """The one statement, once an engine."""
    table = schema.cursors
    statement = insert(table).values(dict.fromkeys(table.c.keys()))
    return cast(
        "Insert",
        statement.on_conflict_do_update(
            index_elements=[table.c.lane],
            set_={name: statement.excluded[name] for name in ("position", "moved_at")},
        ),
    )


@cache
def _tally(insert: _EngineInsert) -> Insert:
    """The one statement, once an engine."""
    table = schema.ledger
    statement = insert(table).values(dict.fromkeys(table.c.keys()))
    return cast(
        "Insert",
        statement.on_conflict_do_update(
            index_elements=[table.c.org_id, table.c.lane],
            set_={
                name: table.c[name] + statement.excluded[name] for name in ("applied", "duplicate", "dead")
            },
        ),
    )
