"""The lines of a segment: what they say, and how each kind of damage shows."""

from __future__ import annotations

import json
from hashlib import sha256
from zlib import crc32

import pytest

from holdfast.journal import segment
from holdfast.journal.segment import Header
from tests.records import event, events

AT = b"2026-11-23T10:00:00.000Z"


def line(number: int = 1, position: int = 7) -> bytes:
    """An event's line without its newline."""
    return segment.event_line(position, AT, event(number).data)[:-1]


def commit(last: int = 7, **orgs: dict[str, int]) -> bytes:
    """A commit line without its newline."""
    made, _ = segment.commit_line(last, b"frame", dict(orgs), segment.GENESIS, [])
    return made[:-1]


HEADER = segment.header_line(Header(1, AT.decode(), segment.GENESIS, 0))[:-1]


def test_a_line_of_each_kind_is_json_that_says_what_it_was_made_of() -> None:
    said = json.loads(line())
    assert (said["v"], said["p"], said["t"]) == (1, "0000000000000007", AT.decode())
    assert said["e"]["id"] == event(1).id
    assert json.loads(commit(9, tidewater={"progress": 2}))["commit"]["orgs"] == {
        "tidewater": {"progress": 2}
    }
    assert json.loads(HEADER)["segment"]["prevEnd"] == 0


def test_a_record_is_read_back_from_its_line() -> None:
    record = segment.parse_event(line())
    assert record is not None
    assert (record.position, record.received_at, record.data) == (7, AT.decode(), event(1).data)
    assert (record.id, record.digest) == (event(1).id, event(1).digest)
    assert segment.owner(record.data) == ("tidewater", "progress")


def test_the_crc_covers_position_and_time_as_well_as_the_envelope() -> None:
    """A position that reads wrong would hide the records after it."""
    text = line()
    assert json.loads(text)["c"] == f"{crc32(event(1).data, crc32(text[:60])):08x}"


@pytest.mark.parametrize("text", [line(), commit(), HEADER], ids=["event", "commit", "header"])
def test_no_single_changed_byte_reads_as_another_value(text: bytes) -> None:
    whole = (segment.parse_event(text), segment.parse_commit(text), segment.parse_header(text))
    for at in range(len(text)):
        for other in (text[at] ^ 1, text[at] ^ 0x20, ord("9"), ord('"'), ord("\n"), 0):
            changed = text[:at] + bytes([other]) + text[at + 1 :]
            read = (
                segment.parse_event(changed),
                segment.parse_commit(changed),
                segment.parse_header(changed),
            )
            # A crc's own hex digit in the other case is the same number.
            assert read in (whole, (None, None, None)), (at, other)


@pytest.mark.parametrize("text", [line(), commit(), HEADER], ids=["event", "commit", "header"])
def test_no_part_of_a_line_is_a_line(text: bytes) -> None:
    for end in range(len(text)):
        part = text[:end]
        assert segment.parse_event(part) is None
        assert segment.parse_commit(part) is None
        assert segment.parse_header(part) is None


def test_a_position_is_taken_from_whole_lines_only() -> None:
    assert segment.position_of(line(position=12)) == 12
    assert segment.position_of(commit(9)) == 9
    assert segment.position_of(HEADER) is None
    assert segment.position_of(line(position=12).replace(b"0000012", b"0000002")) is None


def test_the_digest_chains_the_lines_digests() -> None:
    lines = [segment.event_line(at, AT, each.data) for at, each in enumerate(events(0, 3), 1)]
    digests = [sha256(each).digest() for each in lines]
    made, sha = segment.commit_line(3, b"".join(lines), {}, segment.GENESIS, digests)
    read = segment.parse_commit(made[:-1])
    assert read is not None
    assert (read.p, read.n, read.b, read.f) == (3, 3, sum(map(len, lines)), crc32(b"".join(lines)))
    assert read.sha == sha == sha256(bytes(32) + b"".join(digests)).hexdigest()


# Two lines with one byte between


@pytest.mark.parametrize(
    "first,second,found",
    [
        (line(1, 7), line(2, 8), [7, 8]),
        (line(1, 7), commit(7), [7]),
        (commit(7), line(2, 8), [8]),
        (HEADER, line(2, 1), [1]),
        (commit(7), commit(8), []),
        (line(1, 7)[:-1], line(2, 8), []),
    ],
    ids=[
        "two events",
        "event, commit",
        "commit, event",
        "header, event",
        "two commits",
        "a damaged one, event",
    ],
)
def test_what_a_damaged_newline_joined_is_told_apart(first: bytes, second: bytes, found: list[int]) -> None:
    assert [each.position for each in segment.salvage(first + b"x" + second)] == found


def test_a_body_can_not_pass_itself_off_as_a_record() -> None:
    """Its own line must be whole up to there, and a line that is whole is not looked into."""
    forged = segment.event_line(8, AT, event(99, org="highland").data)[:-1]
    carrier = event(1, raw=b'{"a":' + forged + b"}")
    text = segment.event_line(7, AT, carrier.data)[:-1]
    assert segment.holds_another(text)
    for at in range(len(text)):
        damaged = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        assert segment.salvage(damaged) == [], at
    assert [record for _, record in segment.records(text + b"\n")] == [segment.parse_event(text)]


def test_records_names_where_each_line_begins_and_which_are_damaged() -> None:
    text = HEADER + b"\n" + line(1, 1) + b"\nrubbish\n" + line(2, 2) + b"\n" + commit(2) + b"\n" + line(3, 3)
    found = [(at, each and each.position) for at, each in segment.records(text, 1000)]
    first = 1000 + len(HEADER) + 1
    assert found == [
        (first, 1),
        (first + len(line(1, 1)) + 1, None),
        (first + len(line(1, 1)) + 1 + len(b"rubbish\n"), 2),
    ]
