"""Do dead letters wait for a person?"""

from __future__ import annotations

from sqlalchemy import func, select

from holdfast.core.clock import Clock
from holdfast.core.errors import HoldfastError
from holdfast.health.probe import ProbeResult
from holdfast.store import schema
from holdfast.store.port import Store, Tx


class DeadLetterProbe:
    """Counts open letters per org."""

    part = "deadLetters"
    deadline_s = 3.0

    def __init__(self, store: Store, clock: Clock) -> None:
        """`store`: where letters lie."""
        self._store = store
        self._clock = clock
        self.open: dict[str, int] = {}
        """Org -> letters that are parked or exhausted, as last counted."""

    async def ask(self) -> ProbeResult:
        """Count; unknown while the store is out."""
        letters = schema.dead_letters
        statement = (
            select(letters.c.org_id, func.count())
            .where(letters.c.status.in_(["parked", "exhausted"]))
            .group_by(letters.c.org_id)
        )

        def work(tx: Tx) -> dict[str, int]:
            return {str(org): int(number) for org, number in (tuple(row) for row in tx.rows(statement))}

        try:
            self.open = await self._store.read(None, work)
        except HoldfastError as out:
            return ProbeResult(self.part, "unknown", out.message, self._clock.now_s(), 10.0)
        total = sum(self.open.values())
        reason = f"{total} dead letters wait for a person" if total else None
        return ProbeResult(self.part, "degraded" if total else "ok", reason, self._clock.now_s(), 10.0)
