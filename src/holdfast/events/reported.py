"""What devices say of their own outboxes, in request headers: added up per org, forgotten with age."""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.core.clock import Clock

FORGET_S: Final = 600.0
MOST: Final = 50_000
SYNC_DIGITS: Final = 4
DIGITS: Final = 12
"""A longer number is no backlog and no lag of this world."""


class Reported(NamedTuple):
    """One org's devices together: how many report a backlog, its sum, the longest lag in ms."""

    devices: int
    backlog: int
    lag_ms: int


NOBODY: Final = Reported(0, 0, 0)


class ReportedQueues:
    """The last word of each device. Event loop only; at most 50,000 devices."""

    def __init__(self, clock: Clock) -> None:
        """`clock` ages the reports: one of ten minutes ago says nothing about now."""
        self._clock = clock
        self.successes = 0
        self.failures = 0
        """Background syncs since start, as devices counted them."""
        self._said: dict[tuple[str, str], tuple[float, int, int]] = {}

    def note(self, org: str, device: str, backlog: str | None, lag_ms: str | None) -> None:
        """Take a request's two headers; what is not a number is not heard."""
        if backlog is None or not backlog.isdecimal() or len(backlog) > DIGITS:
            return
        lag = int(lag_ms) if lag_ms is not None and lag_ms.isdecimal() and len(lag_ms) <= DIGITS else 0
        self._said.pop((org, device), None)
        self._said[org, device] = (self._clock.ticks_s(), int(backlog), lag)
        if len(self._said) > MOST:
            del self._said[next(iter(self._said))]

    def synced(self, successes: str | None, failures: str | None) -> None:
        """Add what a device counted since it last was heard; what is no small number is not heard."""
        self.successes += _count(successes)
        self.failures += _count(failures)

    def by_org(self) -> dict[str, Reported]:
        """Every org's devices that report a backlog."""
        oldest = self._clock.ticks_s() - FORGET_S
        found: dict[str, Reported] = {}
        for (org, _), (at, backlog, lag) in self._said.items():
            if at >= oldest and backlog:
                known = found.get(org, NOBODY)
                found[org] = Reported(known.devices + 1, known.backlog + backlog, max(known.lag_ms, lag))
        return found

    def of(self, org: str | None) -> Reported:
        """An org's devices, or (None) everyone's."""
        oldest = self._clock.ticks_s() - FORGET_S
        fresh = [
            (backlog, lag)
            for (its, _), (at, backlog, lag) in self._said.items()
            if at >= oldest and backlog and org in (None, its)
        ]
        return Reported(len(fresh), sum(b for b, _ in fresh), max((lag for _, lag in fresh), default=0))


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) <= SYNC_DIGITS else 0
