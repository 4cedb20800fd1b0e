"""Which lines of a segment count: torn, damaged, abandoned, or never written."""

from __future__ import annotations

from hashlib import sha256

import pytest

from holdfast.journal import segment
from holdfast.journal.port import Counts
from holdfast.journal.scan import SECTOR_BYTES, Scan, scan
from holdfast.journal.segment import Header
from tests.records import event

AT = b"2026-11-23T10:00:00.000Z"


class Text:
    """A segment, frame by frame."""

    def __init__(self) -> None:
        self.sha = segment.GENESIS
        self.position = 0
        self.bytes = segment.header_line(Header(1, AT.decode(), segment.GENESIS, 0))
        self.ends = [len(self.bytes)]

    def frame(self, size: int, note: str = "") -> Text:
        """One more frame."""
        made = [event(self.position + at, body={"note": note}) for at in range(size)]
        lines = [segment.event_line(self.position + at, AT, each.data) for at, each in enumerate(made, 1)]
        self.position += size
        frame = b"".join(lines)
        orgs: Counts = {"tidewater": {"progress": size}} if size else {}
        digest = sha256(frame).hexdigest()
        commit, self.sha = segment.commit_line(self.position, size, len(frame), digest, orgs, self.sha)
        self.bytes += frame + commit
        self.ends.append(len(self.bytes))
        return self


def counted(found: Scan) -> int:
    return sum(sum(lanes.values()) for lanes in found.counts.values())


@pytest.fixture
def text() -> Text:
    """Frames of one, three, none and two events."""
    return Text().frame(1).frame(3).frame(0).frame(2)


def changed(text: bytes, at: int, to: bytes = b"#") -> bytes:
    return text[:at] + to + text[at + len(to) :]


def test_a_whole_segment_is_read_to_its_end(text: Text) -> None:
    found = scan(text.bytes)
    assert (found.end_bytes, found.head, found.sha) == (len(text.bytes), 6, text.sha)
    assert (counted(found), found.scars, found.kept) == (6, [], False)
    assert found.header is not None


def test_an_empty_segment_has_a_header_or_nothing() -> None:
    assert scan(Text().bytes).head == 0
    assert scan(b"") == Scan(None, 0, 0, None, {}, [], kept=False)


def test_what_was_cut_off_anywhere_in_the_last_frame_counts_as_never_written(text: Text) -> None:
    for end in range(text.ends[-2], len(text.bytes)):
        found = scan(text.bytes[:end])
        assert (found.end_bytes, found.head, counted(found)) == (text.ends[-2], 4, 4)
        assert not found.kept


@pytest.mark.parametrize("frame", range(4))
def test_sectors_that_never_arrived_are_no_damage(frame: int) -> None:
    """A commit line can reach the disk before the lines it speaks for."""
    long = Text().frame(1)
    for _ in range(frame):
        long.frame(2)
    start = len(long.bytes)
    long.frame(4, note="x" * 500)
    first = (start // SECTOR_BYTES + 1) * SECTOR_BYTES
    for sector in range(first, len(long.bytes) - SECTOR_BYTES, SECTOR_BYTES):
        found = scan(changed(long.bytes, sector, bytes(SECTOR_BYTES)))
        assert (found.end_bytes, found.scars, found.kept) == (start, [], False)
        assert counted(found) == found.head == 1 + 2 * frame


def test_a_single_zero_byte_is_damage_and_cuts_nothing(text: Text) -> None:
    for at in range(text.ends[-2], len(text.bytes)):
        found = scan(changed(text.bytes, at, b"\0"))
        assert counted(found) >= 5, at


def test_a_damaged_line_in_a_committed_frame_is_a_scar(text: Text) -> None:
    at = text.ends[1] + 200
    found = scan(changed(text.bytes, at))
    assert found.scars == [text.ends[1]]
    assert (found.head, counted(found)) == (6, 6), "the commit still says how many there were"


def test_a_damaged_commit_in_the_middle_costs_no_count(text: Text) -> None:
    at = text.bytes.index(segment.COMMIT, text.ends[1])
    for offset in range(0, text.ends[2] - at, 7):
        found = scan(changed(text.bytes, at + offset))
        assert (found.head, counted(found), found.end_bytes) == (6, 6, len(text.bytes)), offset
        assert len(found.scars) == 1


def test_a_damaged_last_commit_keeps_the_lines_it_spoke_for(text: Text) -> None:
    at = text.bytes.index(segment.COMMIT, text.ends[3])
    for offset in range(len(text.bytes) - at):
        found = scan(changed(text.bytes, at + offset))
        assert (found.head, counted(found), found.kept) == (6, 6, True), offset
        assert found.end_bytes == len(text.bytes)


def test_a_damaged_header_costs_no_frame(text: Text) -> None:
    found = scan(changed(text.bytes, 30))
    assert found.header is None
    assert (found.head, counted(found), found.scars) == (6, 6, [0])


def test_what_the_next_header_does_not_speak_for_is_left_out(text: Text) -> None:
    """A frame whose sync failed may be whole on the disk."""
    found = scan(text.bytes, prev_end=4)
    assert (found.head, counted(found), found.end_bytes) == (4, 4, text.ends[3])
    assert not found.kept


def test_what_the_next_header_speaks_for_counts_without_a_commit(text: Text) -> None:
    at = text.bytes.index(segment.COMMIT, text.ends[3])
    found = scan(changed(text.bytes, at + 40), prev_end=6)
    assert (found.head, counted(found), found.kept) == (6, 6, True)
    found = scan(changed(text.bytes, at + 40), prev_end=5)
    assert (found.head, counted(found)) == (5, 5)
