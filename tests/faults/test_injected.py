"""The disk fails in every way it can, one call at a time: nothing answered for is lost, and it goes on."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from holdfast.core.errors import Conflict, Unavailable
from holdfast.journal import file, segment
from holdfast.journal.file import HEAL_S, FileJournal
from holdfast.journal.record import Event
from tests.faults.disks import FailingDisk, fail, failing
from tests.faults.hold import healed_by_next_look, holds, killed_and_opened, refusal, waits
from tests.records import events, everything, put, seal


def nothing(_: str, __: int) -> None:
    """A plan for a disk that is well."""


@pytest.fixture(autouse=True)
def unhealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No journal heals by itself meanwhile, as it would where a test is held up for a second."""
    monkeypatch.setattr(file, "HEAL_S", 60.0)


@pytest.fixture
def heals(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """It does, as often as it is built to."""
    monkeypatch.setattr(file, "HEAL_S", HEAL_S)
    return monkeypatch


# Writes


@pytest.mark.parametrize("number", range(1, 7))
async def test_no_space_at_any_write_refuses_that_frame_and_no_other(tmp_path: Path, number: int) -> None:
    disk = FailingDisk(failing("write", code=errno.ENOSPC, first=number, times=1))
    journal = FileJournal(tmp_path / "logs", disk=disk)
    kept: list[Event] = []
    refused = 0
    for at in range(0, 24, 4):
        made = events(at, 4)
        (heard,) = await asyncio.gather(put(journal, made), return_exceptions=True)
        if isinstance(heard, Unavailable):
            assert heard.code == "disk_full"
            assert heard.hint
            refused += 1
        else:
            kept += made
        killed_and_opened(tmp_path / "logs", kept)
    # The first write is that of a segment's header: it is tried again by the first frame.
    assert refused == (0 if number == 1 else 1)
    holds(journal, kept)
    assert journal.stats().fault is None
    journal.close()
    killed_and_opened(tmp_path / "logs", kept)


async def test_short_writes_are_written_on(tmp_path: Path) -> None:
    random = Random(1)
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    disk.plan = lambda name, _: random.randrange(1, 400) if name == "write" else None
    for at in range(0, 20, 4):
        await put(journal, events(at, 4))
    assert disk.calls["write"] > 10
    holds(journal, events(0, 20))
    journal.close()


async def test_a_write_that_comes_up_short_and_fails_leaves_no_trace(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    await put(journal, events(0, 2))
    size = (tmp_path / "logs" / segment.ACTIVE).stat().st_size

    def half_then_full(name: str, number: int) -> int | None:
        if name != "write":
            return None
        if number % 2:
            raise fail(errno.ENOSPC)
        return 300

    disk.plan = half_then_full
    assert (await refusal(journal, events(2, 4))).code == "disk_full"
    disk.plan = nothing
    assert (tmp_path / "logs" / segment.ACTIVE).stat().st_size == size
    await put(journal, events(6, 2))
    holds(journal, events(0, 2) + events(6, 2))
    journal.close()


async def test_a_write_that_fails_and_can_not_be_cut_back_ends_the_segment(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    await put(journal, events(0, 2))

    def half_and_stuck(name: str, number: int) -> int | None:
        if name == "truncate" or (name == "write" and number % 2):
            raise fail(errno.EIO)
        return 600 if name == "write" else None

    disk.plan = half_and_stuck
    assert (await refusal(journal, events(2, 4))).code == "journal_unavailable"
    disk.plan = nothing
    killed_and_opened(tmp_path / "logs", events(0, 2))
    await put(journal, events(6, 2))
    assert journal.stats().segments == 2
    holds(journal, events(0, 2) + events(6, 2))
    journal.close()
    killed_and_opened(tmp_path / "logs", events(0, 2) + events(6, 2))


# Syncs


async def test_a_failed_sync_answers_unknown_and_is_never_tried_again(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    await put(journal, events(0, 3))
    bad = journal._fd
    disk.synced.clear()
    disk.plan = failing("sync", first=disk.calls["sync"] + 1, times=1)
    refused = await refusal(journal, events(3, 3))
    assert refused.code == "unknown_outcome"
    assert refused.retry_s is not None
    assert disk.synced == [bad]
    stats = journal.stats()
    assert stats.fault is not None
    assert stats.failed_groups == 1
    assert stats.head == 3
    holds(journal, events(0, 3))

    disk.synced.clear()
    first = await put(journal, events(6, 2))
    assert first > 6, "a position that was written once is not given to another event"
    assert bad not in disk.synced or disk.calls["create"] == 2  # its number may be given to the next file
    assert journal.stats().segments == 2
    assert journal.stats().fault is None
    sealed, active = sorted((tmp_path / "logs").glob("*.jsonl"))
    header = segment.parse_header(active.read_bytes().split(b"\n")[0])
    assert header is not None
    assert (header.first, header.prev_end) == (4, 3)
    assert sealed.name == segment.sealed_name(1)
    holds(journal, events(0, 3) + events(6, 2))
    journal.close()
    killed_and_opened(tmp_path / "logs", events(0, 3) + events(6, 2))


async def test_all_who_share_the_group_hear_that_the_sync_failed(tmp_path: Path) -> None:
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    disk.plan = failing("sync", first=disk.calls["sync"] + 1, times=1)
    with journal._gate:  # so that they are one group
        taken = [journal.append([each]) for each in events(0, 5)]
    heard = await asyncio.gather(*taken, return_exceptions=True)
    assert [getattr(each, "code", None) for each in heard] == ["unknown_outcome"] * 5
    await put(journal, events(0, 5))
    holds(journal, events(0, 5))
    journal.close()


async def test_a_frame_whose_sync_failed_counts_never_though_it_can_not_be_cut(tmp_path: Path) -> None:
    """Its bytes are whole on this disk; the next header says that they are not part of the journal."""
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    await put(journal, events(0, 3))
    broken = {"sync": disk.calls["sync"] + 1}

    def stuck(name: str, number: int) -> None:
        if name == "truncate" or number == broken.get(name):
            raise fail(errno.EIO)

    disk.plan = stuck
    assert (await refusal(journal, events(3, 3))).code == "unknown_outcome"
    disk.plan = nothing
    await put(journal, events(10, 1))
    holds(journal, events(0, 3) + events(10, 1))
    journal.close()
    for path in (tmp_path / "logs").glob("*.index.json"):
        path.unlink()
    killed_and_opened(tmp_path / "logs", events(0, 3) + events(10, 1))


@pytest.mark.parametrize("name", ["sync", "write", "create", "rename", "sync_folder"])
async def test_a_disk_that_stays_bad_refuses_all_and_loses_nothing(tmp_path: Path, name: str) -> None:
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    await put(journal, events(0, 3))
    disk.plan = failing("sync", times=1, first=disk.calls["sync"] + 1)
    await refusal(journal, events(3, 1))
    disk.plan = failing(name)
    for at in range(4, 8):
        refused = await refusal(journal, events(at, 1))
        assert refused.code in {"journal_unavailable", "unknown_outcome"}
        holds(journal, events(0, 3))
    killed_and_opened(tmp_path / "logs", events(0, 3))
    disk.plan = nothing
    await put(journal, events(9, 1))
    holds(journal, events(0, 3) + events(9, 1))
    journal.close()
    killed_and_opened(tmp_path / "logs", events(0, 3) + events(9, 1))


# Rolling


ROLL_CALLS = ("unlink", "create", "write", "sync", "rename", "sync_folder", "close")


@pytest.mark.parametrize("name", ROLL_CALLS)
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_roll_that_fails_at_any_call_loses_nothing(tmp_path: Path, name: str, nth: int) -> None:
    logs = tmp_path / "logs"
    disk = FailingDisk()
    journal = FileJournal(logs, disk=disk)
    kept = events(0, 3)
    await put(journal, kept)
    disk.plan = failing(name, first=disk.calls.get(name, 0) + nth, times=1)
    with journal._gate:  # the frame first, then the roll
        done = journal.append(events(3, 1))
        journal.seal()
    kept += events(3, 1)
    try:
        await done
    except Unavailable:
        kept.pop()  # the failure fell on the frame
    for at in range(4, 8):
        try:
            await put(journal, events(at, 1))
        except Unavailable:
            continue
        kept += events(at, 1)
        killed_and_opened(logs, kept)
    assert len(kept) >= 6
    disk.plan = nothing
    seal(journal)
    await put(journal, events(8, 1))
    holds(journal, kept + events(8, 1))
    journal.close()
    killed_and_opened(logs, kept + events(8, 1))


async def test_what_follows_a_roll_whose_last_sync_failed_is_there_after_a_kill(tmp_path: Path) -> None:
    """The new header lies in place by then, and says where the old segment ends: it must not grow on."""
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    await put(journal, events(0, 2))
    disk.plan = failing("sync_folder", first=disk.calls["sync_folder"] + 2, times=1)
    with journal._gate:  # the frame first, then the roll
        done = journal.append(events(2, 1))
        journal.seal()
    await done
    await put(journal, events(3, 1))
    killed_and_opened(tmp_path / "logs", events(0, 4))
    journal.close()


# Starting


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "logs")
    with pytest.raises(Conflict) as refused:
        FileJournal(tmp_path / "logs")
    assert refused.value.code == "store_in_use"
    program = (
        "import sys, pathlib\n"
        "from holdfast.core.errors import Conflict\n"
        "from holdfast.journal.file import FileJournal\n"
        "try:\n"
        "    FileJournal(pathlib.Path(sys.argv[1]))\n"
        "except Conflict as refused:\n"
        "    print(refused.code)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "logs")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "store_in_use\n"
    journal.close()
    FileJournal(tmp_path / "logs").close()


def test_a_start_that_fails_lets_the_lock_go(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / segment.ACTIVE).mkdir()  # no journal can be read from that
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's choice
        FileJournal(logs)
    (logs / segment.ACTIVE).rmdir()
    FileJournal(logs).close()


@pytest.mark.parametrize("names", [("create",), ("write",), ("sync",), ("rename",), ("sync_folder",)])
async def test_a_first_start_on_a_bad_disk_answers_and_heals(
    tmp_path: Path, names: tuple[str, ...], heals: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs").mkdir()
    disk = FailingDisk(failing(*names, code=errno.ENOSPC))
    journal = FileJournal(tmp_path / "logs", disk=disk)
    waited = waits(journal, heals)
    assert journal.stats().fault is not None
    assert (await refusal(journal, events(0, 1))).code == "disk_full"
    disk.plan = nothing
    await healed_by_next_look(journal, waited)
    await put(journal, events(1, 1))
    holds(journal, events(1, 1))
    journal.close()


@pytest.mark.parametrize(
    "tail", [b"", b'{"v":1,"p":"00', b"no journal's line\n"], ids=["whole", "torn", "damaged"]
)
async def test_a_start_on_a_full_disk_reads_everything_and_heals(
    tmp_path: Path, tail: bytes, heals: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs)
    await put(journal, events(0, 3))
    seal(journal)
    await put(journal, events(3, 3))
    journal.close()
    with (logs / segment.ACTIVE).open("ab") as file:
        file.write(tail)
    disk = FailingDisk(failing("write", "create", code=errno.ENOSPC))
    journal = FileJournal(logs, disk=disk)
    waited = waits(journal, heals)
    assert [each.data for each in everything(journal)] == [each.data for each in events(0, 6)]
    assert (await refusal(journal, events(6, 1))).code == "disk_full"
    disk.plan = nothing
    await healed_by_next_look(journal, waited)
    await put(journal, events(7, 1))
    assert [each.data for each in everything(journal)] == [each.data for each in events(0, 6) + events(7, 1)]
    journal.close()


async def test_a_start_on_a_disk_that_can_not_even_cut_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    journal = FileJournal(logs)
    await put(journal, events(0, 3))
    journal.close()
    with (logs / segment.ACTIVE).open("ab") as file:
        file.write(b'{"v":1,"p":"00')
    journal = FileJournal(logs, disk=FailingDisk(failing("truncate")))
    await put(journal, events(3, 1))
    holds(journal, events(0, 4))
    journal.close()
    killed_and_opened(logs, events(0, 4))


# Healing


async def failed(journal: FileJournal, groups: int) -> None:
    """Wait until so many groups have failed: the first with somebody's events, the rest to see the disk."""
    end_s = time.monotonic() + 30
    while journal.stats().failed_groups < groups:
        assert time.monotonic() < end_s, "it stopped looking"
        await asyncio.sleep(0.02)


async def test_after_a_fault_without_traffic_the_journal_heals_within_a_second_or_so(
    tmp_path: Path, heals: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    await put(journal, events(0, 2))
    waited = waits(journal, heals)
    disk.plan = failing("write", code=errno.ENOSPC)
    await refusal(journal, events(2, 1))
    await failed(journal, 2)
    assert journal.stats().fault is not None, "it looked, and found the disk as full as before"
    disk.plan = nothing
    await healed_by_next_look(journal, waited)
    assert HEAL_S <= 1
    holds(journal, events(0, 2))
    await put(journal, events(3, 2))
    holds(journal, events(0, 2) + events(3, 2))
    journal.close()
    killed_and_opened(tmp_path / "logs", events(0, 2) + events(3, 2))


async def test_a_journal_that_heals_for_long_does_not_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "HEAL_S", 0.05)
    disk = FailingDisk()
    journal = FileJournal(tmp_path / "logs", disk=disk)
    await put(journal, events(0, 2))
    disk.plan = failing("sync")
    await refusal(journal, events(2, 1))
    await failed(journal, 20)
    assert len(list((tmp_path / "logs").glob("*.jsonl"))) <= 2
    journal.close()
