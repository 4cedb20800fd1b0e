"""Reading durable records by position, while the writer writes.

There is no index to go stale: positions rise through each file, so a place is found by bisecting
the file's own bytes (vector #16231: a ledger beside the data disagrees with it after a crash).
Where the last read of a lane ended is remembered, so that reading on costs nothing extra.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from holdfast.core.errors import Corrupt
from holdfast.core.log import SEGMENT
from holdfast.journal import archive, segment
from holdfast.journal.port import NOTHING_ERASED, Counts, Erased, Finding, Slice
from holdfast.journal.proving import prove
from holdfast.journal.record import LANE_AT, Record

log = structlog.get_logger(__name__)

_CHUNK = 1 << 20
_PROBE = 1 << 17
"""Bytes looked at in one step of a bisection."""
_OPEN_FILES = 16
"""Most segments kept open for reading."""


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
    scars: tuple[int, ...] = ()
    """Where its damaged lines begin, as far as they are known."""
    tail_kept: bool = False
    """Whether lines count that no valid commit follows: nothing may be appended to it."""


class _File:
    """A file that is open for as long as somebody reads it: one reader may not close another's."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Reader:
    """The durable part of a folder of segments. Thread-safe."""

    def __init__(self, folder: Path, places: list[Place]) -> None:
        """`places`: the segments in order; the last one may be the active one."""
        self._folder = folder
        self._places = list(places)
        self._lock = threading.Lock()
        self._files: dict[int, _File] = {}
        self._ends: dict[str | None, tuple[int, int, int]] = {}
        self._scarred = {(place.first, at) for place in places for at in place.scars}
        self.head = max((place.last for place in places), default=0)
        self._last_of: dict[str, int] = {}
        """Lane -> a position after which nothing of it stands."""
        for place in places:
            self._note_lanes(place.counts, place.last)

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
    def scars(self) -> int:
        """How many damaged lines are known."""
        return len(self._scarred)

    def is_scarred(self, first: int) -> bool:
        """Whether a damaged line of a segment is known."""
        with self._lock:
            return any(each == first for each, _ in self._scarred)

    @property
    def number(self) -> int:
        """How many segments there are."""
        return len(self._places)

    @property
    def size_bytes(self) -> int:
        """Bytes in all segments."""
        return sum(place.end_bytes for place in self.places)

    # What the writer tells

    def grow(self, last: int, end_bytes: int, orgs: Counts, sha: str) -> None:
        """A frame became durable at the active segment's end."""
        with self._lock:
            active = self._places[-1]
            segment.add(orgs, active.counts)
            self._places[-1] = active._replace(last=last, end_bytes=end_bytes, sha=sha)
            self.head = last
            self._note_lanes(orgs, last)

    def _note_lanes(self, orgs: Counts, last: int) -> None:
        for lanes in orgs.values():
            for lane in lanes:
                self._last_of[lane] = max(last, self._last_of.get(lane, 0))

    def sealed(self, path: Path) -> None:
        """The active segment has its sealed name."""
        with self._lock:
            self._places[-1] = self._places[-1]._replace(path=path)

    def begin(self, place: Place) -> None:
        """A new active segment follows."""
        with self._lock:
            if self._places and self._places[-1].path == place.path:
                self._files.pop(self._places.pop().first, None)  # it was empty, and its file is replaced
            self._places.append(place)

    def replaced(self, first: int) -> None:
        """A sealed segment's file is another one now, with every line in its old place."""
        with self._lock:
            self._files.pop(first, None)

    def moved(self, first: int, path: Path) -> None:
        """A sealed segment has another path; who reads it goes on with the file that is open."""
        with self._lock:
            at = next(at for at, each in enumerate(self._places) if each.first == first)
            self._places[at] = self._places[at]._replace(path=path)

    def close(self) -> None:
        """Let go of every file."""
        with self._lock:
            self._files.clear()

    # Reading

    def read(self, after: int, limit: int, lane: str | None = None) -> Slice:
        """At most `limit` records after a position, of one lane or of all."""
        with self._lock:
            if lane is not None and self._last_of.get(lane, 0) <= after:
                # A lane that stands still does not read what others write.
                return Slice([], max(after, self.head))
        found: list[Record] = []
        through = after
        wanted = f'{lane}"'.encode() if lane else None
        while len(found) < limit:
            with self._lock:
                place = next((each for each in self._places if each.last > through), None)
                if place is None:
                    break
                file = self._open(place)
                index, position, offset = self._ends.get(lane, (-1, -1, 0))
            if (index, position) != (place.first, through):
                offset = _bisect(file.fd, place.end_bytes, through)
            through, offset, drained = self._read_place(place, file, offset, through, limit, wanted, found)
            if drained:
                through = max(through, place.last)
            with self._lock:
                self._ends[lane] = (place.first, through, offset)
        return Slice(found, through)

    def _read_place(  # noqa: C901, PLR0917 - the hottest loop of reading: calls in it cost
        self,
        place: Place,
        file: _File,
        offset: int,
        through: int,
        limit: int,
        lane: bytes | None,
        into: list[Record],
    ) -> tuple[int, int, bool]:
        for start, line in _lines(file, offset, place.end_bytes):
            if not segment.is_event(line):
                if segment.is_known(line) and not segment.holds_another(line):
                    continue
            elif lane is not None and not segment.lane_is(line, lane, LANE_AT):
                if not segment.holds_another(line):
                    continue
            elif (record := segment.parse_event(line)) is not None and record.position <= place.last:
                if record.position > through:
                    into.append(record)
                    through = record.position
                    if len(into) >= limit:
                        end = start + len(line) + 1
                        return through, end, end >= place.end_bytes
                continue
            for each in self._damaged(place, start, line, lane):
                if through < each.position <= place.last:
                    if len(into) >= limit:
                        return through, start, False
                    into.append(each)
                    through = each.position
        return through, place.end_bytes, True

    def _damaged(self, place: Place, start: int, line: bytes, lane: bytes | None) -> list[Record]:
        """What can be read of a line that can't be read as one; where that is nothing, it is a scar."""
        if segment.parse_event(line) is not None or segment.parse_commit(line) is not None:
            return []  # it is whole: one that only looks as if it held another
        self._scar(place, start)
        return [each for each in segment.salvage(line) if lane is None or each.data.startswith(lane, LANE_AT)]

    def counts(self, through: int) -> Counts:
        """Events per org and lane up to and with a position."""
        total: Counts = {}
        for place in self.places:
            if place.last <= through:
                segment.add(place.counts, total)
            elif place.first <= through:
                with self._lock:
                    file = self._open(place)
                self._count(place, file, through, total)
        return total

    def _count(self, place: Place, file: _File, through: int, into: Counts) -> None:
        for _, line in _lines(file, 0, place.end_bytes):
            record = segment.parse_event(line) if segment.is_event(line) else None
            found = [record] if record else segment.salvage(line) if segment.holds_another(line) else []
            for each in found:
                if each.position > through:
                    return
                org, lane = segment.owner(each.data)
                segment.add({org: {lane: 1}}, into)

    def verify(self, erased: Erased = NOTHING_ERASED) -> Iterator[Finding]:
        """Prove checksums, counts, the chain within each segment and from each to the next."""
        prev: str | None = None
        for place in self.places:
            try:
                with self._lock:
                    file = self._open(place)
            except Corrupt as away:
                yield Finding(place.path.name, 0, away.message)
                prev = place.sha
                continue
            text = os.pread(file.fd, place.end_bytes, 0)
            prev = yield from prove(place.path.name, text, prev, erased)

    def _scar(self, place: Place, offset: int) -> None:
        with self._lock:
            if (place.first, offset) in self._scarred:
                return
            self._scarred.add((place.first, offset))
        log.error("journal line is damaged", offset=offset, **{SEGMENT: place.path.name})

    def _open(self, place: Place) -> _File:
        """A place's file; the lock is held."""
        file = self._files.get(place.first)
        if file is None:
            if len(self._files) >= _OPEN_FILES:
                del self._files[next(iter(self._files))]
            # Another path than the caller may know: the writer seals, and segments are archived, meanwhile.
            path = next((each.path for each in self._places if each.first == place.first), place.path)
            file = self._files[place.first] = _File(
                archive.opened(self._folder, path, place.first, place.last)
            )
        return file


def _lines(file: _File, offset: int, end: int) -> Iterator[tuple[int, bytes]]:
    """The whole lines from an offset on, each with where it begins."""
    size = _CHUNK
    while offset < end:
        chunk = os.pread(file.fd, min(size, end - offset), offset)
        cut = chunk.rfind(b"\n") + 1
        if cut == 0:
            if len(chunk) < size:
                return
            size *= 2  # a line longer than what was read
            continue
        for line in chunk[: cut - 1].split(b"\n"):
            yield offset, line
            offset += len(line) + 1


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
            position = segment.position_of(line)
            if position is not None:
                at = middle + probe.find(b"\n" + line) + 1
                break
        if position is None or position > after or at >= high:
            high = middle
        else:
            low = at
    return low
