"""Archived segments: read like the others, whole after a crash at any step, told of when they are away."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Conflict, Corrupt, Unavailable
from holdfast.journal import archive
from holdfast.journal.erasing import Wanted
from holdfast.journal.file import FileJournal
from holdfast.journal.record import Record
from holdfast.journal.recovery import look
from tests.faults.disks import QuickDisk, fail
from tests.records import event, events, everything, put, seal

LANES = ("progress", "analytics", "admin")
LATER = "2999-01-01T00:00:00.000Z"
SEGMENTS = 3


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Three sealed segments, and one that is written to."""
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk(), clock=ManualClock())
    for part in range(SEGMENTS + 1):
        await put(journal, [event(part * 10 + at, lane=LANES[at % 3]) for at in range(4)])
        if part < SEGMENTS:
            seal(journal)
    journal.close()
    return tmp_path / "logs"


@pytest.fixture
async def journal(folder: Path) -> AsyncIterator[FileJournal]:
    opened = FileJournal(folder, disk=QuickDisk(), clock=ManualClock())
    yield opened
    opened.close()


def archived(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / archive.FOLDER).glob("offline-sync-*.jsonl"))


def at_hand(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("offline-sync-*.jsonl"))


def said(journal: FileJournal) -> tuple[list[Record], list[list[Record]], object, list[object]]:
    """All that can be read of a journal."""
    counts = [journal.counts(through) for through in range(17)]
    return everything(journal), [everything(journal, lane) for lane in LANES], counts, list(journal.verify())


async def test_what_is_archived_is_read_as_before_and_so_it_is_after_a_start(
    journal: FileJournal, folder: Path
) -> None:
    before = said(journal)
    names = at_hand(folder)
    assert journal.archive(LATER, 16) == names
    assert (at_hand(folder), archived(folder)) == ([], names)
    assert said(journal) == before
    assert journal.archive(LATER, 16) == []
    journal.close()
    again = FileJournal(folder, disk=QuickDisk())
    assert said(again) == before
    assert again.counts() == journal.counts()
    assert await put(again, [event(99)]) == 17
    assert list(again.verify()) == []
    again.close()


async def test_who_reads_while_segments_move_reads_all_of_it(journal: FileJournal) -> None:
    before = everything(journal)
    found = journal.read(0, 2).records
    journal.archive(LATER, 4)
    found += journal.read(2, 4).records
    journal.archive(LATER, 16)
    found += journal.read(6, 100).records
    assert found == before


async def test_what_is_young_not_finished_or_damaged_stays_where_it_is(folder: Path) -> None:
    names = at_hand(folder)
    text = (folder / names[1]).read_bytes()
    (folder / names[1]).write_bytes(text.replace(b'"userId":"ada"', b'"userId":"adx"', 1))
    (folder / names[1]).with_suffix(".index.json").unlink()
    journal = FileJournal(folder, disk=QuickDisk())
    assert journal.archive("2000-01-01T00:00:00.000Z", 16) == []
    assert journal.archive(LATER, 3) == []
    assert journal.archive(LATER, 11) == names[:1]
    assert journal.archive(LATER, 16) == names[2:]
    assert at_hand(folder) == names[1:2]
    assert len(everything(journal)) == 15
    journal.close()


async def test_a_journal_that_closes_ends_archiving_between_two_segments_and_lets_go_only_then(
    folder: Path,
) -> None:
    held: list[bool] = []

    class Watched(QuickDisk):
        def unlink(self, path: Path) -> None:
            if path.name in names and len(held) == 0:
                closing = threading.Thread(target=journal.close)
                closing.start()
                while not journal._closing:
                    time.sleep(0.001)
                with pytest.raises(Conflict):
                    FileJournal(folder, disk=QuickDisk())
                held.append(True)
                threads.append(closing)
            super().unlink(path)

    threads: list[threading.Thread] = []
    names = at_hand(folder)
    journal = FileJournal(folder, disk=Watched())
    assert journal.archive(LATER, 16) == names[:1]
    for each in threads:
        each.join(20.0)
    assert held == [True]
    again = FileJournal(folder, disk=QuickDisk())
    assert len(everything(again)) == 16
    again.close()


class _PowerCut(BaseException):
    """Nothing after this is done."""


class _BreaksOff(QuickDisk):
    """From one call on, every call that changes something ends in `fault`; -1 lets all of them be."""

    def __init__(self, fault: BaseException) -> None:
        self.left = -1
        self._fault = fault

    def _pass(self) -> None:
        if self.left == 0:
            raise self._fault
        self.left -= 1

    def open(self, path: Path, *, create: bool) -> int:
        self._pass()
        return super().open(path, create=create)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        self._pass()
        return super().write(fd, data, offset)

    def sync(self, fd: int) -> None:
        self._pass()
        super().sync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._pass()
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._pass()
        super().unlink(path)

    def sync_folder(self, path: Path) -> None:
        self._pass()
        super().sync_folder(path)


@pytest.mark.parametrize("fault", [_PowerCut(), fail(errno.EIO)], ids=["killed", "refused"])
async def test_wherever_archiving_breaks_off_nothing_is_lost_and_the_next_try_ends_it(
    folder: Path, tmp_path: Path, fault: BaseException
) -> None:
    """At each call of the disk in turn: the process is gone, or the disk says no from there on."""
    whole = FileJournal(folder, disk=QuickDisk())
    before, names = said(whole), at_hand(folder)
    whole.close()
    for number in range(200):
        data = tmp_path / str(number)
        shutil.copytree(folder, data)
        disk = _BreaksOff(fault)
        journal = FileJournal(data, disk=disk)
        disk.left = number
        try:
            ended = journal.archive(LATER, 16) == names
        except (_PowerCut, Unavailable):
            ended = False
        disk.left = -1
        assert said(journal) == before, f"broken off at call {number}, it goes on as it was"
        if isinstance(fault, OSError):
            assert journal.erase(Wanted(lambda _: None), plan=True) == (0, {}, [])
        journal.close()
        again = FileJournal(data, disk=QuickDisk())
        assert said(again) == before, f"broken off at call {number}"
        assert set(at_hand(data)).isdisjoint(archived(data)), "a copy that an erasure would pass by"
        again.archive(LATER, 16)
        assert said(again) == before
        assert (at_hand(data), archived(data)) == ([], names)
        assert list(data.rglob("*.new")) == []
        again.close()
        if ended:
            assert number > 20, "it was broken off at each of its steps"
            return
    pytest.fail("archiving never came to its end")


class _Order(QuickDisk):
    """What was done to which name, in order."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self._names: dict[int, str] = {}

    def open(self, path: Path, *, create: bool) -> int:
        fd = super().open(path, create=create)
        self._names[fd] = path.name
        return fd

    def sync(self, fd: int) -> None:
        self.done.append(("sync", self._names[fd]))

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.done.append(("rename", new.parent.name))

    def unlink(self, path: Path) -> None:
        if path.exists():
            self.done.append(("unlink", path.name))
        super().unlink(path)

    def sync_folder(self, path: Path) -> None:
        self.done.append(("sync_folder", path.name))


async def test_the_old_file_goes_when_note_and_copy_are_on_the_device_with_their_names(folder: Path) -> None:
    disk = _Order()
    journal = FileJournal(folder, disk=disk)
    disk.done.clear()
    (name,) = journal.archive(LATER, 4)
    note = archive.note_path(folder, 1).name
    assert disk.done == [
        ("sync_folder", "logs"),  # the archive's own name
        ("sync", f"{note}.new"),
        ("rename", "logs"),
        ("sync_folder", "logs"),
        ("sync", f"{name}.new"),
        ("rename", archive.FOLDER),
        ("sync_folder", archive.FOLDER),
        ("unlink", name),
        ("sync_folder", "logs"),
        ("unlink", name.replace(".jsonl", ".index.json")),
    ]
    journal.close()


async def test_while_the_archive_is_away_counts_balance_and_nobody_gets_less_than_all_silently(
    journal: FileJournal, folder: Path
) -> None:
    before = said(journal)
    names = journal.archive(LATER, 8)
    journal.close()
    (folder / archive.FOLDER).rename(folder.parent / "another volume")
    (folder / archive.FOLDER).mkdir()
    again = FileJournal(folder, disk=QuickDisk())
    assert again.counts() == journal.counts()
    assert [again.counts(through) for through in (8, 12, 16)] == [before[2][at] for at in (8, 12, 16)]  # type: ignore[index]
    assert again.read(8, 100).records == before[0][8:]
    for ask in (
        lambda: again.read(0, 1),
        lambda: again.counts(2),
        lambda: again.erase(Wanted(bytes), plan=True),
    ):
        with pytest.raises(Corrupt, match="positions 1 to 4 are archived") as told:
            ask()
        assert told.value.code == "archive_away"
    assert [(each.segment, each.line) for each in again.verify()] == [(name, 0) for name in names]
    assert again.archive(LATER, 16) == [], "the volume that is not there must not be written beside"
    await put(again, events(100, 3))
    again.close()
    (folder / archive.FOLDER).rmdir()
    (folder.parent / "another volume").rename(folder / archive.FOLDER)
    back = FileJournal(folder, disk=QuickDisk())
    assert everything(back)[:16] == before[0]
    assert list(back.verify()) == []
    back.close()


async def test_a_note_that_is_lost_or_unreadable_costs_nothing_while_the_file_is_there(
    journal: FileJournal, folder: Path
) -> None:
    before = said(journal)
    journal.archive(LATER, 8)
    journal.close()
    archive.note_path(folder, 1).unlink()
    archive.note_path(folder, 5).write_bytes(b"\xff{")
    again = FileJournal(folder, disk=QuickDisk())
    assert said(again) == before
    again.close()


async def test_what_is_erased_is_erased_in_the_archive_too(journal: FileJournal, folder: Path) -> None:
    journal.archive(LATER, 8)
    gone = event(1, lane=LANES[1]).data

    def replace(data: bytes) -> bytes | None:
        return data.replace(b'"ada"', b'"   "') if data == gone else None

    lines, digests, _ = journal.erase(Wanted(replace), plan=False)
    assert (lines, len(digests)) == (1, 1)
    assert everything(journal)[1].data == gone.replace(b'"ada"', b'"   "')
    assert list(journal.verify({last: [digest] for last, digest in digests.items()})) == []
    assert [place.path.parent.name for place in look(folder)][:2] == [archive.FOLDER] * 2
