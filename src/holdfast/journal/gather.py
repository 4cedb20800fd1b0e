"""What gathers while the writer is at the disk: frames are worded and hashed beside its sync.

A group is one write and one sync. Frames come in without a lock, for each of them is one step of the
event loop; they are worded many at a time, which costs half of wording them one by one, and mostly by
whoever appends, so that the writer, back from the disk, finds lines and their digest ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate, chain
from typing import Final

from holdfast.core.errors import HoldfastError
from holdfast.journal import segment
from holdfast.journal.port import Counts
from holdfast.journal.record import Event

WORDED_TOGETHER: Final = 64
"""So many frames are worded without waiting for anybody to ask: only what is worded is weighed. And an
idle writer gets its first chance at Python's lock when they are hashed: a crowd is then two groups that
take turns, one at the disk while the other gathers, and not one that waits for itself."""
WORTH_WORDING: Final = 8
"""A frame of so many events is worded as it comes."""

Came = tuple[Sequence[Event], "asyncio.Future[int]", asyncio.AbstractEventLoop]
"""A frame, who waits for it, and where. A bare tuple: one is made an event."""


class Group:
    """Lines that go to the disk together; without any, an empty frame."""

    __slots__ = (
        "_hash",
        "_hashed",
        "_hashing",
        "events",
        "firsts",
        "last",
        "loops",
        "orgs",
        "size_bytes",
        "texts",
        "waiting",
    )

    def __init__(self) -> None:
        """Nothing gathered yet."""
        self.waiting: list[asyncio.Future[int]] = []
        """Who waits for its frames."""
        self.firsts: list[int] = []
        """Their first positions, in the same order."""
        self.loops: set[asyncio.AbstractEventLoop] = set()
        """Where they wait: nearly always one place."""
        self.texts: list[bytes] = []
        self._hash = sha256()
        self._hashed = 0
        self._hashing = threading.Lock()
        self.orgs: Counts = {}
        self.events = 0
        self.last = 0
        """Its last position, once it has any."""
        self.size_bytes = 0

    def digest(self) -> str:
        """Hash what is not hashed yet, in its order, from any thread; the sha256 of all of it, as hex.

        Without the gathering's lock, which the writer may want: hashing lets go of Python's.
        """
        with self._hashing:
            while self._hashed < len(self.texts):
                self._hash.update(self.texts[self._hashed])
                self._hashed += 1
            return self._hash.hexdigest()

    def answer(self, error: HoldfastError | None) -> None:
        """Answer who waits, each on its own loop."""
        for loop in self.loops:
            mine = list(zip(self.waiting, self.firsts, strict=True))
            if len(self.loops) > 1:
                mine = [each for each in mine if each[0].get_loop() is loop]
            with contextlib.suppress(RuntimeError):  # the loop is gone, and its callers with it
                loop.call_soon_threadsafe(_answer, mine, error)


def _answer(waiting: list[tuple[asyncio.Future[int], int]], error: HoldfastError | None) -> None:
    for done, first in waiting:
        if done.done():  # cancelled
            continue
        if error is None:
            done.set_result(first)
        else:
            done.set_exception(error)
            done.exception()  # seen: a caller that went away must not leave a warning


class Gathering:
    """The groups that wait for the writer, in order. Its owner holds a lock around each call.

    Only `came` takes frames at any time, from any thread: a deque's ends are safe.
    """

    def __init__(self, after: int, most: int) -> None:
        """`after`: positions begin beyond it. `most`: a group with so many events is full."""
        self.came: deque[Came] = deque()
        self._next = after + 1
        self._most = most
        self._full: deque[Group] = deque()
        self._open = Group()
        self._loose: list[Came] = []
        """What is in hand, to be worded."""

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self.came or self._open.waiting or self._full)

    def take(self) -> Group:
        """What the writer is to write next: the oldest full group, or what is worded; it may be empty."""
        if self._full:
            return self._full.popleft()
        group, self._open = self._open, Group()
        return group

    def lift(self) -> None:
        """Take what came in hand, in its order."""
        self._loose += [self.came.popleft() for _ in range(len(self.came))]

    def drop(self) -> Group:
        """Let go of what is in hand, and say who waits for it."""
        dropped = Group()
        for _, done, loop in self._loose:
            dropped.waiting.append(done)
            dropped.firsts.append(0)
            dropped.loops.add(loop)
        self._loose.clear()
        return dropped

    def word(self, received_at: bytes) -> Group:
        """Give what came its positions and its lines, and its place in a group; the last such group."""
        self.lift()
        loose = self._loose
        group = self._open
        while loose:
            group = self._open
            ends = list(accumulate([len(events) for events, _, _ in loose], initial=self._open.events))
            fits = bisect_left(ends, self._most, 1)
            self._put(loose[:fits], received_at)
            del loose[:fits]
            if self._open.events >= self._most:
                self._full.append(self._open)
                self._open = Group()
        return group

    def _put(self, frames: list[Came], received_at: bytes) -> None:
        group = self._open
        each, waiting, loops = zip(*frames, strict=True)
        events = list(chain.from_iterable(each))
        firsts = list(accumulate(map(len, each), initial=self._next))
        after = firsts.pop()
        if events:
            text = segment.event_lines(self._next, received_at, [event[4] for event in events])
            segment.count([event[1] for event in events], [event[2] for event in events], group.orgs)
            group.texts.append(text)
            group.size_bytes += len(text)
            group.events += len(events)
            self._next = after
            group.last = after - 1
        # Last: who waits is answered for what stands in the group.
        group.waiting += waiting
        group.firsts += firsts
        group.loops.update(loops)

    @property
    def worded_bytes(self) -> int:
        """Of the lines that wait here."""
        return self._open.size_bytes + sum(each.size_bytes for each in self._full)

    @property
    def size_bytes(self) -> int:
        """Of all that waits here."""
        loose = list(self.came)
        return self.worded_bytes + sum(len(event.data) for events, _, _ in loose for event in events)
