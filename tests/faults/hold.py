"""What a journal must hold after a fault, and what its senders must have heard."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from holdfast.core.errors import Unavailable
from holdfast.journal.file import FileJournal
from holdfast.journal.port import Journal
from holdfast.journal.record import Event
from tests.faults.disks import QuickDisk
from tests.records import everything, put


async def refusal(journal: FileJournal, made: list[Event]) -> Unavailable:
    """What the senders of a frame hear."""
    with pytest.raises(Unavailable) as refused:
        await put(journal, made)
    return refused.value


def holds(journal: FileJournal, made: list[Event]) -> None:
    """The journal has exactly these, and proves them."""
    assert [each.data for each in everything(journal)] == [each.data for each in made]
    assert sum(sum(lanes.values()) for lanes in journal.counts().values()) == len(made)
    assert list(journal.verify()) == []


def killed_and_opened(folder: Path, made: list[Event]) -> None:
    """What a start finds if the process dies right now: the files as they lie."""
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    again = FileJournal(copy, disk=QuickDisk())
    holds(again, made)
    again.close()
    shutil.rmtree(copy)


async def healed(journal: Journal, within_s: float = 3.0) -> float:
    """Wait until the journal can write again, with no traffic; how long it took, in s."""
    began = time.monotonic()
    while journal.stats().fault is not None:
        assert time.monotonic() - began < within_s, f"still: {journal.stats().fault}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began
