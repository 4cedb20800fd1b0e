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


class Unjudged(Exception):
    """Raised for a damaged line of which nobody can tell whose it was."""


class Wanted(NamedTuple):
    """What is taken out."""

    whole: Replace
    """For the envelope of a line that can be read."""
    damaged: Replace = lambda _: None
    """For all of a line that can't be; it raises Unjudged where it can't tell."""


class Rewritten(NamedTuple):
    """A segment with some lines replaced."""

    text: bytes
    lines: int
    digests: dict[int, str]
    """A frame's last position -> the sha256 of its bytes as they are now."""
    unjudged: list[int]
    """Numbers of damaged lines that were left because nobody can tell whose they were."""


class Erasing(NamedTuple):
    """What erasing does to the sealed segments."""

    lines: int
    digests: dict[int, str]
    unjudged: list[str]
    """`<segment>:<line>` each."""


def rewrite(text: bytes, wanted: Wanted) -> Rewritten:
    """Replace lines of a whole segment. A damaged line stays one, in its place."""
    kept: list[bytes] = []
    digests: dict[int, str] = {}
    unjudged: list[int] = []
    frame, lines, touched = sha256(), 0, False
    for number, line in enumerate(text.split(b"\n"), 1):
        commit = None if segment.is_event(line) else segment.parse_commit(line)
        if commit is not None:
            if touched:
                digests[commit.p] = frame.hexdigest()
            frame, touched = sha256(), False
        else:
            try:
                new = _replaced(line, wanted)
            except Unjudged:
                new = line
                unjudged.append(number)
            if new != line:
                lines += 1
                touched = True
            if segment.parse_header(line) is None or kept:
                frame.update(new + b"\n")
            line = new  # noqa: PLW2901
        kept.append(line)
    whole = b"\n".join(kept)
    if len(whole) != len(text):
        raise Corrupt("a line was replaced by one of another length", code="internal")
    return Rewritten(whole, lines, digests, unjudged)


def _replaced(line: bytes, wanted: Wanted) -> bytes:
    record = segment.parse_event(line) if segment.is_event(line) else None
    if record is not None:
        data = wanted.whole(record.data)
        if data is None:
            return line
        return segment.event_line(record.position, record.received_at.encode(), data)[:-1]
    if not line or segment.parse_header(line) or segment.parse_commit(line):
        return line
    at = segment.second_of(line)
    if at is not None:
        return _replaced(line[: at - 1], wanted) + line[at - 1 : at] + _replaced(line[at:], wanted)
    found = wanted.damaged(line)
    return line if found is None else found


def erase(folder: Path, disk: Disk, reader: Reader, wanted: Wanted, *, plan: bool) -> Erasing:
    """Take something out of all sealed segments, archived ones too.

    `plan`: work out the same and change nothing. It may be run again after a crash. Raises Corrupt
    `archive_away` before anything is changed when an archived segment is not there.
    """
    lines = 0
    digests: dict[int, str] = {}
    unjudged: list[str] = []
    try:
        archive.tidy(folder, disk)
    except OSError as fault:
        raise Unavailable(f"what a crash left can't be taken away: {fault.strerror}") from fault
    sealed = [place for place in reader.places if place.path.name != segment.ACTIVE]
    paths = [archive.whereabouts(folder, place.first, place.last) for place in sealed]
    for place, path in zip(sealed, paths, strict=True):
        done = rewrite(path.read_bytes(), wanted)
        lines += done.lines
        digests |= done.digests
        unjudged += [f"{path.name}:{number}" for number in done.unjudged]
        if done.lines and not plan:
            put(path, done.text, disk)
            reader.replaced(place.first)
    return Erasing(lines, digests, unjudged)


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
