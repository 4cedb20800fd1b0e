"""When a change is believed: k of n for the worse, a dwell that grows for the better.

Never "n in a row": what fails every other time would never count (flapjack/flapjack #689), and what
recovers every other second would change the screen each time (louislam/uptime-kuma #3031).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from holdfast.health.probe import Outcome, Status

RANKS: Final[dict[Status, int]] = {"ok": 0, "degraded": 1, "down": 2}
_NAMES: Final[tuple[Status, ...]] = ("ok", "degraded", "down")
CLEAN: Final = 3
"""So many outcomes in a row must be better before anything is."""
DWELL_MOST_S: Final = 300.0
FLAPS_S: Final = 600.0
"""Losses of the last ten minutes lengthen the dwell."""
MEMORY_S: Final = 30.0
"""An older outcome has no vote."""


class Steady:
    """One line of one part: its outcomes, and what they add up to."""

    def __init__(self, votes: tuple[int, int], dwell_s: float) -> None:
        """`dwell_s`: how long it must have been better before it is called so, the first time."""
        self._k, self._n = votes
        self._dwell_s = dwell_s
        self._last: deque[tuple[int, float]] = deque(maxlen=max(self._n, CLEAN))
        self._rank: int | None = None
        self._bad_at_s = float("-inf")
        self._lost_at_s: deque[float] = deque(maxlen=16)
        self._reason: str | None = None
        self.heard_at_s = float("-inf")
        """When the last outcome came, in the clock's ticks."""

    @property
    def status(self) -> Status:
        """What is believed; unknown before the first outcome."""
        return "unknown" if self._rank is None else _NAMES[self._rank]

    @property
    def reason(self) -> str | None:
        """Why it is not ok, as last heard."""
        return self._reason if self._rank else None

    @property
    def undecided(self) -> bool:
        """Whether the last outcome is worse than what is believed: ask again at once."""
        return bool(self._last) and self._last[-1][0] > (self._rank or 0)

    @property
    def dwell_s(self) -> float:
        """How long it must be better now: twice as long with each loss of the last ten minutes."""
        return min(DWELL_MOST_S, self._dwell_s * 2.0 ** max(0, len(self._lost_at_s) - 1))

    def hear(self, outcome: Outcome, at_s: float) -> None:
        """Take an outcome; `at_s` in the clock's ticks."""
        rank = RANKS.get(outcome.status)
        if rank is None:
            return
        self.heard_at_s = at_s
        self._last.append((rank, at_s))
        if rank:
            self._reason = outcome.reason
            if self._rank is not None and rank >= self._rank:
                self._bad_at_s = at_s
        self.settle(at_s)

    def settle(self, now_s: float) -> None:
        """Come to a belief as of now."""
        if self._rank is None:
            if not self._last:
                return
            self._rank = 0
        while self._lost_at_s and now_s - self._lost_at_s[0] > FLAPS_S:
            self._lost_at_s.popleft()
        recent = [rank for rank, at_s in list(self._last)[-self._n :] if now_s - at_s <= MEMORY_S]
        believed = max((each for each in (1, 2) if sum(r >= each for r in recent) >= self._k), default=0)
        if believed > self._rank:
            if self._rank == 0:
                self._lost_at_s.append(now_s)
            self._rank = believed
            self._bad_at_s = now_s
        elif self._rank and now_s - self._bad_at_s >= self.dwell_s:
            clean = [rank for rank, _ in list(self._last)[-CLEAN:]]
            if len(clean) == CLEAN and max(clean) < self._rank:
                self._rank = max(clean)
                self._bad_at_s = now_s
