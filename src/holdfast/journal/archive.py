"""Where archived segments lie, and what stays of each beside the others.

A segment whose time is over goes to `archive/` in the journal's folder, which may be another volume. A
note of it stays: its place, its counts, its link. So counts balance and the chain is whole even while the
archive is away; who asks for an event that is in there is told, and nobody gets less than all silently.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from holdfast.core.errors import Corrupt
from holdfast.core.ids import position_text
from holdfast.journal import segment
from holdfast.journal.disk import Disk
from holdfast.journal.port import Counts

FOLDER: Final = "archive"
_NOTE: Final = ".archived.json"


class Note(msgspec.Struct, rename="camel"):
    """An archived segment: what a start needs to know of it without its file."""

    first: int
    last: int
    bytes: int
    sha: str
    orgs: Counts
    header: segment.Header


def path_of(folder: Path, first: int) -> Path:
    """Where an archived segment lies, or would."""
    return folder / FOLDER / segment.sealed_name(first)


def is_archived(path: Path) -> bool:
    """Whether a segment's path is one of the archive."""
    return path.parent.name == FOLDER


def note_path(folder: Path, first: int) -> Path:
    """Where the note of an archived segment lies."""
    return folder / f"offline-sync-{position_text(first)}{_NOTE}"


def read_note(path: Path) -> Note | None:
    """A note, by its own path or by its segment's; None where there is none that can be read."""
    if is_archived(path):
        path = path.parent.parent / (path.stem + _NOTE)
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(path.read_bytes(), type=Note)
    return None


def paths(folder: Path) -> list[Path]:
    """Every archived segment, whether its file is there or its note alone; not those that lie in both places.

    A crash in the middle of archiving leaves both: then the one in the journal's folder counts.
    """
    noted = [each for each in map(read_note, folder.glob(f"offline-sync-*{_NOTE}")) if each is not None]
    found = {path_of(folder, note.first) for note in noted}
    found |= {path for path in (folder / FOLDER).glob("offline-sync-*.jsonl") if _is_sealed(path)}
    return sorted(path for path in found if not (folder / path.name).exists())


def whereabouts(folder: Path, first: int, last: int) -> Path:
    """Where a sealed segment's file is now. Raises Corrupt `archive_away` when it is nowhere."""
    for path in (folder / segment.sealed_name(first), path_of(folder, first)):
        if path.exists():
            return path
    raise Corrupt(
        f"positions {first} to {last} are archived, and {FOLDER}/{segment.sealed_name(first)} is not there",
        code="archive_away",
        hint=f"Mount the archive's volume at {FOLDER}/ in the journal's folder, or copy the file back.",
    )


def opened(folder: Path, path: Path, first: int, last: int) -> int:
    """A segment's file, to be read by whoever closes it: at a path, or where it was sealed or archived since.

    The active name passes from one segment to the next, so that what is there may be another one's. Raises
    Corrupt `archive_away`.
    """
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        header = segment.parse_header(os.pread(fd, 1024, 0).partition(b"\n")[0])
        if header is None or header.first == first:
            return fd
        os.close(fd)
    return os.open(whereabouts(folder, first, last), os.O_RDONLY | os.O_CLOEXEC)


def tidy(folder: Path, disk: Disk) -> None:
    """Take away what a crash left: half-written files, and copies of segments that were not taken away yet.

    An erasure would pass such a copy by. Raises OSError.
    """
    left = [*folder.glob("offline-sync-*.erasing"), *folder.glob(f"offline-sync-*{_NOTE}.new")]
    for path in left:
        disk.unlink(path)
    for path in (folder / FOLDER).glob("offline-sync-*"):
        if path.suffix in (".new", ".erasing") or (folder / path.name).exists():
            disk.unlink(path)


def _is_sealed(path: Path) -> bool:
    return path.stem.removeprefix("offline-sync-").isdecimal()
