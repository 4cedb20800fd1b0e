"""How fast the disk syncs, as its last minute says."""

from __future__ import annotations

from collections import deque
from typing import Final

AGE_S: Final = 60.0
"""How long a sync says how fast the disk is: one slow one must not be its condition for days."""
MOST: Final = 512


class Pace:
    """The last syncs. The caller keeps it to one thread at a time."""

    def __init__(self) -> None:
        """None yet."""
        self._syncs: deque[tuple[float, float]] = deque(maxlen=MOST)

    def took(self, milliseconds: float, now_s: float) -> None:
        """One has ended; `now_s` in the clock's ticks."""
        self._syncs.append((now_s, milliseconds))

    def p99_ms(self, now_s: float) -> float | None:
        """The 99th percentile; rounded down, so that one slow sync among a few is not believed."""
        times = sorted(took_ms for ended_s, took_ms in self._syncs if now_s - ended_s <= AGE_S)
        return times[int((len(times) - 1) * 0.99)] if len(times) > 1 else None
