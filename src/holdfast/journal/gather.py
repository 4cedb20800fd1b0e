"""What gathers while the writer is at the disk: frames are worded and hashed beside its sync.

A group is one write and one sync. Whoever appends words what it brought, so that the writer, back
from the disk, finds lines and their digest ready; frames of a few events gather until there are
enough of them to be worded together, which costs a third of wording them one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from holdfast.journal import segment
from holdfast.journal.port import Counts
from holdfast.journal.record import Event

WORDED_TOGETHER: Final = 32
"""Loose events that are worded without waiting for the writer to ask for them."""


Waiting = tuple["asyncio.Future[int]", int, asyncio.AbstractEventLoop]
"""Who waits for a frame, its first position, and where it waits. A bare tuple: one is made an event."""


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
        self, events: Sequence[Event], done: asyncio.Future[int], loop: asyncio.AbstractEventLoop
    ) -> bool:
        """One more frame. Whether there is enough now to `word` it."""
        self._loose.append((events, done, loop))
        self._loose_events += len(events)
        return self._loose_events >= WORDED_TOGETHER

    def take(self) -> Group:
        """What the writer is to write next: the oldest full group, or what is worded; it may be empty."""
        if self._full:
            return self._full.popleft()
        group, self._open = self._open, Group()
        return group

    @property
    def loose(self) -> bool:
        """Whether there is something to `word`."""
        return bool(self._loose)

    def drop(self) -> list[Waiting]:
        """Let go of what can't be worded, and say who waits for it."""
        waiting: list[Waiting] = [(done, 0, loop) for _, done, loop in self._loose]
        self._loose.clear()
        self._loose_events = 0
        return waiting

    def word(self, received_at: bytes) -> None:
        """Give what is loose its positions and its lines, and its place in a group."""
        waiting: list[Waiting] = []
        events: list[Event] = []
        at = self._next
        for some, done, loop in self._loose:
            waiting.append((done, at, loop))
            at += len(some)
            events += some
            if self._open.events + len(events) >= self._most:
                self._put(waiting, events, received_at)
                self._full.append(self._open)
                self._open = Group()
                waiting, events = [], []
        if waiting:
            self._put(waiting, events, received_at)
        self._loose.clear()
        self._loose_events = 0

    def _put(self, waiting: list[Waiting], events: list[Event], received_at: bytes) -> None:
        group = self._open
        if events:
            _, orgs, lanes, _, datas = zip(*events, strict=True)
            text = segment.event_lines(self._next, received_at, datas)
            group.hash.update(text)
            segment.count(orgs, lanes, group.orgs)
            group.texts.append(text)
            group.size_bytes += len(text)
            group.events += len(events)
            self._next += len(events)
            group.last = self._next - 1
        group.waiting += waiting  # last: who waits is answered for what stands in the group

    @property
    def size_bytes(self) -> int:
        """Of all that waits here."""
        worded = self._open.size_bytes + sum(each.size_bytes for each in self._full)
        return worded + sum(len(event.data) for events, _, _ in self._loose for event in events)
