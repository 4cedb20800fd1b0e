"""The in-memory engine: for tests and drills. Its receipts say `memory`, so nobody trusts them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence

from holdfast.core.clock import Clock, SystemClock, rfc3339
from holdfast.core.errors import Unavailable
from holdfast.journal import segment
from holdfast.journal.port import NOTHING_ERASED, Counts, Erased, Finding, JournalStats, Slice
from holdfast.journal.record import Event, Record


class MemoryJournal:
    """A journal in a list."""

    def __init__(self, *, clock: Clock | None = None, after: int = 0) -> None:
        """`after`: positions begin beyond it."""
        self._clock = clock or SystemClock()
        self._records: list[tuple[Record, str, str]] = []
        self._next = after + 1
        self._closed = False
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def append(self, events: Sequence[Event]) -> asyncio.Future[int]:
        """Keep the events; see the port."""
        with self._lock:
            if self._closed:
                raise Unavailable("the journal is closing", code="draining")
            first = self._next
            stamp = rfc3339(self._clock.now_s())
            self._records += [
                (Record(at, stamp, event.data), event.org, event.lane)
                for at, event in enumerate(events, first)
            ]
            self._next += len(events)
        for heard in self._listeners:
            heard()
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(first)
        return done

    def read(self, after: int, limit: int, lane: str | None = None) -> Slice:
        """Records after a position; see the port."""
        with self._lock:
            found: list[Record] = []
            through = after
            for record, _, its_lane in self._records:
                if record.position <= after:
                    continue
                if len(found) == limit:
                    break
                through = record.position
                if lane is None or its_lane == lane:
                    found.append(record)
            return Slice(found, through)

    def counts(self, through: int | None = None) -> Counts:
        """Events per org and lane; see the port."""
        total: Counts = {}
        with self._lock:
            for record, org, lane in self._records:
                if through is None or record.position <= through:
                    segment.add({org: {lane: 1}}, total)
        return total

    def stats(self) -> JournalStats:
        """The journal's condition; see the port."""
        with self._lock:
            head = self._records[-1][0].position if self._records else 0
            size = sum(len(record.data) for record, _, _ in self._records)
        return JournalStats("memory", head, size, 1, 0, None, None, 0, 0, None)

    def seal(self) -> None:
        """Nothing to close: a list has no end."""

    def verify(self, erased: Erased = NOTHING_ERASED) -> Iterator[Finding]:  # noqa: ARG002 - the port's
        """Nothing can be damaged here."""
        return iter(())

    def close(self) -> None:
        """Take no more."""
        with self._lock:
            self._closed = True

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` after each append."""
        self._listeners.append(heard)
