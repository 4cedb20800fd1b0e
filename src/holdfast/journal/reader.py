"""Reading durable records by position, while the writer writes.

There is no index to go stale: positions rise through each file, so a place is found by bisecting
the file's own bytes (vector #16231: a ledger beside the data disagrees with it after a crash).
Where the last read of a lane ended is remembered, so that reading on costs nothing extra.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import structlog

from holdfast.core.log import SEGMENT
from holdfast.journal import segment
from holdfast.journal.port import Counts, Finding, Slice
from holdfast.journal.record import LANE_AT, Record

log = structlog.get_logger(__name__)

_CHUNK = 1 << 20
_PROBE = 1 << 17
"""Bytes looked at in one step of a bisection: more than the longest line."""


class Place(NamedTuple):
    """One segment as the reader knows it."""

    path: Path
    first: int
    last: int
    end_bytes: int
    """Where its durable bytes end."""
    counts: Counts
    sha: str
    header: segment.Header | None
    scars: int = 0


class Reader:
    """The durable part of a folder of segments. Thread-safe."""

    def __init__(self, folder: Path, places: list[Place]) -> None:
        """`places`: the segments in order; the last one may be the active one."""
        self._folder = folder
        self._places = list(places)
        self._lock = threading.Lock()
        self._files: dict[int, int] = {}
        self._ends: dict[str | None, tuple[int, int, int]] = {}
        self._scarred: set[tuple[int, int]] = set()
        self.scars = sum(place.scars for place in places)
        self.head = max((place.last for place in places), default=0)

    @property
    def places(self) -> list[Place]:
        """The segments, in order."""
        with self._lock:
            return list(self._places)

    @property
    def active(self) -> Place | None:
        """The segment that is being written to."""
        with self._lock:
            last = self._places[-1] if self._places else None
            return last if last is not None and last.path.name == segment.ACTIVE else None

    @property
    def active_is_empty(self) -> bool:
        """Whether nothing was written since the last seal."""
        active = self.active
        return active is None or active.last < active.first

    @property
    def number(self) -> int:
        """How many segments there are."""
        return len(self._places)

    @property
    def size_bytes(self) -> int:
        """Bytes in all segments."""
        return sum(place.end_bytes for place in self.places)

    # What the writer tells

    def grow(self, last: int, end_bytes: int, orgs: Counts) -> None:
        """A frame became durable at the active segment's end."""
        with self._lock:
            active = self._places[-1]
            segment.add(orgs, active.counts)
            self._places[-1] = active._replace(last=last, end_bytes=end_bytes)
            self.head = last

    def sealed(self, path: Path) -> None:
        """The active segment has its sealed name."""
        with self._lock:
            self._places[-1] = self._places[-1]._replace(path=path)

    def begin(self, place: Place) -> None:
        """A new active segment follows."""
        with self._lock:
            if self._places and self._places[-1].path == place.path:
                self._places.pop()  # it was empty, and its file is replaced
                self._close(place.first)
            self._places.append(place)

    def close(self) -> None:
        """Let go of every file."""
        with self._lock:
            for first in list(self._files):
                self._close(first)

    # Reading

    def read(self, after: int, limit: int, lane: str | None = None) -> Slice:
        """At most `limit` records after a position, of one lane or of all."""
        found: list[Record] = []
        through = after
        wanted = f'{lane}"'.encode() if lane else None
        while len(found) < limit:
            with self._lock:
                place = next((each for each in self._places if each.last > through), None)
                if place is None:
                    break
                fd = self._open(place)
                index, position, offset = self._ends.get(lane, (-1, -1, 0))
            if (index, position) != (place.first, through):
                offset = _bisect(fd, place.end_bytes, through)
            through, offset, drained = self._read_place(place, fd, offset, through, limit, wanted, found)
            if drained:
                through = max(through, place.last)
            with self._lock:
                self._ends[lane] = (place.first, through, offset)
        return Slice(found, through)

    def _read_place(
        self,
        place: Place,
        fd: int,
        offset: int,
        through: int,
        limit: int,
        lane: bytes | None,
        into: list[Record],
    ) -> tuple[int, int, bool]:
        while offset < place.end_bytes:
            chunk = os.pread(fd, min(_CHUNK, place.end_bytes - offset), offset)
            cut = chunk.rfind(b"\n") + 1
            if cut == 0:
                return through, place.end_bytes, True
            for line in chunk[: cut - 1].split(b"\n"):
                start = offset
                offset += len(line) + 1
                if not segment.is_event(line) or (
                    lane is not None and not segment.lane_is(line, lane, LANE_AT)
                ):
                    if not line.startswith(b'{"v":1,'):
                        self._scar(place, start)
                    continue
                record = segment.parse_event(line)
                if record is None or record.position > place.last:
                    self._scar(place, start)
                elif record.position > through:
                    into.append(record)
                    through = record.position
                    if len(into) >= limit:
                        return through, offset, offset >= place.end_bytes
        return through, offset, True

    def counts(self, through: int) -> Counts:
        """Events per org and lane up to and with a position."""
        total: Counts = {}
        for place in self.places:
            if place.last <= through:
                segment.add(place.counts, total)
            elif place.first <= through:
                with self._lock:
                    fd = self._open(place)
                text = os.pread(
                    fd, min(place.end_bytes, _bisect(fd, place.end_bytes, through) + 2 * _PROBE), 0
                )
                for line in text.split(b"\n"):
                    record = segment.parse_event(line) if segment.is_event(line) else None
                    if record is not None and record.position <= through:
                        org, lane = segment.owner(record.data)
                        segment.add({org: {lane: 1}}, total)
        return total

    def verify(self) -> Iterator[Finding]:
        """Prove checksums, counts, the chain within each segment and from each to the next."""
        prev: str | None = None
        for place in self.places:
            prev = yield from _prove(place, prev)

    def _scar(self, place: Place, offset: int) -> None:
        with self._lock:
            if (place.first, offset) in self._scarred:
                return
            self._scarred.add((place.first, offset))
            self.scars += 1
        log.error("journal line is damaged", offset=offset, **{SEGMENT: place.path.name})

    def _open(self, place: Place) -> int:
        fd = self._files.get(place.first)
        if fd is None:
            if len(self._files) >= 16:
                self._close(next(iter(self._files)))
            fd = self._files[place.first] = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
        return fd

    def _close(self, first: int) -> None:
        fd = self._files.pop(first, None)
        if fd is not None:
            os.close(fd)


def _bisect(fd: int, end: int, after: int) -> int:
    """An offset at a line's beginning, after which every position that lies after `after` stands."""
    low, high = 0, end
    while high - low > _PROBE:
        middle = (low + high) // 2
        probe = os.pread(fd, _PROBE, middle)
        at = middle
        position = None
        lines = probe.split(b"\n")
        for line in lines[1:-1]:
            position = segment.event_position(line)
            if position is not None:
                at = middle + probe.find(b"\n" + line) + 1
                break
        if position is None or position > after or at >= high:
            high = middle
        else:
            low = at
    return low


def _prove(place: Place, prev: str | None) -> Generator[Finding, None, str | None]:
    """One segment's proof; returns its last digest through `yield from`."""
    name = place.path.name
    text = place.path.read_bytes()[: place.end_bytes]
    sha = prev
    digests: list[bytes] = []
    lines = 0
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        if segment.is_event(line):
            lines += 1
            if segment.parse_event(line) is None:
                yield Finding(name, number, "the event's bytes do not fit their crc32")
            digests.append(sha256(line + b"\n").digest())
        elif (commit := segment.parse_commit(line)) is not None:
            if commit.n != lines:
                yield Finding(name, number, f"the frame has {lines} lines, its commit says {commit.n}")
            if sha is not None and commit.prev != sha:
                yield Finding(name, number, "the chain is broken: the previous digest is another")
            if segment.chain(commit.prev, b"".join(digests)) != commit.sha:
                yield Finding(name, number, "the frame's lines do not fit their digest")
            sha = commit.sha
            digests.clear()
            lines = 0
        elif number == 1 and (header := segment.parse_header(line)) is not None:
            if prev is not None and header.prev != prev:
                yield Finding(name, number, "the header names another digest than the segment before ends in")
            sha = header.prev
        else:
            yield Finding(name, number, "the line is not one of a journal")
    if digests:
        yield Finding(name, text.count(b"\n"), f"{len(digests)} lines stand after the last commit")
    return sha
