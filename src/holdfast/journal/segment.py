"""One file of the journal: its lines, their checksums, the chain, and how a torn tail looks.

A segment is text, one JSON object a line, so that people can read it with `jq`:

    {"v":1,"segment":{"first":…,"createdAt":…,"prev":"<sha256>","prevEnd":…},"c":"<crc32>"}
    {"v":1,"p":"<16 digits>","t":"<24 characters>","c":"<crc32 of e>","e":{…the envelope…}}
    {"v":1,"commit":{"p":…,"n":…,"b":…,"f":…,"orgs":{…},"prev":"<sha256>","sha":"<sha256>"},"c":"<crc32>"}

The crc is of the envelope's exact bytes. A commit line ends each frame: the last position, how many
lines and bytes, the crc32 of the frame's bytes, how many events per org and lane, the previous digest, and sha256 over the previous
digest and the lines' digests. It chains digests, not payloads, so a payload can be erased later and
the chain still be verified. `prevEnd` is the last position that counts in the segment before: what
stands after it there was never acknowledged.

Newlines are the resync mark: after a bad line the next good one is found by looking for `\\n`
(elastic/logstash #10184 shows what length prefixes do instead).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from operator import itemgetter
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from holdfast.core.codec import checksum
from holdfast.core.ids import position_text
from holdfast.journal.port import Counts
from holdfast.journal.record import LANE_AT, Event, Record

ACTIVE: Final = "offline-sync.jsonl"
GENESIS: Final = "0" * 64
"""What the first segment names as the previous digest."""

_EVENT: Final = b'{"v":1,"p":"'
_COMMIT: Final = b'{"v":1,"commit":'
_HEADER: Final = b'{"v":1,"segment":'
_P: Final = slice(12, 28)
_T: Final = slice(35, 59)
_C: Final = slice(66, 74)
_E: Final = slice(80, -1)
"""Where an event line (without its newline) keeps position, time, crc and envelope."""
_E_AT: Final = 80


_ORG_LANE: Final = itemgetter(1, 2)


class Header(msgspec.Struct, rename="camel"):
    """A segment's first line."""

    first: int
    created_at: str
    prev: str
    prev_end: int


class Commit(msgspec.Struct):
    """The line after each frame."""

    p: int
    n: int
    b: int
    f: int
    orgs: Counts
    prev: str
    sha: str


def sealed_name(first: int) -> str:
    """The file name of a sealed segment."""
    return f"offline-sync-{position_text(first)}.jsonl"


def event_line(position: int, received_at: bytes, data: bytes) -> bytes:
    """An event's line, with its newline. `received_at` is 24 bytes of RFC 3339."""
    return b'{"v":1,"p":"%016d","t":"%b","c":"%08x","e":%b}\n' % (position, received_at, crc32(data), data)


def _sealed_line(prefix: bytes, body: bytes) -> bytes:
    return b'%b%b,"c":"%b"}\n' % (prefix, body, checksum(body).encode())


def header_line(header: Header) -> bytes:
    """A segment's first line."""
    return _sealed_line(_HEADER, msgspec.json.encode(header))


def chain(prev: str, digests: bytes) -> str:
    """The next link: sha256 over the previous digest and the lines' digests (32 bytes each)."""
    link = sha256(bytes.fromhex(prev))
    link.update(digests)
    return link.hexdigest()


def commit_line(last: int, frame: bytes, orgs: Counts, prev: str, digests: list[bytes]) -> tuple[bytes, str]:
    """A frame's commit line and its digest. `digests`: sha256 of each line, newline included."""
    sha = chain(prev, b"".join(digests))
    commit = Commit(p=last, n=len(digests), b=len(frame), f=crc32(frame), orgs=orgs, prev=prev, sha=sha)
    body = msgspec.json.encode(commit)
    return _sealed_line(_COMMIT, body), sha


def count(events: Iterable[Event], into: Counts) -> None:
    """Add events to counts per org and lane."""
    for (org, lane), number in Counter(map(_ORG_LANE, events)).items():
        lanes = into.setdefault(org, {})
        lanes[lane] = lanes.get(lane, 0) + number


def add(more: Counts, into: Counts) -> None:
    """Add counts to counts."""
    for org, lanes in more.items():
        mine = into.setdefault(org, {})
        for lane, number in lanes.items():
            mine[lane] = mine.get(lane, 0) + number


def is_event(line: bytes) -> bool:
    """Whether a line (without newline) begins as event lines do."""
    return line.startswith(_EVENT)


def event_position(line: bytes) -> int | None:
    """The position an event or commit line names, None where it names none."""
    try:
        if line.startswith(_EVENT):
            return int(line[_P])
        if line.startswith(_COMMIT):
            commit = parse_commit(line)
            return commit.p if commit else None
    except ValueError:
        return None
    return None


def parse_event(line: bytes) -> Record | None:
    """The record of an event line, None when the line is damaged."""
    data = line[_E]
    try:
        if int(line[_C], 16) != crc32(data) or line[-1] != 0x7D or line[74:80] != b'","e":':
            return None
        return Record(int(line[_P]), line[_T].decode("ascii"), data)
    except (ValueError, IndexError):
        return None


def owner(data: bytes) -> tuple[str, str]:
    """An envelope's org and lane, without parsing it."""
    lane, _, rest = data[LANE_AT:].partition(b'","orgId":"')
    return rest[: rest.index(b'"')].decode(), lane.decode()


def lane_is(line: bytes, lane: bytes, at: int) -> bool:
    """Whether an event line is of a lane, without parsing it. `lane` ends in its closing quote."""
    return line.startswith(lane, _E_AT + at)


def _parse_sealed(line: bytes, prefix: bytes) -> bytes | None:
    body = line[len(prefix) : -16]
    if line.startswith(prefix) and line[-16:] == b',"c":"%b"}' % checksum(body).encode():
        return body
    return None


def parse_commit(line: bytes) -> Commit | None:
    """The commit of a commit line, None when the line is damaged or another."""
    body = _parse_sealed(line, _COMMIT)
    try:
        return msgspec.json.decode(body, type=Commit) if body else None
    except msgspec.DecodeError:
        return None


def parse_header(line: bytes) -> Header | None:
    """The header of a header line, None when the line is damaged or another."""
    body = _parse_sealed(line, _HEADER)
    try:
        return msgspec.json.decode(body, type=Header) if body else None
    except msgspec.DecodeError:
        return None


class Scan(NamedTuple):
    """What recovery reads off one segment."""

    header: Header | None
    end_bytes: int
    """Where the last valid commit ends: the segment's true end."""
    head: int
    """The last committed position; 0 when there is none."""
    sha: str | None
    """The last committed digest."""
    counts: Counts
    scars: list[tuple[int, bytes]]
    """Damaged lines before a later valid commit: offset and bytes."""
    tail_events: int
    """Whole, valid event lines after the last valid commit."""
    tail_damaged: bool
    """Whether the tail holds a whole line that is neither event nor commit: damage, not a torn write."""


def scan(text: bytes, limit: int | None = None) -> Scan:
    """Read a whole segment, frame by frame: checksums and counts. The chain is `verify`'s to prove.

    A frame whose crc fits is whole, positions and times included; only one that doesn't is read
    line by line. `limit`: positions after it do not count (the next segment's `prevEnd`).
    """
    header = parse_header(text[: text.find(b"\n")]) if text.startswith(_HEADER) else None
    start = end = text.find(b"\n") + 1 if header else 0
    seek = max(start - 1, 0)
    head, sha = 0, header.prev if header else None
    counts: Counts = {}
    scars: list[tuple[int, bytes]] = []
    while True:
        at = 0 if seek == 0 and text.startswith(_COMMIT) else text.find(b"\n" + _COMMIT, seek) + 1
        close = text.find(b"\n", at) if at or text.startswith(_COMMIT) else -1
        if close < 0:
            break
        seek = close
        commit = parse_commit(text[at:close])
        if commit is None:
            continue
        if limit is not None and commit.p > limit:
            break
        frame = text[start:at]
        if len(frame) != commit.b or crc32(frame) != commit.f:
            scars += _scars(frame, start)
        add(commit.orgs, counts)
        head, sha = commit.p, commit.sha
        start = end = close + 1
    tail_events, tail_damaged = _tail(text[end:])
    return Scan(header, end, head, sha, counts, scars, tail_events, tail_damaged)


def _scars(frame: bytes, at: int) -> list[tuple[int, bytes]]:
    found = []
    for line in frame.split(b"\n")[:-1]:
        if parse_event(line) is None:
            found.append((at, line))
        at += len(line) + 1
    return found


def _tail(tail: bytes) -> tuple[int, bool]:
    lines = tail.split(b"\n")[:-1]
    good = sum(1 for line in lines if parse_event(line) is not None)
    return good, good < len(lines)
