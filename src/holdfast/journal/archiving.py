"""Moving sealed segments to the archive, each step safe to die after.

1. The note is written and synced: from here on the segment would be known without its file.
2. It is copied to the archive under a passing name, synced, read back, named, and that name synced.
3. The old file goes, and readers are told the new path.

While both are there the old one counts; so a crash anywhere leaves one whole segment or two the same.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import structlog

from holdfast.core.errors import Unavailable
from holdfast.core.log import COUNT
from holdfast.journal import archive, segment
from holdfast.journal.disk import Disk, make_folder
from holdfast.journal.reader import Place, Reader

log = structlog.get_logger(__name__)

_CHUNK: Final = 1 << 20


def archive_sealed(
    folder: Path, disk: Disk, reader: Reader, before: str, through: int, stops: Callable[[], bool]
) -> list[str]:
    """Archive the segments that were sealed before a time (RFC 3339 UTC) and end at or before a position.

    The names of those that went; `stops` is asked before each. A damaged one stays where it is; so does
    everything while an earlier one's file is not in the archive, for then its volume is not there. Raises
    Unavailable when the disk refuses.
    """
    places = reader.places
    ready = [place for place in _old(places, before) if place.last <= through and _is_whole(place, reader)]
    if not ready:
        return []
    away = [each for each in places if archive.is_archived(each.path) and not each.path.exists()]
    if away:
        log.warning("nothing is archived while the archive is away", **{COUNT: len(away)})
        return []
    done = []
    try:
        archive.tidy(folder, disk)
        make_folder(folder / archive.FOLDER, disk)
        for place, header in ((place, _header(place.path)) for place in ready):
            if stops():
                break
            if header is None:
                continue
            _put_note(folder, disk, place, header)
            to = archive.path_of(folder, place.first)
            _write(disk, to, place.path.read_bytes())
            disk.unlink(place.path)
            reader.moved(place.first, to)  # who opens it in between looks in both places
            disk.sync_folder(folder)
            disk.unlink(place.path.with_suffix(".index.json"))
            done.append(place.path.name)
    except OSError as fault:
        with contextlib.suppress(OSError):
            archive.tidy(folder, disk)
        raise Unavailable(
            f"a segment could not be archived: {fault.strerror}",
            code="disk_full" if fault.errno in (errno.ENOSPC, errno.EDQUOT) else "journal_unavailable",
            hint="Nothing is lost: it stays where it was. Make room in the archive, and make it writable.",
        ) from fault
    return done


def _old(places: list[Place], before: str) -> Iterator[Place]:
    """Sealed segments beside the active one; each was sealed when the next one was begun."""
    for place, following in pairwise(places):
        if archive.is_archived(place.path):
            continue
        begun = following.header or _header(following.path)
        if begun is not None and begun.created_at < before:
            yield place


def _is_whole(place: Place, reader: Reader) -> bool:
    damaged = place.scars or place.tail_kept or reader.is_scarred(place.first)
    with contextlib.suppress(OSError):
        return not damaged and place.path.stat().st_size == place.end_bytes
    return False


def _header(path: Path) -> segment.Header | None:
    with contextlib.suppress(OSError), path.open("rb") as file:
        return segment.parse_header(file.readline(4096).rstrip(b"\n"))
    return None


def _put_note(folder: Path, disk: Disk, place: Place, header: segment.Header) -> None:
    note = archive.Note(place.first, place.last, place.end_bytes, place.sha, place.counts, header)
    path = archive.note_path(folder, place.first)
    _write(disk, path, msgspec.json.encode(note) + b"\n")


def _write(disk: Disk, path: Path, text: bytes) -> None:
    """A whole file under its name, durable; nothing under that name before it is whole."""
    new = path.with_name(path.name + ".new")
    disk.unlink(new)
    fd = disk.open(new, create=True)
    try:
        view, at = memoryview(text), 0
        while view:
            wrote = disk.write(fd, view, at)
            if wrote == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            at += wrote
            view = view[wrote:]
        disk.sync(fd)
    finally:
        disk.close(fd)
    if new.read_bytes() != text:
        raise OSError(errno.EIO, os.strerror(errno.EIO), new.name)
    disk.rename(new, path)
    disk.sync_folder(path.parent)
