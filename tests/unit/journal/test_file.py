"""The file engine beside the port: groups, limits, seals, starts on what other lives left."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
import structlog.testing

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Unavailable
from holdfast.journal import file as engine
from holdfast.journal import gather, segment
from holdfast.journal.file import FileJournal
from holdfast.journal.record import Event
from tests.faults.disks import FailingDisk, QuickDisk, RecordingDisk
from tests.records import event, events, everything, put, seal


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("*.jsonl*"))


# Groups


async def test_all_that_waits_is_written_and_synced_as_one_group(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    before = dict(disk.calls)
    with journal._gate:
        taken = [journal.append([each]) for each in events(0, 50)]
    assert await asyncio.gather(*taken) == list(range(1, 51))
    assert disk.calls["write"] - before["write"] == 1
    assert disk.calls["sync"] - before["sync"] == 1
    journal.close()


async def test_a_group_has_an_end_so_that_nobody_waits_for_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GROUP_EVENTS", 10)
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    before = disk.calls["sync"]
    with journal._gate:
        taken = [journal.append(events(at, 4)) for at in range(0, 40, 4)]
    await asyncio.gather(*taken)
    assert disk.calls["sync"] - before == 4  # 12, 12, 12 and 4 events
    assert len(everything(journal)) == 40
    journal.close()


async def test_a_sender_waits_for_the_sync(tmp_path: Path) -> None:
    synced: list[int] = []
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    disk.plan = lambda name, number: synced.append(number) if name == "sync" else None
    await put(journal, events(0, 1))
    assert len(synced) == 1
    journal.close()


@pytest.mark.parametrize("together", [1, 1000], ids=["by its appender", "by the writer"])
async def test_lines_that_can_not_be_worded_are_answered_for_and_the_next_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(gather, "WORDED_TOGETHER", together)
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk())
    broken = event(1)._replace(data="no bytes")  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logged, pytest.raises(Unavailable) as refused:
        await asyncio.wait_for(journal.append([broken]), 10)
    assert refused.value.code == "unknown_outcome"
    assert [each["event"] for each in logged] == ["journal lines could not be worded"]
    await put(journal, events(2, 2))
    assert [each.data for each in everything(journal)] == [event(at).data for at in (2, 3)]
    assert list(journal.verify()) == []
    journal.close()


async def test_when_too_much_waits_the_next_one_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "WORDED_TOGETHER", 1)  # what is not worded yet is not weighed
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk(), waiting_bytes=900)
    with journal._gate:
        taken = [journal.append(events(at, 1)) for at in range(3)]
        assert journal.stats().waiting_bytes > 900
        with pytest.raises(Unavailable) as refused:
            journal.append(events(9, 1))
        assert refused.value.code == "queue_full"
        assert refused.value.retry_s == 1.0
    await asyncio.gather(*taken)
    assert journal.stats().waiting_bytes == 0
    await put(journal, events(9, 1))
    assert [each.id for each in everything(journal)] == [event(at).id for at in (0, 1, 2, 9)]
    journal.close()


async def test_who_listens_hears_after_the_frame_can_be_read(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk())
    heard: list[int] = []
    journal.listen(lambda: heard.append(len(everything(journal))))
    for at in range(3):
        await put(journal, events(at * 2, 2))
    journal.close()
    assert heard == [2, 4, 6]


# Sealing


async def test_a_segment_is_sealed_at_its_size_and_noted(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs, disk=QuickDisk(), segment_bytes=2000)
    for at in range(0, 30, 3):
        await put(journal, events(at, 3))
    journal.close()
    sealed = sorted(logs.glob("offline-sync-*.jsonl"))
    assert len(sealed) >= 4
    for path in sealed:
        assert path.stat().st_size >= 2000
        index = json.loads(path.with_suffix(".index.json").read_text())
        text = path.read_bytes()
        last = segment.parse_commit(text.split(b"\n")[-2])
        assert last is not None
        assert (index["first"], index["last"], index["bytes"], index["sha"]) == (
            int(path.stem[-16:]),
            last.p,
            len(text),
            last.sha,
        )


async def test_a_segment_without_events_is_not_sealed(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk())
    for _ in range(3):
        journal.seal()
        for _ in range(1000):
            if not journal._seal_asked:
                break
            await asyncio.sleep(0.001)
    await put(journal, events(0, 1))
    journal.close()
    assert names(tmp_path / "logs") == [segment.ACTIVE]


async def test_each_header_names_where_the_segment_before_ends(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs, disk=QuickDisk())
    for at in range(3):
        await put(journal, events(at * 2, 2))
        seal(journal)
    journal.close()
    before: str | None = segment.GENESIS
    for number, path in enumerate([*sorted(logs.glob("offline-sync-*.jsonl")), logs / segment.ACTIVE]):
        lines = path.read_bytes().split(b"\n")
        header = segment.parse_header(lines[0])
        assert header is not None
        assert (header.first, header.prev_end, header.prev) == (number * 2 + 1, number * 2, before)
        commit = segment.parse_commit(lines[-2])
        before = commit.sha if commit else None


async def test_files_are_private_to_who_runs_the_portal(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs)
    await put(journal, events(0, 1))
    seal(journal)
    journal.close()
    for path in logs.glob("*.jsonl"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_journals_own_folder_is_made_durable(tmp_path: Path) -> None:
    """Files are as safe as the folder they are in."""
    disk = RecordingDisk()
    FileJournal(tmp_path / "a" / "b" / "logs", disk=disk).close()
    first = [call.name for call in disk.log].index("create")
    assert [call.name for call in disk.log[:first]] == ["sync_folder"] * 3


# Starting on what another life left


@pytest.fixture
async def left(tmp_path: Path) -> Path:
    """A sealed segment of three events and an active one of two."""
    logs = tmp_path / "logs"
    journal = FileJournal(logs, disk=QuickDisk())
    await put(journal, events(0, 3))
    seal(journal)
    await put(journal, events(3, 2))
    journal.close()
    return logs


async def goes_on(logs: Path, kept: int) -> None:
    """The journal has so many events, takes more, and is proven; also after the next start."""
    for life in range(2):
        journal = FileJournal(logs, disk=QuickDisk())
        assert [each.data for each in everything(journal)][:kept] == [each.data for each in events(0, kept)]
        await put(journal, [event(100 + life)])
        assert len(everything(journal)) == kept + life + 1
        assert sum(journal.counts()["tidewater"].values()) == kept + life + 1
        assert list(journal.verify()) == []
        journal.close()


async def test_a_crash_between_the_two_names_leaves_no_active_segment(left: Path) -> None:
    (left / segment.ACTIVE).rename(left / segment.sealed_name(4))
    await goes_on(left, 5)


async def test_a_crash_before_the_new_header_has_its_name_leaves_it_lying_about(left: Path) -> None:
    (left / (segment.ACTIVE + ".new")).write_bytes(b'{"v":1,"segm')
    await goes_on(left, 5)
    assert names(left) == [segment.sealed_name(1), segment.ACTIVE]


async def test_a_crash_between_the_two_names_with_the_new_header_there(left: Path) -> None:
    (left / segment.ACTIVE).rename(left / segment.sealed_name(4))
    header = segment.Header(6, "2026-11-23T10:00:00.000Z", segment.GENESIS, 5)
    (left / (segment.ACTIVE + ".new")).write_bytes(segment.header_line(header))
    await goes_on(left, 5)


async def test_a_start_needs_no_index(left: Path) -> None:
    index = (left / segment.sealed_name(1)).with_suffix(".index.json")
    index.unlink()
    await goes_on(left, 5)
    assert index.exists()


async def test_an_active_file_with_nothing_in_it_is_taken_over(left: Path) -> None:
    (left / segment.ACTIVE).write_bytes(b"")
    await goes_on(left, 3)


async def test_a_tail_that_was_never_acknowledged_is_cut_from_the_file(left: Path) -> None:
    active = left / segment.ACTIVE
    whole = active.read_bytes()
    line = segment.event_line(6, b"2026-11-23T10:00:00.000Z", event(50).data)
    active.write_bytes(whole + line + line[:100])
    journal = FileJournal(left, disk=QuickDisk())
    assert active.read_bytes() == whole
    assert len(everything(journal)) == 5
    journal.close()
    await goes_on(left, 5)


async def test_a_damaged_tail_is_kept_as_it_lies_and_a_new_segment_follows(left: Path) -> None:
    active = left / segment.ACTIVE
    text = active.read_bytes()
    at = text.rindex(b'"sha"')
    damaged = text[:at] + b"#" + text[at + 1 :]
    active.write_bytes(damaged)
    for _ in range(2):
        journal = FileJournal(left, disk=QuickDisk())
        assert [each.data for each in everything(journal)][:5] == [each.data for each in events(0, 5)]
        await put(journal, [event(9)])
        assert (left / segment.sealed_name(4)).read_bytes() == damaged
        assert {each.segment for each in journal.verify()} == {segment.sealed_name(4)}
        journal.close()


async def test_a_sealed_name_is_never_given_twice(left: Path) -> None:
    """Whatever a header claims: the file that has the name stays."""
    active = left / segment.ACTIVE
    lines = active.read_bytes().split(b"\n")
    header = segment.parse_header(lines[0])
    assert header is not None
    header.first = 1
    active.write_bytes(segment.header_line(header) + b"\n".join(lines[1:]))
    before = (left / segment.sealed_name(1)).read_bytes()
    journal = FileJournal(left, disk=QuickDisk())
    journal.seal()
    await put(journal, [event(9)])
    journal.close()
    assert (left / segment.sealed_name(1)).read_bytes() == before
    assert event(9).data in active.read_bytes()


# A journal put back from an older copy


async def test_a_journal_older_than_the_cursors_gives_positions_beyond_them(left: Path) -> None:
    journal = FileJournal(left, disk=QuickDisk(), after=1000)
    assert journal.stats().head == 5
    assert journal.read(1000, 10).records == []
    assert await put(journal, events(50, 2)) == 1001
    assert [each.position for each in journal.read(1000, 10).records] == [1001, 1002]
    assert [each.position for each in everything(journal)] == [1, 2, 3, 4, 5, 1001, 1002]
    assert list(journal.verify()) == []
    journal.close()
    journal = FileJournal(left, disk=QuickDisk())
    assert await put(journal, events(60, 1)) == 1003
    assert journal.counts(1001) == {"tidewater": {"progress": 6}}
    journal.close()


# Frames that heal


async def test_an_empty_frame_is_part_of_the_chain_and_of_nothing_else(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs, disk=QuickDisk())
    await put(journal, [])
    await put(journal, events(0, 2))
    await put(journal, [])
    assert journal.stats().head == 2
    assert len(everything(journal)) == 2
    assert list(journal.verify()) == []
    journal.close()
    await goes_on(logs, 2)


async def test_a_clock_that_jumps_back_is_written_as_it_stands(tmp_path: Path) -> None:
    clock = ManualClock()
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk(), clock=clock, segment_bytes=1000)
    for at in range(6):
        await put(journal, events(at, 1))
        clock.advance(-86_400.0)
    found = everything(journal)
    assert [each.position for each in found] == [1, 2, 3, 4, 5, 6]
    assert [each.received_at for each in found] == sorted((each.received_at for each in found), reverse=True)
    journal.close()
    await goes_on(tmp_path / "logs", 6)


async def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk())
    journal.close()
    journal.close()


# Handing over


async def test_a_writer_that_was_woken_for_nothing_is_woken_again(tmp_path: Path) -> None:
    """It takes a frame before the appender's wake-up comes; that one must not be the last it hears."""
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk())

    async def idle() -> None:
        while not journal._idle:  # noqa: ASYNC110 - it has no event to say so
            await asyncio.sleep(0.001)

    for at in range(3):
        await asyncio.wait_for(idle(), 10)
        with journal._gate:
            journal._idle = False
            journal._gate.notify()
        await asyncio.wait_for(idle(), 10)
        assert await asyncio.wait_for(journal.append(events(at, 1)), 10) == at + 1
    journal.close()


@pytest.mark.parametrize("sizes", [(1,), (1, 9), (1, 1, 40, 3), (8,)], ids=str)
async def test_frames_of_any_size_come_by_turns_and_each_hears_its_own_place(
    tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk())
    given: dict[int, list[Event]] = {}

    async def one(number: int) -> None:
        for turn in range(20):
            made = events(number * 10_000 + turn * 100, sizes[(number + turn) % len(sizes)])
            given[await asyncio.wait_for(journal.append(made), 10)] = made

    await asyncio.gather(*(one(number) for number in range(12)))
    journal.close()
    again = FileJournal(tmp_path / "logs", disk=QuickDisk())
    wanted = [each.data for first in sorted(given) for each in given[first]]
    assert [each.data for each in everything(again)] == wanted
    assert sorted(given) == [1 + sum(len(given[b]) for b in given if b < a) for a in sorted(given)]
    assert list(again.verify()) == []
    again.close()


async def test_a_crowd_that_is_not_worded_yet_is_weighed_all_the_same(tmp_path: Path) -> None:
    """The writer is held at the disk, and no turn of the loop ends between two appends."""
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk(), waiting_bytes=20_000)
    taken: list[asyncio.Future[int]] = []

    def crowd() -> None:
        for at in range(10 * gather.WORDED_TOGETHER):
            taken.append(journal.append(events(at, 1)))  # noqa: PERF401 - as far as it gets

    with journal._gate, pytest.raises(Unavailable) as refused:
        crowd()
    assert refused.value.code == "queue_full"
    await asyncio.gather(*taken)
    assert len(everything(journal)) == len(taken)
    journal.close()


async def test_who_appends_while_the_writer_leaves_is_refused_and_not_left_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk())
    await put(journal, events(0, 1))
    journal.close()
    monkeypatch.setattr(journal, "_closing", False)  # as it was when the appender looked
    monkeypatch.setattr(FileJournal, "_refusal", lambda _: Unavailable("leaving", code="draining"))
    with pytest.raises(Unavailable) as refused:
        await asyncio.wait_for(journal.append(events(1, 1)), 10)
    assert refused.value.code == "draining"
