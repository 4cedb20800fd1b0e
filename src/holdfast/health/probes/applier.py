"""Does the applier's cursor move, and how far behind is it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from holdfast.core.clock import Clock
from holdfast.health.probe import Outcome

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
    lines = ("progress",)
    period_s = 0.0
    deadline_s = 1.0
    votes = (1, 1)

    def __init__(self, read: Callable[[], Reading], clock: Clock) -> None:
        """`read` gives the condition."""
        self._read = read
        self._clock = clock

    def evidence(self) -> Iterable[Outcome]:
        """From memory."""
        still_s = self._clock.now_s() - (at := self._read()).moved_at_s
        if at.stopped:
            lane, why = next(iter(at.stopped.items()))
            return [Outcome("progress", "down", f"lane {lane} is stopped: {why}")]
        if at.outage is not None:
            return [Outcome("progress", "degraded", f"waiting for the store: {at.outage}")]
        if at.backlog and still_s > STUCK_S:
            reason = f"{at.backlog} events wait and nothing moved for {still_s:.0f} s"
            return [Outcome("progress", "down", reason)]
        if at.lag_ms > LAG_WARN_MS:
            reason = f"the oldest waiting event is {at.lag_ms // 1000} s old"
            return [Outcome("progress", "degraded", reason)]
        return [Outcome("progress", "ok")]

    async def ask(self) -> Iterable[Outcome]:
        """The applier speaks for itself."""
        return self.evidence()

    def latency_ms(self) -> tuple[float | None, float | None]:
        """None: the applier's age is its lag."""
        return None, None
