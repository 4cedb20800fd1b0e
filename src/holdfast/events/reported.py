"""What devices say of their own outboxes, in request headers: added up per org, forgotten with age."""

from __future__ import annotations

from collections import OrderedDict
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


class _Org:
    """One org's devices by (user, device), with sums that are kept up: health asks for them all the time."""

    def __init__(self) -> None:
        self.devices: dict[tuple[str, str], tuple[int, int]] = {}
        """What each said: its backlog, its lag in ms."""
        self._holding = 0
        self._backlog = 0
        self._lag_ms: int | None = 0
        """The longest of those with a backlog; None when it must be looked for."""

    def put(self, device: tuple[str, str], backlog: int, lag_ms: int) -> None:
        longest_ms = self._lag_ms
        self.drop(device)
        self.devices[device] = (backlog, lag_ms)
        if backlog:
            self._holding += 1
            self._backlog += backlog
            if longest_ms is not None and lag_ms >= longest_ms:
                self._lag_ms = lag_ms

    def drop(self, device: tuple[str, str]) -> None:
        backlog, lag_ms = self.devices.pop(device, (0, 0))
        if backlog:
            self._holding -= 1
            self._backlog -= backlog
            if lag_ms == self._lag_ms:
                self._lag_ms = None

    def sums(self) -> Reported:
        if self._lag_ms is None:
            self._lag_ms = max((lag for backlog, lag in self.devices.values() if backlog), default=0)
        return Reported(self._holding, self._backlog, self._lag_ms)


class ReportedQueues:
    """The last word of each device. Event loop only; at most 50,000 devices."""

    def __init__(self, clock: Clock) -> None:
        """`clock` ages the reports: one of ten minutes ago says nothing about now."""
        self._clock = clock
        self.successes = 0
        self.failures = 0
        """Background syncs since start, as devices counted them."""
        self._said: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        """(org, user, device) -> when; the one heard longest ago comes first."""
        self._orgs: dict[str, _Org] = {}

    def note(self, org: str, user: str, device: str, backlog: str | None, lag_ms: str | None) -> None:
        """Take a request's two headers; what is not a number is not heard."""
        if backlog is None or not backlog.isdecimal() or len(backlog) > DIGITS:
            return
        lag = int(lag_ms) if lag_ms is not None and lag_ms.isdecimal() and len(lag_ms) <= DIGITS else 0
        self._said[org, user, device] = self._clock.ticks_s()
        self._said.move_to_end((org, user, device))
        self._orgs.setdefault(org, _Org()).put((user, device), int(backlog), lag)
        self._forget()

    def took(self, org: str, user: str, device: str, number: int) -> None:
        """So many events of a device were just answered for: where it held no more, it holds none now.

        It speaks with what it sends and has nothing to say afterwards; its word would stand for ten minutes.
        """
        held = self.last(org, user, device)
        if held is not None and 0 < held[0] <= number:
            self._orgs[org].put((user, device), 0, 0)

    def synced(self, successes: str | None, failures: str | None) -> None:
        """Add what a device counted since it last was heard; what is no small number is not heard."""
        self.successes += _count(successes)
        self.failures += _count(failures)

    def by_org(self) -> dict[str, Reported]:
        """Every org's devices that report a backlog."""
        self._forget()
        every = {org: its.sums() for org, its in self._orgs.items()}
        return {org: sums for org, sums in every.items() if sums.devices}

    def of(self, org: str | None) -> Reported:
        """An org's devices, or (None) everyone's."""
        by_org = self.by_org()
        if org is not None:
            return by_org.get(org, NOBODY)
        every = by_org.values()
        lag_ms = max((sums.lag_ms for sums in every), default=0)
        return Reported(sum(sums.devices for sums in every), sum(sums.backlog for sums in every), lag_ms)

    def last(self, org: str, user: str, device: str) -> tuple[int, int] | None:
        """A device's last word, backlog and lag in ms; None where it said nothing lately."""
        self._forget()
        its = self._orgs.get(org)
        return None if its is None else its.devices.get((user, device))

    def _forget(self) -> None:
        """Let go of what is too old, and of the oldest where there are too many."""
        oldest_s = self._clock.ticks_s() - FORGET_S
        while self._said:
            key, at_s = next(iter(self._said.items()))
            if at_s >= oldest_s and len(self._said) <= MOST:
                return
            del self._said[key]
            org, user, device = key
            self._orgs[org].drop((user, device))
            if not self._orgs[org].devices:
                del self._orgs[org]


def _count(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) <= SYNC_DIGITS else 0
