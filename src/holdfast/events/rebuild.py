"""Rebuilding an org's tables from the journal: fold into a shadow, compare, swap in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import JSON, Insert, Table, insert, select, tuple_

from holdfast.events import marks
from holdfast.events.entry import Kinds
from holdfast.events.refold import Compared, Fold, Read, Refold, Traces, compare, stray_marks
from holdfast.store.port import Store, Tx

_IN_LIST: Final = 100
"""Keys in one delete: up to seven values each, and engines have a limit."""

Ground = Callable[[Tx, Tx, str | None], None]
"""Copies what apply functions look for from the first transaction into the second."""


class Rebuilt(msgspec.Struct, rename="camel"):
    """What a rebuild came to."""

    org_id: str
    dry_run: bool
    swapped: bool
    same: bool
    """Whether every table already held what the journal makes."""
    refused: str | None
    """Why nothing was swapped although tables differ."""
    traces: Traces
    tables: list[Compared]
    """How each table stood before."""


def rebuild(  # noqa: PLR0913, PLR0917 - what a rebuild is made of
    tx: Tx,
    read: Read,
    kinds: Kinds,
    shadow: Store,
    lay_ground: Ground,
    folds: Sequence[Fold],
    org: str,
    now: str,
    *,
    dry_run: bool,
) -> Rebuilt:
    """Bring an org's tables to what its events make, in the caller's unbound writing transaction.

    Nothing is swapped where that would lose something: an event without a mark, a mark whose event the
    journal no longer holds, an event that can't be folded again. The applier begins anew afterwards, for
    it remembers rows that it wrote.
    """
    with shadow.transaction(None) as ground:
        lay_ground(tx, ground, org)
    fold = Refold(tx, kinds, shadow, org)
    traces = fold.run(read)
    strays = stray_marks(tx, traces, org)
    with shadow.transaction(None) as folded:
        found = [compare(tx, folded, each, org) for each in folds]
        same = all(each.same for each in found)
        refused = None if same else _refused(traces, strays)
        swap = not (same or refused or dry_run)
        if swap:
            marks.take_lease(tx, "rebuild", now)
            for each, table in zip(folds, found, strict=True):
                if not table.same:
                    _swap(tx, folded, each, org)
            left = [each.table.name for each in folds if not compare(tx, folded, each, org).same]
            if left:
                raise RuntimeError(f"tables still differ after the swap: {', '.join(left)}")
    return Rebuilt(org, dry_run, swap, same, refused, traces, found)


def _refused(traces: Traces, strays: int) -> str | None:
    if traces.number_wrong:
        return f"{traces.number_wrong} events have neither a mark nor a dead letter: replay their time first"
    if strays:
        return f"{strays} events were applied that the journal does not hold: their effect would be lost"
    if traces.unprovable:
        return f"{traces.unprovable} events can't be folded again: what they need is no longer there"
    return None


def _swap(tx: Tx, folded: Tx, fold: Fold, org: str) -> None:
    """Take out the org's rows that differ, and put in what was folded; what is the same stays."""
    table = fold.table
    asked = select(table).where(table.c.org_id == org)
    mine, theirs = list(tx.rows(asked)), list(folded.rows(asked))
    key = [column.name for column in table.primary_key]
    if not key:
        tx.run(table.delete().where(table.c.org_id == org))
        _put(tx, table, [tuple(row) for row in theirs])
        return
    said = [column.name for column in table.c if column.name not in fold.without]

    def known(rows: Sequence[Any]) -> dict[str, Any]:
        return {repr([getattr(row, name) for name in said]): row for row in rows}

    old, new = known(mine), known(theirs)
    gone = [tuple(getattr(old[each], name) for name in key) for each in old.keys() - new.keys()]
    columns = tuple_(*table.primary_key)
    for at in range(0, len(gone), _IN_LIST):
        tx.run(table.delete().where(columns.in_(gone[at : at + _IN_LIST])))
    _put(tx, table, [tuple(new[each]) for each in sorted(new.keys() - old.keys())])


def _put(tx: Tx, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    texts = [at for at, column in enumerate(table.c) if isinstance(column.type, JSON)]
    if texts:
        rows = [
            tuple(
                msgspec.json.encode(value).decode() if at in texts else value for at, value in enumerate(row)
            )
            for row in rows
        ]
    if rows:
        tx.many(_insert(table), rows)


_inserts: dict[str, Insert] = {}


def _insert(table: Table) -> Insert:
    """The one statement of a table: `Tx.many` wants it built once."""
    return _inserts.setdefault(table.name, insert(table).values(dict.fromkeys(table.c.keys())))
