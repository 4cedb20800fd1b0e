"""Taking payloads out of sealed segments: each line stays in its place, and so does the chain.

A line is replaced by one of the same length, position and time, so that nothing behind it moves. The
frame's bytes are then others than its commit says; the digests they have now are given to the caller,
who writes them into the journal before anything is replaced.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from holdfast.core.errors import Corrupt, Unavailable
from holdfast.journal import archive, segment
from holdfast.journal.disk import Disk
from holdfast.journal.reader import Reader

Replace = Callable[[bytes], bytes | None]
"""An envelope's bytes -> as many others in their place, or None to leave them."""


class Rewritten(NamedTuple):
    """A segment with some lines replaced."""

    text: bytes
    lines: int
    digests: dict[int, str]
    """A frame's last position -> the sha256 of its bytes as they are now."""


def rewrite(text: bytes, replace: Replace) -> Rewritten:
    """Replace lines of a whole segment. Damaged lines stay: what is in them can't be told."""
    kept: list[bytes] = []
    digests: dict[int, str] = {}
    frame, lines, touched = sha256(), 0, False
    for line in text.split(b"\n"):
        commit = None if segment.is_event(line) else segment.parse_commit(line)
        if commit is not None:
            if touched:
                digests[commit.p] = frame.hexdigest()
            frame, touched = sha256(), False
        else:
            record = segment.parse_event(line) if segment.is_event(line) else None
            data = replace(record.data) if record is not None else None
            if record is not None and data is not None:
                line = segment.event_line(record.position, record.received_at.encode(), data)[:-1]  # noqa: PLW2901
                lines += 1
                touched = True
            if segment.parse_header(line) is None or kept:
                frame.update(line + b"\n")
        kept.append(line)
    new = b"\n".join(kept)
    if len(new) != len(text):
        raise Corrupt("a line was replaced by one of another length", code="internal")
    return Rewritten(new, lines, digests)


def erase(
    folder: Path, disk: Disk, reader: Reader, replace: Replace, *, plan: bool
) -> tuple[int, dict[int, str]]:
    """Replace payloads in all sealed segments, archived ones too; how many lines, and their frames' digests.

    `plan`: work out the same and change nothing. It may be run again after a crash. Raises Corrupt
    `archive_away` before anything is changed when an archived segment is not there.
    """
    lines = 0
    digests: dict[int, str] = {}
    try:
        archive.tidy(folder, disk)
    except OSError as fault:
        raise Unavailable(f"what a crash left can't be taken away: {fault.strerror}") from fault
    sealed = [place for place in reader.places if place.path.name != segment.ACTIVE]
    paths = [archive.whereabouts(folder, place.first, place.last) for place in sealed]
    for place, path in zip(sealed, paths, strict=True):
        done = rewrite(path.read_bytes(), replace)
        lines += done.lines
        digests |= done.digests
        if done.lines and not plan:
            put(path, done.text, disk)
            reader.replaced(place.first)
    return lines, digests


def padded(data: bytes, size: int) -> bytes:
    """An envelope filled up to a size by white space at its end. Raises ValueError where it is longer."""
    if len(data) > size:
        raise ValueError("what takes an envelope's place must not be longer")
    return data[:-1] + b" " * (size - len(data)) + data[-1:]


def put(path: Path, text: bytes, disk: Disk) -> None:
    """Give a sealed segment its new bytes, atomically: a crash leaves the old file or the new one."""
    new = path.with_suffix(".erasing")
    try:
        disk.unlink(new)
        fd = disk.open(new, create=True)
        try:
            view, at = memoryview(text), 0
            while view:
                wrote = disk.write(fd, view, at)
                if wrote == 0:
                    raise OSError(28, "No space left on device")
                at += wrote
                view = view[wrote:]
            disk.sync(fd)
        finally:
            disk.close(fd)
        disk.rename(new, path)
        disk.sync_folder(path.parent)
    except OSError as fault:
        _forget(new, disk)
        raise Unavailable(
            f"the segment {path.name} could not be written anew: {fault.strerror}", code="disk_full"
        ) from fault


def _forget(path: Path, disk: Disk) -> None:
    try:
        disk.unlink(path)
    except OSError:
        return  # the next try takes it away
