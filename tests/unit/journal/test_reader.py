"""Reading by position: long lines, many segments, many readers, and a writer that rolls meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from holdfast.core.ids import position_text
from holdfast.journal import reader as reading
from holdfast.journal import segment
from holdfast.journal.file import FileJournal
from holdfast.journal.reader import Reader
from holdfast.journal.record import Event
from holdfast.journal.recovery import look
from tests.faults.disks import QuickDisk
from tests.records import event, events, everything, put, seal

LANES = ("progress", "analytics", "admin")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FileJournal]:
    opened = FileJournal(tmp_path / "logs", disk=QuickDisk(), segment_bytes=1 << 30)
    yield opened
    opened.close()


async def filled(journal: FileJournal, sizes: list[int], frame: int = 5) -> list[Event]:
    """Events whose notes are of these sizes."""
    made = [event(at, lane=LANES[at % 3], body={"note": "x" * size}) for at, size in enumerate(sizes)]
    for at in range(0, len(made), frame):
        await put(journal, made[at : at + frame])
    return made


@pytest.mark.parametrize("probe", [64, 300, 1000, 5000])
async def test_a_place_is_found_however_lines_and_probe_compare(
    journal: FileJournal, monkeypatch: pytest.MonkeyPatch, probe: int
) -> None:
    monkeypatch.setattr(reading, "_PROBE", probe)
    random = Random(probe)
    made = await filled(journal, [random.choice((0, 10, 200, 3000)) for _ in range(120)])
    for after in [*random.sample(range(121), 60), 0, 1, 119, 120]:
        for lane in (None, random.choice(LANES)):
            found = journal.read(after, 4, lane)
            expected = [each.id for each in made[after:] if lane in (None, each.lane)][:4]
            assert [each.id for each in found.records] == expected, (after, lane)


@pytest.mark.parametrize("chunk", [50, 400, 4096])
async def test_a_line_longer_than_what_is_read_at_once_is_read(
    journal: FileJournal, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(reading, "_CHUNK", chunk)
    made = await filled(journal, [0, 5000, 0, 0, 9000, 1, 20_000, 0])
    assert [each.data for each in everything(journal)] == [each.data for each in made]
    assert journal.counts(len(made)) == journal.counts()


async def test_a_megabyte_in_one_body_is_read_and_so_is_what_follows(journal: FileJournal) -> None:
    made = await filled(journal, [0, 1 << 20, 0, (1 << 20) + 17, 3])
    assert [each.data for each in everything(journal)] == [each.data for each in made]
    for after in range(5):
        assert [each.data for each in journal.read(after, 1).records] == [made[after].data]
        assert sum(journal.counts(after).get("tidewater", {}).values()) == after


async def test_limits_hold_across_segments(journal: FileJournal) -> None:
    made: list[Event] = []
    for part in range(6):
        some = [event(part * 10 + at, lane=LANES[at % 3]) for at in range(part + 1)]
        await put(journal, some)
        seal(journal)
        made += some
    assert journal.stats().segments == 7
    for after in range(len(made) + 1):
        for limit in (1, 2, 5, 100):
            for lane in (None, *LANES):
                found = journal.read(after, limit, lane)
                expected = [each.id for each in made[after:] if lane in (None, each.lane)][:limit]
                assert [each.id for each in found.records] == expected
                if len(found.records) < limit:
                    assert found.through == len(made)


async def test_a_segment_is_closed_for_others_only_when_nobody_reads_it(
    journal: FileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few are kept open; one reader must not close a file under another's hands."""
    monkeypatch.setattr(reading, "_OPEN_FILES", 2)
    for part in range(12):
        await put(journal, events(part * 20, 20))
        seal(journal)
    failures: list[BaseException] = []

    def read(seed: int) -> None:
        random = Random(seed)
        try:
            for _ in range(150):
                after = random.randrange(240)
                (found,) = journal.read(after, 1).records
                assert found.data == event(after).data
        except BaseException as fault:  # noqa: BLE001 - it is told below
            failures.append(fault)

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for each in readers:
        each.start()
    for each in readers:
        each.join()
    assert failures == []


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_files_are_let_go_of_in_the_end(tmp_path: Path) -> None:
    before = open_files()
    for _ in range(20):
        journal = FileJournal(tmp_path / "logs", disk=QuickDisk())
        await put(journal, events(0, 2))
        seal(journal)
        everything(journal)
        journal.close()
    assert open_files() <= before + 1


async def test_reading_goes_on_while_the_writer_rolls(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk(), segment_bytes=1500)
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                found = everything(journal)
                assert [each.position for each in found] == list(range(1, len(found) + 1))
                head = journal.stats().head
                assert sum(sum(lanes.values()) for lanes in journal.counts(head).values()) == head
                assert list(journal.verify()) == []
        except BaseException as fault:  # noqa: BLE001 - it is told below
            failures.append(fault)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    for at in range(0, 300, 3):
        await put(journal, events(at, 3))
    done.set()
    for each in readers:
        each.join()
    assert failures == []
    assert journal.stats().segments > 50
    journal.close()


async def test_a_file_that_has_just_got_its_sealed_name_is_found_by_it(
    journal: FileJournal, tmp_path: Path
) -> None:
    """The moment between the rename and the writer's word on it."""
    await put(journal, events(0, 3))
    logs = tmp_path / "logs"
    places = look(logs)
    (logs / segment.ACTIVE).rename(logs / segment.sealed_name(1))
    reader = Reader(logs, places)
    assert [each.data for each in reader.read(0, 10).records] == [each.data for each in events(0, 3)]
    reader.close()
    # … and when the next one has the active name already
    header = segment.header_line(segment.Header(4, "2026-11-23T10:00:00.000Z", segment.GENESIS, 3))
    (logs / segment.ACTIVE).write_bytes(header)
    reader = Reader(logs, places)
    assert [each.data for each in reader.read(0, 10).records] == [each.data for each in events(0, 3)]
    assert list(reader.verify()) == []
    reader.close()
    (logs / segment.sealed_name(1)).rename(logs / segment.ACTIVE)


async def test_a_damaged_line_is_counted_once_however_often_it_is_read(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs, disk=QuickDisk())
    await put(journal, events(0, 3))
    path = logs / segment.ACTIVE
    text = path.read_bytes()
    at = text.index(position_text(2).encode())
    path.write_bytes(text[:at] + b"9" + text[at + 1 :])
    for _ in range(3):
        assert [each.position for each in everything(journal)] == [1, 3]
    assert journal.stats().scars == 1
    journal.close()
    journal = FileJournal(logs, disk=QuickDisk())
    assert journal.stats().scars == 1
    assert [each.position for each in everything(journal)] == [1, 3]
    assert journal.stats().scars == 1
    journal.close()


async def test_a_position_that_reads_wrong_hides_no_other_record(
    journal: FileJournal, tmp_path: Path
) -> None:
    await put(journal, events(0, 9))
    path = tmp_path / "logs" / segment.ACTIVE
    text = path.read_bytes()
    for digit in (b"0000000000000001", b"0000000000000009", b"9000000000000003"):
        path.write_bytes(text.replace(b'"p":"0000000000000003"', b'"p":"' + digit + b'"'))
        assert [each.position for each in everything(journal)] == [1, 2, 4, 5, 6, 7, 8, 9]
        assert [each.position for each in journal.read(3, 100).records] == [4, 5, 6, 7, 8, 9]


# What verify finds


async def test_verify_names_a_line_that_was_changed_with_its_crc(
    journal: FileJournal, tmp_path: Path
) -> None:
    """Somebody with an editor, rather than a disk: the chain tells."""
    await put(journal, events(0, 2))
    await put(journal, events(2, 2))
    path = tmp_path / "logs" / segment.ACTIVE
    lines = path.read_bytes().split(b"\n")
    record = segment.parse_event(lines[2])
    assert record is not None
    lines[2] = segment.event_line(
        record.position, record.received_at.encode(), record.data.replace(b"ada", b"eve")
    )[:-1]
    path.write_bytes(b"\n".join(lines))
    assert [(each.line, each.what) for each in journal.verify()] == [
        (4, "the frame's lines do not fit their digest")
    ]


def changed_with_its_crc(path: Path, number: int) -> str:
    """Change the payload of a line (from 0), as an erasure would: its frame's digest now."""
    lines = path.read_bytes().split(b"\n")
    record = segment.parse_event(lines[number])
    assert record is not None
    lines[number] = segment.event_line(
        record.position, record.received_at.encode(), record.data.replace(b"ada", b"---")
    )[:-1]
    path.write_bytes(b"\n".join(lines))
    first = max(at for at in range(number) if not segment.is_event(lines[at])) + 1
    last = min(at for at in range(number, len(lines)) if not segment.is_event(lines[at]))
    return sha256(b"".join(line + b"\n" for line in lines[first:last])).hexdigest()


async def test_verify_takes_an_erased_frame_in_its_recorded_form_and_in_no_other(
    journal: FileJournal, tmp_path: Path
) -> None:
    for at in range(3):
        await put(journal, events(at * 2, 2))
    path = tmp_path / "logs" / segment.ACTIVE
    erased = changed_with_its_crc(path, 5)
    assert list(journal.verify({4: {erased}})) == []
    complaint = [(6, "the frame's lines do not fit their digest")]
    for wrong in ({}, {4: {"0" * 64}}, {2: {erased}}, {6: {erased}}):
        assert [(each.line - 1, each.what) for each in journal.verify(wrong)] == complaint, wrong
    again = changed_with_its_crc(path, 4)
    assert [(each.line - 1, each.what) for each in journal.verify({4: {erased}})] == complaint
    assert list(journal.verify({4: {erased, again}})) == []


async def test_an_erased_frame_costs_no_scar_and_no_count_at_the_next_start(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs, disk=QuickDisk())
    await put(journal, events(0, 2))
    await put(journal, events(2, 2))
    journal.close()
    erased = changed_with_its_crc(logs / segment.ACTIVE, 1)
    again = FileJournal(logs, disk=QuickDisk())
    assert (again.stats().scars, again.counts()) == (0, {"tidewater": {"progress": 4}})
    assert [each.position for each in everything(again)] == [1, 2, 3, 4]
    await put(again, events(4, 1))
    assert list(again.verify({2: {erased}})) == []
    again.close()


async def test_verify_finds_a_commit_whose_facts_were_changed_with_its_crc(
    journal: FileJournal, tmp_path: Path
) -> None:
    await put(journal, events(0, 2))
    path = tmp_path / "logs" / segment.ACTIVE
    lines = path.read_bytes().split(b"\n")
    body = lines[3][len(segment.COMMIT) : -16].replace(b'"progress":2', b'"progress":9')
    lines[3] = b'%b%b,"c":"%08x"}' % (segment.COMMIT, body, crc32(body))
    path.write_bytes(b"\n".join(lines))
    assert [(each.line, each.what) for each in journal.verify()] == [
        (4, "the commit does not fit its own digest")
    ]


async def test_verify_finds_a_frame_that_was_taken_out(journal: FileJournal, tmp_path: Path) -> None:
    for at in range(3):
        await put(journal, [event(at)])
    path = tmp_path / "logs" / segment.ACTIVE
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:3] + lines[5:]))
    assert any("chain is broken" in each.what for each in journal.verify())


async def test_verify_finds_a_segment_that_was_taken_out(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs, disk=QuickDisk())
    for at in range(3):
        await put(journal, [event(at)])
        seal(journal)
    await put(journal, [event(3)])
    journal.close()
    (logs / segment.sealed_name(2)).unlink()
    journal = FileJournal(logs, disk=QuickDisk())
    found = list(journal.verify())
    assert [(each.segment, each.line) for each in found] == [(segment.sealed_name(3), 1)]
    assert "another digest" in found[0].what
    journal.close()
