"""Opening a journal's folder after whatever happened to it, and the steps of a new segment.

Recovery needs no free disk (etcd #2819, grafana/loki #15235): it only reads, and cuts. What
follows the last valid commit was never acknowledged and is cut. If that tail holds a whole line
that is damaged, rather than torn, its good lines count: they may have been acknowledged before the
damage, and an event kept twice is no loss, marks see to that. Damaged bytes are never written over:
the segment ends there, and the next one's header says at which position.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from holdfast.core.clock import Clock, rfc3339
from holdfast.core.log import COUNT, SEGMENT
from holdfast.journal import archive, segment
from holdfast.journal.disk import Disk
from holdfast.journal.port import Counts
from holdfast.journal.reader import Place, Reader
from holdfast.journal.scan import scan

log = structlog.get_logger(__name__)


LEAP: Final = 1_000_000_000
"""Positions left out when the store can't tell its cursors at start. The journal may be an older copy, put
back: what it took in below a cursor would never be applied. It lacks fewer events than this."""


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
        archive.tidy(folder, disk)
    places = look(folder, note=True)
    counts: Counts = {}
    for each in places:
        segment.add(each.counts, counts)
    head = max((each.last for each in places), default=0)
    sha = places[-1].sha if places else segment.GENESIS
    end_bytes = places[-1].end_bytes if places else 0
    fd = fault = None
    reader = Reader(folder, places)
    if reader.scars:
        log.error("journal lines are damaged and kept aside", **{COUNT: reader.scars})
    try:
        if reader.active is not None:
            fd = _go_on(reader.active, disk)
        if fd is None:
            fd, end_bytes = open_segment(folder, disk, clock, reader, sha)
            places = reader.places
    except OSError as full:
        # Start all the same: reading needs no space, and a portal that can't start can't drain.
        fault = f"no journal segment could be opened: {full.strerror}"
        log.error("journal starts without a segment to write to", reason=str(full))  # noqa: TRY400
    finally:
        reader.close()
    return Recovered(places, fd, end_bytes, head, sha, counts, fault)


def _go_on(active: Place, disk: Disk) -> int | None:
    """The active segment, ready to be written to; None where a new one has to follow it.

    A process that was killed between writing and syncing leaves lines that nobody was answered for, or a
    name. They count from now on, so they are brought to the device first.
    """
    name = {SEGMENT: active.path.name}
    try:
        fd = disk.open(active.path, create=False)
    except OSError as fault:
        log.error("journal segment can't be written; a new one follows", reason=str(fault), **name)  # noqa: TRY400
        return None
    torn = 0 if active.tail_kept else active.path.stat().st_size - active.end_bytes
    try:
        if torn > 0:
            log.warning("journal tail was never acknowledged and is cut", bytes=torn, **name)
            disk.truncate(fd, active.end_bytes)
        disk.sync(fd)
        disk.sync_folder(active.path.parent)
    except OSError as fault:
        log.error("journal segment could not be cut and synced; a new one follows", reason=str(fault), **name)  # noqa: TRY400
    else:
        if not active.tail_kept:
            return fd
        log.error("journal tail is damaged; its good lines are kept, a new segment follows", **name)
    with contextlib.suppress(OSError):
        disk.close(fd)
    return None


def look(folder: Path, *, note: bool = False) -> list[Place]:
    """The folder's segments as they lie: for recovery, and for proofs beside a running portal.

    Changes nothing, but for the index (`note`) beside a sealed segment that has none.
    """
    while True:
        paths = _paths(folder)
        with contextlib.suppress(FileNotFoundError):
            places = _places(paths, note=note)
            if _paths(folder) == paths:
                return places
        # A running portal sealed a segment meanwhile, or archived one.


def _paths(folder: Path) -> list[Path]:
    paths = [path for path in folder.glob("offline-sync-*.jsonl") if _is_sealed(path)]
    paths = sorted([*paths, *archive.paths(folder)], key=lambda path: path.name)
    return [*paths, folder / segment.ACTIVE] if (folder / segment.ACTIVE).exists() else paths


def _places(paths: list[Path], *, note: bool) -> list[Place]:
    headers = [_header(path) for path in paths]
    places: list[Place] = []
    for at, path in enumerate(paths):
        following = headers[at + 1] if at + 1 < len(paths) else None
        place = _noted(path, following) or _indexed(path, following)
        if place is None:
            place = _scanned(path, following, places[-1] if places else None)
            if note and following is not None and not place.scars and not place.tail_kept:
                _note_index(path, place)
        places.append(place)
    return places


def open_segment(folder: Path, disk: Disk, clock: Clock, reader: Reader, prev: str) -> tuple[int, int]:
    """Seal the active segment, if there is one, and begin the next: descriptor and size in bytes.

    Steps, each safe to die after: 1. note the sealed segment's index beside it (derived, never
    trusted); 2. write the new header under a passing name and sync it; 3. give the active file its
    sealed name; 4. sync the folder, for that name or an earlier try's: if the next name held and this
    one didn't, the segment would be gone; 5. give the new file the active name and sync the folder.
    An active segment without events is replaced.
    """
    active = folder / segment.ACTIVE
    new = folder / (segment.ACTIVE + ".new")
    old = reader.active
    sealed = folder / segment.sealed_name(old.first) if old is not None and old.last >= old.first else None
    if old is not None and sealed is not None:
        if sealed.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), sealed.name)
        _note_index(sealed, old)
    header = segment.Header(
        first=reader.head + 1, created_at=rfc3339(clock.now_s()), prev=prev, prev_end=reader.head
    )
    line = segment.header_line(header)
    disk.unlink(new)
    fd = disk.open(new, create=True)
    try:
        if disk.write(fd, line, 0) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - as the disk would
        disk.sync(fd)
        if sealed is not None:
            disk.rename(active, sealed)
            reader.sealed(sealed)
        disk.sync_folder(folder)
        disk.rename(new, active)
        disk.sync_folder(folder)
    except OSError:
        with contextlib.suppress(OSError):
            disk.close(fd)
        with contextlib.suppress(OSError):
            disk.unlink(new)
        raise
    reader.begin(Place(active, reader.head + 1, reader.head, len(line), {}, prev, header))
    return fd, len(line)


def _is_sealed(path: Path) -> bool:
    return path.stem.removeprefix("offline-sync-").isdecimal()


def _header(path: Path) -> segment.Header | None:
    if archive.is_archived(path) and not path.exists():
        note = archive.read_note(path)
        return note.header if note is not None else None
    with path.open("rb") as file:
        return segment.parse_header(file.readline(4096).rstrip(b"\n"))


def _noted(path: Path, following: segment.Header | None) -> Place | None:
    """An archived segment by its note; None where that does not fit a file that can be read instead."""
    note = archive.read_note(path) if archive.is_archived(path) else None
    if note is None:
        return None
    if path.exists():
        fits = following is not None and (note.last, note.sha) == (following.prev_end, following.prev)
        if not fits or path.stat().st_size != note.bytes:
            return None
    return Place(path, note.first, note.last, note.bytes, note.orgs, note.sha, note.header)


def _scanned(path: Path, following: segment.Header | None, before: Place | None) -> Place:
    """A segment, read whole."""
    text = path.read_bytes()
    found = scan(text, following.prev_end if following else None)
    if _is_sealed(path):
        first = int(path.stem.removeprefix("offline-sync-"))
    else:
        named = found.header.first if found.header else None
        events = (record.position for _, record in segment.records(text[: found.end_bytes]) if record)
        # A name taken from the wrong place could be that of another segment.
        first = named or next(events, None) or (before.last + 1 if before else 1)
    broken = following is not None and following.prev != found.sha
    return Place(
        path,
        first,
        max(found.head, first - 1),
        len(text) if broken else found.end_bytes,  # the damage is in what follows: a proof must see it
        found.counts,
        found.sha or (before.sha if before else segment.GENESIS),
        found.header,
        tuple(found.scars),
        found.kept,
    )


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
    with contextlib.suppress(OSError):
        _index_path(path).write_bytes(msgspec.json.encode(index) + b"\n")


def _indexed(path: Path, following: segment.Header | None) -> Place | None:
    """A sealed segment by its index; None where that is missing, or does not fit what lies there."""
    if following is None:
        return None
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        index = msgspec.json.decode(_index_path(path).read_bytes(), type=_Index)
        first = int(path.stem.removeprefix("offline-sync-"))
        fits = (index.first, index.last, index.sha) == (first, following.prev_end, following.prev)
        if fits and index.bytes == path.stat().st_size:
            return Place(path, first, index.last, index.bytes, index.orgs, index.sha, None)
    return None
