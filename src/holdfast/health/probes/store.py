"""Does the store read and write?"""

from __future__ import annotations

from sqlalchemy import select

from holdfast.core.clock import Clock
from holdfast.core.errors import HoldfastError
from holdfast.health.probe import ProbeResult
from holdfast.store import schema
from holdfast.store.port import Store, Tx


def _look(tx: Tx) -> None:
    tx.rows(select(schema.cursors.c.lane).limit(1))


def _touch(tx: Tx) -> None:
    # Takes the write lock and writes nothing that anybody reads.
    tx.run(schema.leases.update().where(schema.leases.c.name == "probe").values(epoch=0))


class StoreProbe:
    """A read and a write of its own, small ones."""

    part = "store"
    deadline_s = 3.0

    def __init__(self, store: Store, clock: Clock) -> None:
        """`store`: the one to ask."""
        self._store = store
        self._clock = clock

    async def ask(self) -> ProbeResult:
        """Read and write a little; the store's own word where that fails."""
        try:
            await self._store.read(None, _look)
            await self._store.run(None, _touch)
        except HoldfastError as out:
            return ProbeResult(self.part, "down", out.message, self._clock.now_s(), 5.0)
        stats = self._store.stats()
        return ProbeResult(
            self.part, "ok", None, self._clock.now_s(), 5.0, stats.read_p95_ms, stats.write_p95_ms
        )
