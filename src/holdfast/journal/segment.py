r"""One file of the journal: its lines, their checksums, the chain, and how a torn tail looks.

A segment is text, one JSON object a line, so that people can read it with `jq`:

    {"v":1,"segment":{"first":…,"createdAt":…,"prev":"<sha256>","prevEnd":…},"c":"<crc32>"}
    {"v":1,"p":"<16 digits>","t":"<24 characters>","c":"<crc32>","e":{…the envelope…}}
    {"v":1,"commit":{"p":…,"n":…,"b":…,"d":"<sha256>","orgs":{…},"prev":"<sha256>","sha":"<sha256>"},"c":"<crc32>"}

An event's crc is of all that stands before `,"c":` in its line, then of the envelope's exact bytes:
a position that reads wrong would hide the records after it. A commit line ends each frame: the last
position, how many lines and bytes, the sha256 of the frame's bytes, how many events per org and lane,
the previous link, and the next one: sha256 over all that stands before it in the commit's value. It
chains digests, not payloads, so a payload can be erased later and the chain still be verified.
`prevEnd` is the last position that counts in the segment before: what stands after it there was never
acknowledged.

Newlines are the resync mark: after a bad line the next good one is found by looking for `\n`
(elastic/logstash #10184 shows what length prefixes do instead).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from sys import byteorder
from typing import Final
from zlib import crc32

import msgspec

from holdfast.core.codec import checksum
from holdfast.core.ids import position_text
from holdfast.journal.port import Counts
from holdfast.journal.record import LANE_AT, Record

ACTIVE: Final = "offline-sync.jsonl"
GENESIS: Final = "0" * 64
"""What the first segment names as the previous digest."""

_LINE: Final = b'{"v":1,'
_EVENT: Final = b'{"v":1,"p":"'
COMMIT: Final = b'{"v":1,"commit":'
HEADER: Final = b'{"v":1,"segment":'
_P: Final = slice(12, 28)
_T: Final = slice(35, 59)
_HEAD: Final = slice(60)
_C: Final = slice(66, 74)
_E: Final = slice(80, -1)
"""Where an event line (without its newline) keeps position, time, crc and envelope."""
_E_AT: Final = 80


_LOW: Final = tuple(b"%03d" % number for number in range(1000))
"""A position's last digits: writing a number out costs more than looking it up."""
_AFTER_LOW: Final = b"0" * 32
_LOW_CHANGES: Final = tuple(crc32(low + _AFTER_LOW) ^ crc32(b"000" + _AFTER_LOW) for low in _LOW)
"""What those digits, instead of zeros, change in the crc of a line up to the time's closing quote."""
_FEW: Final = 8
"""Fewer lines than these are cheaper one by one."""
LINE_BYTES: Final = 82
"""How much longer an event's line, newline included, is than its envelope."""


class Header(msgspec.Struct, rename="camel"):
    """A segment's first line."""

    first: int
    created_at: str
    prev: str
    prev_end: int


class Frame(msgspec.Struct):
    """What a commit line says of its frame: the link is taken over exactly this text."""

    p: int
    n: int
    b: int
    d: str
    orgs: Counts
    prev: str


class Commit(Frame):
    """The line after each frame."""

    sha: str


def sealed_name(first: int) -> str:
    """The file name of a sealed segment."""
    return f"offline-sync-{position_text(first)}.jsonl"


def event_line(position: int, received_at: bytes, data: bytes) -> bytes:
    """An event's line, with its newline. `received_at` is 24 bytes of RFC 3339."""
    head = b'{"v":1,"p":"%016d","t":"%b"' % (position, received_at)
    return b'%b,"c":"%08x","e":%b}\n' % (head, crc32(data, crc32(head)), data)


def event_lines(first: int, received_at: bytes, datas: Sequence[bytes]) -> bytes:
    """The lines of events that follow one another: as `event_line`, for less than half its price."""
    if len(datas) < _FEW:
        return b"".join([event_line(at, received_at, data) for at, data in enumerate(datas, first)])
    # A line is six pieces, of which three are the same in all lines: `pieces` has the places of a thousand.
    texts: list[bytes] = []
    at, end = first, first + len(datas)
    while at < end:
        thousands, low = divmod(at, 1000)
        part = slice(low, low + end - at)
        begin = b'{"v":1,"p":"%013d' % thousands
        time = b'","t":"%b"' % received_at
        base = crc32(b"%b000%b" % (begin, time))
        lows = _LOW[part]
        some = datas[at - first : at - first + len(lows)]
        # Of two texts as long as each other, crc32(x) ^ crc32(y) depends on x ^ y alone.
        crcs = array("I", map(crc32, some, [base ^ change for change in _LOW_CHANGES[part]]))
        if byteorder == "little":
            crcs.byteswap()
        pieces = [begin, b"", time + b',"c":"', b"", b'","e":', b"", b"}\n"] * len(lows)
        pieces[1::7] = lows
        pieces[3::7] = crcs.tobytes().hex(",", crcs.itemsize).encode().split(b",")
        pieces[5::7] = some
        texts.append(b"".join(pieces))
        at += len(lows)
    return texts[0] if len(texts) == 1 else b"".join(texts)


def _sealed_line(prefix: bytes, body: bytes) -> bytes:
    return b'%b%b,"c":"%b"}\n' % (prefix, body, checksum(body).encode())


def header_line(header: Header) -> bytes:
    """A segment's first line."""
    return _sealed_line(HEADER, msgspec.json.encode(header))


def commit_line(
    last: int, number: int, size_bytes: int, digest: str, orgs: Counts, prev: str
) -> tuple[bytes, str]:
    """A frame's commit line and its link. `digest`: sha256 of the frame's bytes, as hex."""
    said = msgspec.json.encode(Frame(last, number, size_bytes, digest, orgs, prev))[:-1]
    link = sha256(said).hexdigest()
    return _sealed_line(COMMIT, b'%b,"sha":"%b"}' % (said, link.encode())), link


def link_of(line: bytes) -> str:
    """The link that a commit line's own text amounts to."""
    return sha256(line[len(COMMIT) : line.rindex(b',"sha":"')]).hexdigest()


def count(orgs: Sequence[str], lanes: Sequence[str], into: Counts) -> None:
    """Add events, each with its org and its lane, to counts."""
    number = len(orgs)
    if orgs.count(orgs[0]) == number and lanes.count(lanes[0]) == number:
        add({orgs[0]: {lanes[0]: number}}, into)  # as a sender's frame nearly always is
        return
    for (org, lane), some in Counter(zip(orgs, lanes, strict=True)).items():
        add({org: {lane: some}}, into)


def add(more: Counts, into: Counts) -> None:
    """Add counts to counts."""
    for org, lanes in more.items():
        mine = into.setdefault(org, {})
        for lane, number in lanes.items():
            mine[lane] = mine.get(lane, 0) + number


def is_event(line: bytes) -> bool:
    """Whether a line (without newline) begins as event lines do."""
    return line.startswith(_EVENT)


def position_of(line: bytes) -> int | None:
    """The position a whole event or commit line names, None where it names none."""
    if line.startswith(_EVENT):
        record = parse_event(line)
        return record.position if record else None
    commit = parse_commit(line)
    return commit.p if commit else None


def parse_event(line: bytes) -> Record | None:
    """The record of an event line, None when the line is damaged."""
    data = line[_E]
    try:
        if int(line[_C], 16) != crc32(data, crc32(line[_HEAD])) or not line.endswith(b"}"):
            return None
        if line[60:66] != b',"c":"' or line[74:80] != b'","e":':
            return None
        return Record(int(line[_P]), line[_T].decode("ascii"), data)
    except (ValueError, IndexError):
        return None


def is_exact(line: bytes) -> bool:
    """Whether an event line is byte for byte as it was written: a number has more than one spelling."""
    record = parse_event(line)
    return record is not None and line == event_line(record.position, line[_T], record.data)[:-1]


def owner(data: bytes) -> tuple[str, str]:
    """An envelope's org and lane, without parsing it."""
    lane, _, rest = data[LANE_AT:].partition(b'","orgId":"')
    return rest[: rest.index(b'"')].decode(), lane.decode()


def lane_is(line: bytes, lane: bytes, at: int) -> bool:
    """Whether an event line is of a lane, without parsing it. `lane` ends in its closing quote."""
    return line.startswith(lane, _E_AT + at)


def holds_another(line: bytes) -> bool:
    """Whether an event line may begin inside this one: the newline between them was damaged."""
    return line.find(_EVENT, 1) > 0


def is_known(line: bytes) -> bool:
    """Whether a line begins as one of the three."""
    return line.startswith((_EVENT, COMMIT, HEADER))


def _parse_sealed(line: bytes, prefix: bytes) -> bytes | None:
    body = line[len(prefix) : -16]
    if line.startswith(prefix) and line[-16:] == b',"c":"%b"}' % checksum(body).encode():
        return body
    return None


def parse_commit(line: bytes) -> Commit | None:
    """The commit of a commit line, None when the line is damaged or another."""
    body = _parse_sealed(line, COMMIT)
    try:
        return msgspec.json.decode(body, type=Commit) if body else None
    except msgspec.DecodeError:
        return None


def parse_header(line: bytes) -> Header | None:
    """The header of a header line, None when the line is damaged or another."""
    body = _parse_sealed(line, HEADER)
    try:
        return msgspec.json.decode(body, type=Header) if body else None
    except msgspec.DecodeError:
        return None


def salvage(line: bytes) -> list[Record]:
    """The records in a damaged line: up to two, where all that was damaged is the newline between."""
    at = second_of(line)
    if at is None:
        return []
    return [each for each in map(parse_event, (line[: at - 1], line[at:])) if each is not None]


def second_of(line: bytes) -> int | None:
    """Where another line begins in a damaged one, because the newline between them was damaged.

    The line before that newline must be whole, or a body could pass itself off as a record.
    """
    at = line.find(_LINE, 1)
    while at > 0:
        before = line[: at - 1]
        if parse_event(before) or parse_commit(before) or parse_header(before):
            return at
        at = line.find(_LINE, at + 1)
    return None


def records(text: bytes, at: int = 0) -> Iterator[tuple[int, Record | None]]:
    """The records of whole lines, and None for a damaged line, each with its line's offset.

    `at`: the text's own offset. The slow way of reading, for where something is wrong.
    """
    for line in text.split(b"\n")[:-1]:
        record = parse_event(line)
        if record is not None:
            yield at, record
        elif not (parse_commit(line) or parse_header(line)):
            yield at, None
            for each in salvage(line):
                yield at, each
        at += len(line) + 1
