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
    made, _ = segment.commit_line(last, 2, 800, "d" * 64, dict(orgs), segment.GENESIS)
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


@pytest.mark.parametrize("first", [1, 990, 998, 999, 1000, 12_345_678_901_990, 9_999_999_999_999_900])
@pytest.mark.parametrize("number", [0, 1, 7, 8, 99])
def test_lines_worded_together_are_those_worded_one_by_one(first: int, number: int) -> None:
    datas = [event(at, body={"note": "é" * at}).data for at in range(number)]
    expected = b"".join(segment.event_line(at, AT, data) for at, data in enumerate(datas, first))
    assert segment.event_lines(first, AT, datas) == expected
    assert len(expected) == sum(map(len, datas)) + number * segment.LINE_BYTES


def test_many_lines_worded_together_cross_every_thousand() -> None:
    datas = [event(1).data] * 3005
    expected = b"".join(segment.event_line(at, AT, data) for at, data in enumerate(datas, 1997))
    assert segment.event_lines(1997, AT, datas) == expected


def test_the_link_is_the_digest_of_all_that_the_commit_says() -> None:
    frame = segment.event_lines(1, AT, [each.data for each in events(0, 3)])
    digest = sha256(frame).hexdigest()
    made, sha = segment.commit_line(3, 3, len(frame), digest, {"tidewater": {"admin": 3}}, segment.GENESIS)
    read = segment.parse_commit(made[:-1])
    assert read is not None
    assert (read.p, read.n, read.b, read.d) == (3, 3, len(frame), digest)
    said = made[made.index(b'{"p":') : made.index(b',"sha"')]
    assert read.sha == sha == sha256(said).hexdigest() == segment.link_of(made[:-1])
    assert all(part in said for part in (digest.encode(), segment.GENESIS.encode(), b'"admin":3'))


def test_a_line_is_exact_only_as_it_was_written() -> None:
    """A crc's hex digit in the other case is the same number, and yet another byte."""
    spelled = 0
    for number in range(8):
        text = segment.event_line(7, AT, event(number).data)[:-1]
        assert segment.is_exact(text)
        for at in range(66, 74):
            other = text[:at] + bytes([text[at] ^ 0x20]) + text[at + 1 :]
            spelled += segment.parse_event(other) is not None
            assert not segment.is_exact(other)
    assert spelled > 0


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
