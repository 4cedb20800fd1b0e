"""How much is waiting, and for how long: from memory, so that it can be told while the store is out.

The count is the journal's own (everything durable) less what the applier has finished with; the
ledger holds it against the store's counts.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from holdfast.core.clock import Clock, parse_rfc3339
from holdfast.events.kind import LANES
from holdfast.journal.port import Counts, Journal

SLOW_FROM_MS: Final = 5_000
SLOW_MOST_MS: Final = 8_000


class Backlog:
    """Backlog (a count) and lag (the age of the oldest, in ms), per lane and per org. Thread-safe."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        """Until `begin` it counts what came since now: what of the rest was applied only the store knows."""
        self._journal = journal
        self._clock = clock
        self._done = journal.counts()
        self._oldest: dict[str, float] = {}
        self._oldest_of_all: float | None = None
        self._lock = threading.Lock()
        self.known = False
        """Whether the cursors were read since start."""

    def begin(self, cursors: Mapping[str, int]) -> None:
        """Take the cursors as they stand in the store."""
        done: Counts = {}
        for lane in LANES:
            for org, lanes in self._journal.counts(cursors.get(lane, 0)).items():
                if lane in lanes:
                    done.setdefault(org, {})[lane] = lanes[lane]
        with self._lock:
            self._done = done
            self.known = True

    def reading(self, lane: str, oldest_received_at: str | None) -> None:
        """The applier looks at a batch: when its first record was received, None when there is none."""
        with self._lock:
            if oldest_received_at is None:
                self._oldest.pop(lane, None)
            else:
                self._oldest[lane] = parse_rfc3339(oldest_received_at)
            self._oldest_of_all = min(self._oldest.values(), default=None)

    def finished(self, lane: str, counts: Mapping[str, int]) -> None:
        """The applier's transaction committed: org -> how many records it settled."""
        with self._lock:
            for org, number in counts.items():
                mine = self._done.setdefault(org, {})
                mine[lane] = mine.get(lane, 0) + number

    def pending(self, accepted: Counts | None = None) -> Counts:
        """Org -> lane -> events that are durable and not yet applied; of a given count of accepted.

        Until the cursors are known, what waited at start is not in it.
        """
        accepted = self._journal.counts() if accepted is None else accepted
        with self._lock:
            return {
                org: {lane: number - self._done.get(org, {}).get(lane, 0) for lane, number in lanes.items()}
                for org, lanes in accepted.items()
            }

    def of(self, org: str) -> int:
        """How many of an org's events wait."""
        return sum(self.pending().get(org, {}).values())

    def total(self) -> int:
        """How many events wait in all."""
        return sum(sum(lanes.values()) for lanes in self.pending().values())

    def lag_ms(self, lane: str | None = None) -> int:
        """Age of the oldest waiting event, of one lane or of all; 0 when nothing waits."""
        # One read of one attribute: no lock, for every receipt asks.
        oldest = self._oldest_of_all if lane is None else self._oldest.get(lane)
        return 0 if oldest is None else max(0, int((self._clock.now_s() - oldest) * 1000))

    def slow_down_ms(self) -> int:
        """What senders are asked to wait between batches while the applier is behind."""
        lag = self.lag_ms()
        return 0 if lag < SLOW_FROM_MS else min(SLOW_MOST_MS, lag // 10)
