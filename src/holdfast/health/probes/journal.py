"""Can the journal write, and how fast does it sync?"""

from __future__ import annotations

from holdfast.core.clock import Clock
from holdfast.health.probe import ProbeResult, Status
from holdfast.journal.port import Journal

SLOW_SYNC_MS = 500.0


class JournalProbe:
    """Evidence only: what the writer's own groups told."""

    part = "journal"
    deadline_s = 1.0

    def __init__(self, journal: Journal, clock: Clock, low_bytes: int) -> None:
        """`low_bytes`: free space below which the disk counts as filling."""
        self._journal = journal
        self._clock = clock
        self._low_bytes = low_bytes

    async def ask(self) -> ProbeResult:
        """From memory, and one free-space call."""
        stats = self._journal.stats()
        status: Status = "ok"
        reason = None
        if stats.fault is not None:
            status, reason = "down", stats.fault
        elif stats.free_bytes is not None and stats.free_bytes < self._low_bytes:
            status, reason = "degraded", f"{stats.free_bytes >> 20} MiB are free on the journal's volume"
        elif stats.scars:
            status, reason = "degraded", f"{stats.scars} damaged lines are kept aside"
        elif stats.sync_p99_ms is not None and stats.sync_p99_ms > SLOW_SYNC_MS:
            status, reason = "degraded", f"syncing takes {stats.sync_p99_ms:.0f} ms (p99)"
        return ProbeResult(
            self.part, status, reason, self._clock.now_s(), 5.0, latency_p95_ms=stats.sync_p99_ms
        )
