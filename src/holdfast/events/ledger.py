"""The ledger: accepted = applied + duplicate + dead + pending, per org.

`accepted` is counted by the journal as it commits frames; `applied`, `duplicate` and `dead` by the
store in the applier's transactions; `pending` by the backlog. Three counts by three parties: when
they do not balance, something is missing, and the ledger says how many.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import func, select

from holdfast.events.backlog import Backlog
from holdfast.journal.port import Journal
from holdfast.store import schema
from holdfast.store.port import Tx


class Row(msgspec.Struct, rename="camel"):
    """One org's line."""

    org_id: str
    accepted: int
    applied: int
    duplicate: int
    dead: int
    pending: int

    @property
    def unaccounted(self) -> int:
        """What is missing; zero is the promise."""
        return self.accepted - self.applied - self.duplicate - self.dead - self.pending


def stored(tx: Tx) -> dict[str, tuple[int, int, int]]:
    """Org -> (applied, duplicate, dead) as the store counts them; scoped to the transaction's org."""
    table = schema.ledger
    statement = select(
        table.c.org_id,
        func.sum(table.c.applied).label("applied"),
        func.sum(table.c.duplicate).label("duplicate"),
        func.sum(table.c.dead).label("dead"),
    ).group_by(table.c.org_id)
    return {row.org_id: (int(row.applied), int(row.duplicate), int(row.dead)) for row in tx.rows(statement)}


def rows(tx: Tx, journal: Journal, backlog: Backlog) -> list[Row]:
    """The ledger's lines, of the transaction's org or of all, in the order of their ids.

    Run it as a unit that writes: then no batch of the applier can slip between the counts.
    """
    counts = stored(tx)
    accepted = journal.counts()
    pending = backlog.pending(accepted)
    lines = []
    for org in sorted({*accepted, *counts} if tx.org is None else {tx.org}):
        applied, duplicate, dead = counts.get(org, (0, 0, 0))
        lines.append(
            Row(
                org,
                sum(accepted.get(org, {}).values()),
                applied,
                duplicate,
                dead,
                sum(pending.get(org, {}).values()),
            )
        )
    return lines
