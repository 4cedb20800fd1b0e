"""Can the journal write, and how fast does it sync?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from holdfast.health.probe import Outcome
from holdfast.journal.port import Journal

SLOW_SYNC_MS = 500.0


class JournalProbe:
    """Evidence only: what the writer's own groups told."""

    part = "journal"
    lines = ("writes",)
    period_s = 0.0
    deadline_s = 1.0
    votes = (1, 1)

    def __init__(
        self, journal: Journal, hard_bytes: int = 0, lacks: Callable[[], int | None] = lambda: None
    ) -> None:
        """`journal`: the one that is written to. `hard_bytes`: with less room intake takes nothing.

        `lacks`: by how many positions the store is ahead of it.
        """
        self._journal = journal
        self._hard_bytes = hard_bytes
        self._lacks = lacks

    def evidence(self) -> Iterable[Outcome]:
        """From memory."""
        stats = self._journal.stats()
        if stats.fault is not None:
            return [Outcome("writes", "down", stats.fault)]
        if stats.free_bytes is not None and stats.free_bytes < self._hard_bytes:
            # Nothing is written that could fail, and yet nobody's work is taken any more.
            reason = f"{stats.free_bytes >> 20} MiB are free on the journal's volume: nothing is taken"
            return [Outcome("writes", "down", reason)]
        if stats.scars:
            return [Outcome("writes", "degraded", f"{stats.scars} damaged lines are kept aside")]
        if lacks := self._lacks():
            said = f"it is an older copy: it ended {lacks} positions before the store at start"
            return [Outcome("writes", "degraded", said)]
        if stats.sync_p99_ms is not None and stats.sync_p99_ms > SLOW_SYNC_MS:
            return [Outcome("writes", "degraded", f"syncing takes {stats.sync_p99_ms:.0f} ms (p99)")]
        return [Outcome("writes", "ok")]

    async def ask(self) -> Iterable[Outcome]:
        """The writer speaks for itself."""
        return self.evidence()

    def latency_ms(self) -> tuple[float | None, float | None]:
        """Of syncs."""
        return None, self._journal.stats().sync_p99_ms
