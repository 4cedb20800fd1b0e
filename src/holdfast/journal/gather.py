"""What gathers while the writer is at the disk: frames are worded and hashed beside its sync.

A group is one write and one sync. Whoever appends words what it brought, so that the writer, back
from the disk, finds lines and their digest ready; frames of a few events gather until there are
enough of them to be worded together, which costs a third of wording them one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from holdfast.journal import segment
from holdfast.journal.port import Counts
from holdfast.journal.record import Event

WORDED_TOGETHER: Final = 32
"""Loose events that are worded without waiting for the writer to ask for them."""


class Waiting(NamedTuple):
    """Who waits for a frame."""

    done: asyncio.Future[int]
    first: int
    loop: asyncio.AbstractEventLoop


class Group:
    """Lines that go to the disk together; without any, an empty frame."""

    __slots__ = ("events", "hash", "last", "orgs", "size_bytes", "texts", "waiting")

    def __init__(self) -> None:
        """Nothing gathered yet."""
        self.waiting: list[Waiting] = []
        self.texts: list[bytes] = []
        self.hash = sha256()
        self.orgs: Counts = {}
        self.events = 0
        self.last = 0
        """Its last position, once it has any."""
        self.size_bytes = 0


class Gathering:
    """The groups that wait for the writer, in order. Its owner holds a lock around each call."""

    def __init__(self, after: int, most: int) -> None:
        """`after`: positions begin beyond it. `most`: a group with so many events is full."""
        self._next = after + 1
        self._most = most
        self._full: deque[Group] = deque()
        self._open = Group()
        self._loose: list[tuple[Sequence[Event], asyncio.Future[int], asyncio.AbstractEventLoop]] = []
        self._loose_events = 0

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._loose or self._open.waiting or self._full)

    def add(
        self,
        events: Sequence[Event],
        done: asyncio.Future[int],
        loop: asyncio.AbstractEventLoop,
        received_at: Callable[[], bytes],
    ) -> None:
        """One more frame."""
        self._loose.append((events, done, loop))
        self._loose_events += len(events)
        if self._loose_events >= WORDED_TOGETHER:
            self._word(received_at())

    def take(self, received_at: Callable[[], bytes]) -> Group:
        """What the writer is to write next: the oldest full group, or all that waits."""
        if self._full:
            return self._full.popleft()
        if self._loose:
            self._word(received_at())
        if self._full:
            return self._full.popleft()
        group, self._open = self._open, Group()
        return group

    def _word(self, received_at: bytes) -> None:
        """Give what is loose its positions and its lines, and its place in a group."""
        events: list[Event] = []
        first = self._next
        for some, done, loop in self._loose:
            self._open.waiting.append(Waiting(done, self._next, loop))
            self._next += len(some)
            events += some
            if self._open.events + len(events) >= self._most:
                _put(self._open, first, events, received_at)
                self._full.append(self._open)
                self._open = Group()
                events, first = [], self._next
        if events:
            _put(self._open, first, events, received_at)
        self._loose.clear()
        self._loose_events = 0


def _put(group: Group, first: int, events: Sequence[Event], received_at: bytes) -> None:
    _, orgs, lanes, _, datas = zip(*events, strict=True)
    text = segment.event_lines(first, received_at, datas)
    group.texts.append(text)
    group.hash.update(text)
    group.size_bytes += len(text)
    group.events += len(events)
    group.last = first + len(events) - 1
    segment.count(orgs, lanes, group.orgs)
