"""What a journal must hold after a fault, and what its senders must have heard."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from holdfast.core.errors import Unavailable
from holdfast.journal.file import HEAL_S, FileJournal
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


async def healed(journal: Journal, within_s: float = 30.0) -> None:
    """Wait until the journal can write again, with no traffic."""
    began = time.monotonic()
    while journal.stats().fault is not None:
        assert time.monotonic() - began < within_s, f"still: {journal.stats().fault}"
        await asyncio.sleep(0.02)


def waits(journal: FileJournal, monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """How long its writer means to wait, each time that it does so with a fault; from now on, it grows."""
    waited: list[float | None] = []
    wait = journal._gate.wait

    def noted(timeout: float | None = None) -> bool:
        if journal._fault is not None:
            waited.append(timeout)
        return wait(timeout)

    monkeypatch.setattr(journal._gate, "wait", noted)
    return waited


async def healed_by_next_look(journal: FileJournal, waited: list[float | None]) -> None:
    """The disk was mended: the journal looks every `HEAL_S`, with no traffic, and sees that at its next look.

    A clock would measure the machine, too; what the writer means to wait (see `waits`) is its own.
    """
    begun = len(waited)
    await healed(journal)
    assert set(waited) == {HEAL_S}
    # One more wait than had begun, where a look was going on that still saw the fault.
    assert len(waited) <= begun + 1, "it looked, and did not see that the disk was well"
