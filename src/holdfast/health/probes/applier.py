"""Does the applier's cursor move, and how far behind is it?"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from holdfast.core.clock import Clock
from holdfast.health.probe import ProbeResult, Status

LAG_WARN_MS = 120_000
STUCK_S = 15.0


class Reading(NamedTuple):
    """The applier's condition, from memory."""

    backlog: int
    lag_ms: int
    moved_at_s: float
    outage: str | None
    stopped: dict[str, str]


class ApplierProbe:
    """Progress, not "process up": work waits and no cursor moves means it is stuck."""

    part = "applier"
    deadline_s = 1.0

    def __init__(self, read: Callable[[], Reading], clock: Clock) -> None:
        """`read` gives the condition."""
        self._read = read
        self._clock = clock

    async def ask(self) -> ProbeResult:
        """From memory."""
        now_s = self._clock.now_s()
        at = self._read()
        status: Status = "ok"
        reason = None
        if at.stopped:
            lane, why = next(iter(at.stopped.items()))
            status, reason = "down", f"lane {lane} is stopped: {why}"
        elif at.outage is not None:
            status, reason = "degraded", f"waiting for the store: {at.outage}"
        elif at.backlog and now_s - at.moved_at_s > STUCK_S:
            status, reason = (
                "down",
                f"{at.backlog} events wait and nothing moved for {now_s - at.moved_at_s:.0f} s",
            )
        elif at.lag_ms > LAG_WARN_MS:
            status, reason = "degraded", f"the oldest waiting event is {at.lag_ms // 1000} s old"
        return ProbeResult(self.part, status, reason, now_s, 5.0)
