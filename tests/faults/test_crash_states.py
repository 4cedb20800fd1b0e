"""The power goes at any call: whatever disk that leaves, what was answered for is read from it."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random

import pytest

from holdfast.core.clock import ManualClock
from holdfast.journal.file import FileJournal
from holdfast.journal.record import Event
from tests.faults.crashes import Crash, Disks
from tests.faults.disks import Call, QuickDisk, RecordingDisk, fail
from tests.faults.seeds import SOAKED, seeds
from tests.records import event, everything, put

SEGMENT_BYTES = 4000
LANES = ("progress", "analytics", "admin")

Plan = Callable[[str, int], int | None]


def troubled(random: Random) -> Plan:
    """A disk that now and then fails: a sync, a write that comes up short, a cut, a rename."""

    def plan(name: str, number: int) -> int | None:
        if number < 4:
            return None
        roll = random.random()
        if name == "sync" and roll < 0.06:
            raise fail(errno.EIO)
        if name == "write" and roll < 0.08:
            return random.choice((0, 1, 200, 700))
        if name == "truncate" and roll < 0.3:
            raise fail(errno.EIO)
        if name in ("rename", "sync_folder", "create") and roll < 0.15:
            raise fail(errno.EIO)
        return None

    return plan


async def recorded(folder: Path, random: Random, *, trouble: bool) -> list[Call]:
    """What a journal did to its disk while it was written to."""
    disk = RecordingDisk(troubled(Random(random.random())) if trouble else lambda _, __: None)
    journal = FileJournal(folder, disk=disk, segment_bytes=SEGMENT_BYTES, clock=ManualClock())
    number = 0
    for _ in range(16):
        size = random.choice((1, 1, 2, 5))
        made = [
            event(
                number + at,
                lane=random.choice(LANES),
                org=random.choice(("tidewater", "highland")),
                body={"note": "é" * random.choice((0, 10, 300, 900))},
            )
            for at in range(size)
        ]
        number += size
        with journal._gate:  # the writer sees all of it at once, so the same seed makes the same calls
            taken = (
                [journal.append([each]) for each in made] if random.random() < 0.3 else [journal.append(made)]
            )
            if random.random() < 0.2:
                journal.seal()
        await asyncio.gather(*taken, return_exceptions=True)
    journal.close()
    return disk.log


async def promise_kept(crash: Crash, folder: Path) -> None:
    """Recover, and hold what is found against what was synced and what was written."""
    crash.lay(folder)
    journal = FileJournal(folder, disk=QuickDisk(), segment_bytes=SEGMENT_BYTES)
    try:
        found = {each.position: each for each in everything(journal)}
        for position, data in crash.acked.items():
            assert position in found, f"position {position} was answered for and is gone"
            assert found[position].data == data
        for each in found.values():
            assert (each.position, each.received_at, each.data) in crash.written
        counted = sum(sum(lanes.values()) for lanes in journal.counts().values())
        assert counted == len(found), "counts and records disagree"
        by_lane = [each for lane in LANES for each in everything(journal, lane)]
        assert sorted(by_lane) == sorted(found.values())
        assert list(journal.verify()) == []
        first = await put(journal, [event(9000), event(9001)])
        assert first > max([*found, *crash.acked], default=0)
        assert [each.data for each in everything(journal)][-2:] == [event(9000).data, event(9001).data]
        assert list(journal.verify()) == []
    finally:
        journal.close()
    again = FileJournal(folder, disk=QuickDisk(), segment_bytes=SEGMENT_BYTES)
    try:
        assert len(everything(again)) == len(found) + 2
        assert again.counts() == again.counts(10**12)
        assert list(again.verify()) == []
    finally:
        again.close()


async def crashed_at(call: int, crash: Crash, folder: Path) -> None:
    """The promise, with the way the crash went in the failure's words."""
    try:
        await promise_kept(crash, folder)
    except AssertionError as broken:
        raise AssertionError(f"crash after call {call}: {crash.how}") from broken
    shutil.rmtree(folder)


@pytest.mark.parametrize("seed", seeds(3, soaked=SOAKED // 4))
@pytest.mark.parametrize("trouble", [False, True], ids=["a good disk", "a disk in trouble"])
async def test_whatever_a_crash_leaves_what_was_synced_is_read(
    quick_path: Path,
    seed: int,
    trouble: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    random = Random(seed)
    log = await recorded(quick_path / "run", random, trouble=trouble)
    disks = Disks(random)
    number = 0
    for at, call in enumerate(log):
        disks.take(call)
        for crash in disks.crashes(most=5):
            number += 1
            await crashed_at(at, crash, quick_path / f"crash-{number}")
    assert number > 100


async def started_on(
    crash: Crash, folder: Path, more: list[Event], known: int = 0
) -> tuple[list[Call], dict[int, bytes]]:
    """A journal is started on a disk, and written to: the calls that made, and what it counts by position."""
    crash.lay(folder)
    disk = RecordingDisk(known=known)
    journal = FileJournal(folder, disk=disk, segment_bytes=SEGMENT_BYTES)
    if more:
        await put(journal, more)
    counted = {each.position: each.data for each in everything(journal)}
    journal.close()
    shutil.rmtree(folder)
    return disk.log, counted


@pytest.mark.parametrize("seed", seeds(2, soaked=SOAKED // 4))
async def test_a_crash_while_recovering_from_a_crash_costs_nothing_either(
    quick_path: Path, seed: int
) -> None:
    random = Random(seed)
    log = await recorded(quick_path / "run", random, trouble=True)
    first = Disks(random)
    number = 0
    for at, call in enumerate(log):
        first.take(call)
        if random.random() < 0.5:
            continue
        for crash in first.crashes(most=1):
            folder = quick_path / f"crash-{number}"
            calls, _ = await started_on(crash, folder, [event(8000)])
            second = Disks(random, crash)
            for again in calls:
                second.take(again)
                for state in second.crashes(most=2):
                    number += 1
                    await crashed_at(at, state, quick_path / f"crash-{number}")
    assert number > 50


@pytest.mark.parametrize("seed", seeds(2, soaked=SOAKED // 4))
@pytest.mark.parametrize("more", [[], [event(8000)]], ids=["read", "read and written to"])
async def test_what_a_killed_process_had_not_synced_is_safe_once_a_start_counts_it(
    quick_path: Path, seed: int, more: list[Event]
) -> None:
    random = Random(seed)
    log = await recorded(quick_path / "run", random, trouble=False)
    disks = Disks(random)
    number = 0
    for at, call in enumerate(log):
        disks.take(call)
        if call.name == "sync":
            continue
        calls, counted = await started_on(disks.killed(), quick_path / f"killed-{at}", more, known=len(log))
        after = deepcopy(disks)
        for again in calls:
            after.take(again)
        # They are applied from there on, and who sends them again hears that they were there before.
        after.acked |= counted
        for crash in after.crashes(most=3):
            number += 1
            await crashed_at(at, crash, quick_path / f"crash-{number}")
    assert number > 10
