"""The last changes, and readings of the last hour: in memory, for people who ask what happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from statistics import median
from typing import Final, NamedTuple

from holdfast.health.probe import Status

CHANGES: Final = 200
EVERY_S: Final = 10.0
READINGS: Final = 360
"""An hour of them."""
USUAL_S: Final = 60.0
"""How long a loss is expected to last while none of its kind has ended yet."""


class Change(NamedTuple):
    """The verdict changed."""

    at_s: float
    status: Status
    begun: tuple[str, ...]
    """Degradations that began."""
    ended: tuple[str, ...]


class Reading(NamedTuple):
    """Numbers as they stood. When is told in the clock's ticks: the wall's may be set back."""

    at_ticks_s: float
    values: Mapping[str, float]


class History:
    """What happened lately. Nothing of it survives a restart; the log and Prometheus do."""

    def __init__(self) -> None:
        self.changes: deque[Change] = deque(maxlen=CHANGES)
        self.readings: deque[Reading] = deque(maxlen=READINGS)
        self._lasted_s: dict[str, deque[float]] = {}

    def lasted(self, degradation: str, seconds: float) -> None:
        """One has ended after so long."""
        self._lasted_s.setdefault(degradation, deque(maxlen=9)).append(seconds)

    def expected_s(self, degradation: str, so_far_s: float) -> float:
        """How long one is likely to last in all: as the last ones did, and twice that once it is past."""
        known = self._lasted_s.get(degradation)
        expected = max(1.0, median(known)) if known else USUAL_S
        while expected <= so_far_s:
            expected *= 2
        return expected

    def read(self, ticks_s: float, numbers: Callable[[], Mapping[str, float]]) -> None:
        """Keep a reading, unless the last one is younger than ten seconds; only then add the numbers up."""
        if not self.readings or ticks_s - self.readings[-1].at_ticks_s >= EVERY_S:
            self.readings.append(Reading(ticks_s, numbers()))
