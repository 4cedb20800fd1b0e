"""Reading a whole segment: which of its lines count, after whatever happened to the file."""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple

from holdfast.journal.port import Counts
from holdfast.journal.segment import COMMIT, Commit, Header, add, owner, parse_commit, parse_header, records

SECTOR_BYTES: Final = 512
"""What a disk writes whole or not at all."""


class Scan(NamedTuple):
    """What recovery reads off one segment."""

    header: Header | None
    end_bytes: int
    """The segment's true end: that of its last valid commit, or of a tail that is kept."""
    head: int
    """The last position that counts; 0 when there is none."""
    sha: str | None
    """The last committed digest."""
    counts: Counts
    scars: list[int]
    """Offsets of the damaged lines before the end."""
    kept: bool
    """Whether lines after the last valid commit count: the commit itself was damaged."""


class _Read:
    """What a scan has read so far."""

    def __init__(self, header: Header | None) -> None:
        self.end = 0
        self.head = 0
        self.sha = header.prev if header else None
        self.counts: Counts = {}
        self.scars: list[int] = []

    def copy(self) -> _Read:
        other = _Read(None)
        other.end, other.head, other.sha = self.end, self.head, self.sha
        add(self.counts, other.counts)
        other.scars = list(self.scars)
        return other

    def lines(self, text: bytes, at: int, most: int | None = None) -> int:
        """Count lines that no valid commit speaks for; the last position among them."""
        last = 0
        for start, record in records(text, at):
            if record is None:
                self.scars.append(start)
            elif most is None or record.position <= most:
                org, lane = owner(record.data)
                add({org: {lane: 1}}, self.counts)
                last = max(last, record.position)
        return last

    def frame(self, text: bytes, start: int, commit: Commit, *, whole: bool) -> None:
        """Take a frame in; `whole` says that its bytes are those that were committed."""
        if not whole:
            # More bytes than this frame's: the commit before it was damaged.
            cut = max(len(text) - commit.b, 0)
            self.lines(text[:cut], start)
            if not _fits(text[cut:], commit):
                damaged = (at for at, record in records(text[cut:], start + cut) if record is None)
                self.scars += damaged
        add(commit.orgs, self.counts)
        self.head, self.sha = commit.p, commit.sha


def scan(text: bytes, prev_end: int | None = None) -> Scan:
    """Read a whole segment, frame by frame: digests and counts. The chain is `verify`'s to prove.

    A frame whose digest fits is whole; only one that doesn't is read line by line (so is one of which
    something was erased: its lines are good). `prev_end`: the last
    position that counts, as the next segment's header says. Where there is no next segment, what
    follows the last valid commit was never acknowledged, with one exception: if a whole line of it
    is damaged, it may be the commit that was, so its good lines count.
    """
    first = text[: text.find(b"\n") + 1]
    header = parse_header(first[:-1])
    read = _Read(header)
    read.end = seek = len(first) if header else 0
    before_last: tuple[_Read | None, int] = (None, 0)
    while (found := _next_commit(text, seek)) is not None:
        at, seek, commit = found
        if prev_end is not None and commit.p > prev_end:
            break
        frame = text[read.end : at]
        whole = _fits(frame, commit)
        before_last = (None if whole else read.copy(), read.end)
        read.frame(frame, read.end, commit, whole=whole)
        read.end = seek
    backup, start = before_last
    if backup is not None and prev_end is None and _torn(text[: read.end], start):
        # Its sync never returned: a commit line can reach the disk before the lines it speaks for.
        read = backup
    kept = _keep_tail(text, read, prev_end)
    return Scan(header, read.end, read.head, read.sha, read.counts, read.scars, kept)


def _fits(frame: bytes, commit: Commit) -> bool:
    """Whether these are the bytes that were committed."""
    return len(frame) == commit.b and sha256(frame).hexdigest() == commit.d


def _next_commit(text: bytes, seek: int) -> tuple[int, int, Commit] | None:
    """The next valid commit line at or after an offset: where it begins and ends, and what it says."""
    while True:
        at = seek if text.startswith(COMMIT, seek) else text.find(b"\n" + COMMIT, seek) + 1
        close = text.find(b"\n", at)
        if close < 0 or (at == 0 and seek > 0) or not text.startswith(COMMIT, at):
            return None
        commit = parse_commit(text[at:close])
        if commit is not None:
            return at, close + 1, commit
        seek = close


def _keep_tail(text: bytes, read: _Read, prev_end: int | None) -> bool:
    """Take in what counts after the last valid commit, if anything does."""
    tail = text[read.end :]
    if prev_end is None:
        if _torn(text, read.end) or not _damaged(tail):
            return False
        prev_end = max((each.position for _, each in records(tail) if each), default=0)
    if prev_end <= read.head:
        return False
    last = read.lines(_through(tail, prev_end), read.end, prev_end)
    if last <= read.head:
        return False
    read.end += len(_through(tail, prev_end))
    read.head = last
    return True


def _through(tail: bytes, last: int) -> bytes:
    """The tail up to the first record after a position."""
    for at, record in records(tail):
        if record is not None and record.position > last:
            return tail[:at]
    return tail


def _damaged(tail: bytes) -> bool:
    """Whether the tail holds a damaged line, rather than one that was never written to its end."""
    if any(record is None for _, record in records(tail)):
        return True
    # A commit that is all there but for its newline, and one byte stands in the newline's place.
    return parse_commit(tail[tail.rfind(b"\n") + 1 : -1]) is not None


def _torn(text: bytes, start: int) -> bool:
    """Whether a sector written after `start` never reached the disk: NUL bytes up to the sector's end.

    JSON holds none, and a sync that returned leaves none behind. One byte alone may be damage.
    """
    at = text.find(b"\0", start)
    while at >= 0:
        end = at - at % SECTOR_BYTES + SECTOR_BYTES
        rest = text[at:end]
        if len(rest) > 1 and not rest.strip(b"\0"):
            return True
        at = text.find(b"\0", at + 1)
    return False
