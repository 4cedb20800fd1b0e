"""Does the store read and write, and is it still the one that we opened?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from holdfast.core.errors import HoldfastError
from holdfast.health.probe import Outcome, Status
from holdfast.store.port import Store

LOCKED_S: Final = 0.2
"""So long nobody of ours waits for a lock: another program holds it."""
HUNG_S: Final = 60.0
"""A unit of work that has not ended by then is stuck, not long."""
_WORTH: Final[dict[str, Status]] = {"reads": "down", "writes": "degraded", "opens": "down"}


class StoreProbe:
    """The outcomes of real units; `touch` where there were none.

    `opens` is what somebody who comes anew would find: held connections go on with a file that was
    replaced under them, so no traffic ever tells.
    """

    part = "store"
    lines = ("reads", "writes", "opens")
    deadline_s = 3.0
    votes = (2, 3)

    def __init__(self, store: Store, period_s: float) -> None:
        """`store`: the one to ask."""
        self._store = store
        self.period_s = period_s

    def evidence(self) -> Iterable[Outcome]:
        """What units of work met since last time, and whether one waits for a lock now."""
        found = [
            Outcome(line := "writes" if each.writes else "reads", _status(line, each.reason), each.reason)
            for each in self._store.outcomes()
        ]
        stats = self._store.stats()
        if stats.locked_s is not None and stats.locked_s > LOCKED_S:
            found.append(
                Outcome("writes", "degraded", f"locked by another program for {stats.locked_s:.1f} s")
            )
        elif stats.working_s is not None:
            hung = stats.working_s > HUNG_S
            reason = f"a unit of work has not ended for {stats.working_s:.0f} s" if hung else None
            found.append(Outcome("writes", _status("writes", reason), reason))
        return found

    async def ask(self) -> Iterable[Outcome]:
        """Open anew and read; write a row of the probe's own, unless somebody is writing."""
        reads = await self._reason(writes=False)
        found = [Outcome(line, _status(line, reads), reads) for line in ("opens", "reads")]
        if self._store.stats().working_s is None:
            writes = await self._reason(writes=True)
            found.append(Outcome("writes", _status("writes", writes), writes))
        return found

    async def _reason(self, *, writes: bool) -> str | None:
        try:
            async with asyncio.timeout(self.deadline_s / 3):
                await self._store.touch(writes=writes)
        except TimeoutError:
            return f"no answer within {self.deadline_s / 3:.0f} s"
        except HoldfastError as out:
            return out.message
        return None

    def latency_ms(self) -> tuple[float | None, float | None]:
        """Of units that read and of those that write, the slower."""
        stats = self._store.stats()
        return stats.read_p50_ms, max(
            (each for each in (stats.read_p95_ms, stats.write_p95_ms) if each is not None), default=None
        )


def _status(line: str, reason: str | None) -> Status:
    return "ok" if reason is None else _WORTH[line]
