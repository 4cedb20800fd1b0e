"""Opening a journal's folder after whatever happened to it, and the steps of a new segment.

Recovery needs no free disk (etcd #2819, grafana/loki #15235): it only reads, and cuts. What
follows the last valid commit was never acknowledged and is cut. If that tail holds a whole line
that is damaged, rather than torn, its good lines are committed in place: they may have been
acknowledged before the damage, and an event kept twice is no loss, marks see to that.
"""

from __future__ import annotations

import contextlib
import os
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from holdfast.core.clock import Clock, rfc3339
from holdfast.core.log import COUNT, SEGMENT
from holdfast.journal import segment
from holdfast.journal.disk import Disk
from holdfast.journal.port import Counts
from holdfast.journal.reader import Place, Reader

log = structlog.get_logger(__name__)


class Recovered(NamedTuple):
    """What recovery hands to the writer."""

    segments: list[Place]
    fd: int | None
    """The active segment; None when there is none and no room to begin one."""
    end_bytes: int
    head: int
    sha: str
    counts: Counts
    fault: str | None


def recover(folder: Path, disk: Disk, clock: Clock) -> Recovered:
    """Bring a folder to the state the last receipt promised."""
    with contextlib.suppress(OSError):
        disk.unlink(folder / (segment.ACTIVE + ".new"))
    places = [_sealed(path) for path in sorted(folder.glob("offline-sync-*.jsonl")) if _is_sealed(path)]
    active = folder / segment.ACTIVE
    if active.exists():
        place, fd, sha, end_bytes = _active(active, disk)
        _bound(places, place)
        places.append(place)
    else:
        fd, end_bytes = None, 0
        sha = places[-1].sha if places else segment.GENESIS
    counts: Counts = {}
    for each in places:
        segment.add(each.counts, counts)
    head = max((each.last for each in places), default=0)
    fault = None
    if fd is None:
        reader = Reader(folder, places)
        try:
            fd, end_bytes = open_segment(folder, disk, clock, reader, sha)
            places = reader.places
        except OSError as full:
            # Start all the same: reading needs no space, and a portal that can't start can't drain.
            fault = f"no journal segment could be opened: {full.strerror}"
            log.error("journal starts without a segment to write to", reason=str(full))  # noqa: TRY400
        finally:
            reader.close()
    return Recovered(places, fd, end_bytes, head, sha, counts, fault)


def look(folder: Path) -> list[Place]:
    """The folder's segments as they lie, changing nothing: for proofs, also beside a running portal."""
    places = [
        _sealed(path, note=False) for path in sorted(folder.glob("offline-sync-*.jsonl")) if _is_sealed(path)
    ]
    active = folder / segment.ACTIVE
    if active.exists():
        text = active.read_bytes()
        found = segment.scan(text)
        first = found.header.first if found.header else _first_position(text) or 1
        sha = found.sha or segment.GENESIS
        place = Place(
            active, first, max(found.head, first - 1), found.end_bytes, found.counts, sha, found.header
        )
        _bound(places, place)
        places.append(place)
    return places


def open_segment(folder: Path, disk: Disk, clock: Clock, reader: Reader, prev: str) -> tuple[int, int]:
    """Seal the active segment, if there is one, and begin the next: descriptor and size in bytes.

    Steps, each safe to die after: 1. note the sealed segment's index beside it (derived, never
    trusted); 2. give the active file its sealed name; 3. write the new header under a passing
    name and sync it; 4. give it the active name; 5. sync the folder, so that both names hold.
    """
    active = folder / segment.ACTIVE
    new = folder / (segment.ACTIVE + ".new")
    old = reader.active
    sealed = None
    if old is not None and active.exists():
        sealed = folder / segment.sealed_name(old.first)
        with contextlib.suppress(OSError):
            _note_index(sealed, old)
    header = segment.Header(
        first=reader.head + 1, created_at=rfc3339(clock.now_s()), prev=prev, prev_end=reader.head
    )
    line = segment.header_line(header)
    disk.unlink(new)
    fd = disk.open(new, create=True)
    try:
        if disk.write(fd, line, 0) != len(line):
            raise OSError(28, "No space left on device")
        disk.sync(fd)
        if sealed is not None:
            disk.rename(active, sealed)
            reader.sealed(sealed)
        disk.rename(new, active)
        disk.sync_folder(folder)
    except OSError:
        disk.close(fd)
        with contextlib.suppress(OSError):
            disk.unlink(new)
        raise
    reader.begin(Place(active, reader.head + 1, reader.head, len(line), {}, prev, header))
    return fd, len(line)


class _Index(msgspec.Struct):
    """A sealed segment's counts, derived from its lines; rebuilt when missing or unreadable."""

    first: int
    last: int
    bytes: int
    sha: str
    orgs: Counts


def _index_path(path: Path) -> Path:
    return path.with_suffix(".index.json")


def _note_index(path: Path, place: Place) -> None:
    index = _Index(place.first, place.last, place.end_bytes, place.sha, place.counts)
    _index_path(path).write_bytes(msgspec.json.encode(index) + b"\n")


def _is_sealed(path: Path) -> bool:
    return path.stem.removeprefix("offline-sync-").isdigit()


def _sealed(path: Path, *, note: bool = True) -> Place:
    first = int(path.stem.removeprefix("offline-sync-"))
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        index = msgspec.json.decode(_index_path(path).read_bytes(), type=_Index)
        if index.bytes == path.stat().st_size and index.first == first:
            return Place(path, first, index.last, index.bytes, index.orgs, index.sha, None)
    found = segment.scan(path.read_bytes())
    place = Place(
        path,
        first,
        found.head or first - 1,
        found.end_bytes,
        found.counts,
        found.sha or segment.GENESIS,
        None,
    )
    if note and not found.scars:
        with contextlib.suppress(OSError):
            _note_index(path, place)
    return place


def _bound(places: list[Place], following: Place) -> None:
    """Make each segment end where the next one's header says it ended."""
    for at, place in enumerate(places):
        after = places[at + 1] if at + 1 < len(places) else following
        header = after.header or segment.parse_header(_first_line(after.path))
        if header is not None and header.prev_end < place.last:
            kept = segment.scan(place.path.read_bytes(), limit=header.prev_end)
            places[at] = Place(
                place.path, place.first, kept.head, kept.end_bytes, kept.counts, kept.sha or place.sha, None
            )


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(4096).rstrip(b"\n")


def _active(path: Path, disk: Disk) -> tuple[Place, int | None, str, int]:
    fd = disk.open(path, create=False)
    text = path.read_bytes()
    found = segment.scan(text)
    end, head, sha, counts = found.end_bytes, found.head, found.sha or segment.GENESIS, found.counts
    if found.tail_damaged and found.tail_events:
        end, head, sha = _commit_in_place(fd, text, found, disk)
    elif end < len(text):
        log.warning(
            "journal tail was never acknowledged and is cut", bytes=len(text) - end, segment=path.name
        )
        disk.truncate(fd, end)
        disk.sync(fd)
    if found.scars:
        log.error("journal lines are damaged and kept aside", **{COUNT: len(found.scars), SEGMENT: path.name})
    first = found.header.first if found.header else _first_position(text) or 1
    place = Place(path, first, max(head, first - 1), end, counts, sha, found.header, len(found.scars))
    return place, fd, sha, end


def _first_position(text: bytes) -> int | None:
    for line in text[: 1 << 20].split(b"\n"):
        record = segment.parse_event(line)
        if record is not None:
            return record.position
    return None


def _commit_in_place(fd: int, text: bytes, found: segment.Scan, disk: Disk) -> tuple[int, int, str]:
    """Close a damaged tail with a commit of its good lines, in the bytes the damage took."""
    tail = text[found.end_bytes :].split(b"\n")[:-1]
    orgs: Counts = {}
    digests: list[bytes] = []
    keep = last = 0
    at = 0
    for line in tail:
        at += len(line) + 1
        record = segment.parse_event(line)
        if record is None:
            continue
        org, lane = segment.owner(record.data)
        segment.add({org: {lane: 1}}, orgs)
        digests.append(sha256(line + b"\n").digest())
        keep, last = at, record.position
    frame = text[found.end_bytes : found.end_bytes + keep]
    commit, sha = segment.commit_line(last, frame, orgs, found.sha or segment.GENESIS, digests)
    start = found.end_bytes + keep
    log.error("journal tail is damaged; its good lines are kept", **{COUNT: len(digests)})
    written = disk.write(fd, commit, start)
    if written != len(commit):
        raise OSError(28, os.strerror(28))
    disk.truncate(fd, start + len(commit))
    disk.sync(fd)
    segment.add(orgs, found.counts)
    return start + len(commit), last, sha
