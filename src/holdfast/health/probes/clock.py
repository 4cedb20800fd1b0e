"""Does the machine's clock go as time goes?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from holdfast.core.clock import Clock
from holdfast.health.probe import Outcome

JUMP_S: Final = 5.0
SHOWN_S: Final = 300.0
"""How long a jump is worth saying."""


class ClockProbe:
    """Wall time against the clock that never jumps: the difference should stay what it is."""

    part = "clock"
    lines = ("steps",)
    period_s = 0.0
    deadline_s = 1.0
    votes = (1, 1)

    def __init__(self, clock: Clock) -> None:
        """`clock`: the one that stamps events."""
        self._clock = clock
        self._apart_s = clock.now_s() - clock.ticks_s()
        self._jumped: tuple[float, float] | None = None

    def evidence(self) -> Iterable[Outcome]:
        """From memory."""
        ticks_s = self._clock.ticks_s()
        apart_s = self._clock.now_s() - ticks_s
        step_s = apart_s - self._apart_s
        self._apart_s = apart_s
        if abs(step_s) > JUMP_S:
            self._jumped = (ticks_s, step_s)
        if self._jumped is None or ticks_s - self._jumped[0] > SHOWN_S:
            return [Outcome("steps", "ok")]
        way = "ahead" if self._jumped[1] > 0 else "back"
        return [Outcome("steps", "degraded", f"the clock jumped {abs(self._jumped[1]):.0f} s {way}")]

    async def ask(self) -> Iterable[Outcome]:
        """The clock speaks for itself."""
        return self.evidence()

    def latency_ms(self) -> tuple[float | None, float | None]:
        """None."""
        return None, None
