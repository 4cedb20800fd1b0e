"""Which sequence numbers of each device's outbox arrived: how a device finds out what it lost.

A gap that no waiting entry explains is a loss (durability rule 7). The answer is from memory; what
memory lacks after a start is read from the store, and where that can't be known, nothing is said
rather than something wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final

import msgspec

Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Ranges = list[list[int]]
"""Sorted, disjoint, not touching: [[from, to], …], both ends in."""

MAX_RANGES: Final = 1000
"""A device with more gaps than this keeps its newest ones: as many as one loss receipt can hold."""


class DeviceState(msgspec.Struct, rename="camel"):
    """What the server has of a device: the highest sequence number, and every hole below it.

    All of them: a device takes what is not named for arrived, and a hole that it does not hear of is a loss
    that nobody is told.
    """

    accepted_through: Seq
    missing: list[tuple[Seq, Seq]]


def merge(ranges: Ranges, seqs: Sequence[int]) -> Ranges:
    """The ranges with more numbers in; order and repetition don't matter."""
    if seqs and [*seqs] == [*range(seqs[0], seqs[0] + len(seqs))]:
        # What a device sends nearly always: numbers that follow on.
        return union(ranges, [[seqs[0], seqs[-1]]])
    return union(ranges, [[seq, seq] for seq in seqs])


def union(one: Ranges, other: Ranges) -> Ranges:
    """Both ranges as one."""
    merged: Ranges = []
    for low, high in sorted([*one, *other]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return _newest_gaps(merged)


def _newest_gaps(ranges: Ranges) -> Ranges:
    """Close the oldest gaps where there are too many: numbers that arrived must never count as missing."""
    over = len(ranges) - MAX_RANGES
    return ranges if over <= 0 else [[ranges[0][0], ranges[over][1]], *ranges[over + 1 :]]


def state(ranges: Ranges) -> DeviceState:
    """Ranges as the device is told them; numbering begins at 1."""
    missing: list[tuple[int, int]] = []
    below = 1
    for low, high in ranges:
        if low > below:
            missing.append((below, low - 1))
        below = high + 1
    return DeviceState(ranges[-1][1] if ranges else 0, missing)


Load = Callable[[str, str, str, int, bool], Awaitable[Ranges | None]]
"""(org, user, device, generation, whether memory forgot devices) -> what the store knows of one; None
when that, with what was heard since start, can't be the whole truth now."""


class DeviceBook:
    """The ranges of the devices heard from lately. Event loop only."""

    def __init__(self, load: Load, *, size: int = 100_000) -> None:
        """`load` is asked once for each device that is new to this process."""
        self._load = load
        self._size = size
        self._ranges: dict[tuple[str, str, str, int], Ranges] = {}
        self._unknown: dict[tuple[str, str, str, int], Ranges] = {}
        self.forgot = False
        """Whether a device had to be forgotten since start: then memory and store may not meet."""

    async def saw(
        self, org: str, user: str, device: str | None, generation: int, seqs: list[int]
    ) -> DeviceState | None:
        """Note numbers that arrived; what the device may be told, None where that isn't known."""
        if device is None:
            return None
        key = (org, user, device, generation)
        known = self._ranges.get(key)
        if known is None:
            # Noted before the wait: another batch of the same device may come in the meantime.
            self._keep(self._unknown, key, merge(self._unknown.get(key, []), seqs))
            stored = await self._load(org, user, device, generation, self.forgot)
            if stored is None:
                return None
            known = union(union(stored, self._unknown.pop(key, [])), self._ranges.get(key, []))
        elif len(known) == 1 and seqs == [known[0][1] + 1]:
            known[0][1] += 1
            return DeviceState(known[0][1], [(1, known[0][0] - 1)] if known[0][0] > 1 else [])
        else:
            known = merge(known, seqs)
        self._keep(self._ranges, key, known)
        return state(known)

    def _keep(
        self,
        where: dict[tuple[str, str, str, int], Ranges],
        key: tuple[str, str, str, int],
        ranges: Ranges,
    ) -> None:
        where[key] = ranges
        if len(where) > self._size:
            del where[next(iter(where))]
            self.forgot = True
