"""A disk that is really full: a small file system of our own, where root may mount one.

Elsewhere these are skipped, and the injected full disks of `test_injected` stand for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx2
import pytest

from holdfast.core.errors import Unavailable
from holdfast.journal.file import FileJournal
from holdfast.journal.record import Event
from holdfast.web.app import App
from holdfast.wiring import make_app, opened, running
from tests.faults.hold import healed, healed_by_next_look, holds, refusal, waits
from tests.faults.load import Sender
from tests.faults.school import effects, founded, posted, proven, settings_of
from tests.records import events, put


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 256 KB, or as many as the test asks for."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or not _mounted(folder, getattr(request, "param", 256)):
        pytest.skip("a small file system can be mounted by root only; the injected full disk stands for it")
    yield folder
    # Lazily: a test that failed may have left a journal open there, and must not leave the mount too.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mounted(folder: Path, size: int) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fill(folder: Path) -> Path:
    """Leave not one free byte."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (4096, 512, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass
    assert os.statvfs(folder).f_bavail == 0
    return ballast


async def until_full(journal: FileJournal) -> list[Event]:
    """Append until the disk is full; what was answered for."""
    kept: list[Event] = []
    for at in range(0, 4000, 4):
        (heard,) = await asyncio.gather(put(journal, events(at, 4)), return_exceptions=True)
        if isinstance(heard, Unavailable):
            assert heard.code == "disk_full"
            return kept
        kept += events(at, 4)
    raise AssertionError("the disk never filled")


async def test_a_real_disk_that_fills_up_keeps_what_was_answered_for(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = small_disk / "logs"
    (small_disk / "ballast").write_bytes(b"x" * 64_000)
    journal = FileJournal(logs, segment_bytes=40_000)
    kept = await until_full(journal)
    holds(journal, kept)
    journal.close()

    ballast = fill(small_disk)
    journal = FileJournal(logs, segment_bytes=40_000)
    waited = waits(journal, monkeypatch)
    holds(journal, kept)
    assert (await refusal(journal, events(5000, 4))).code == "disk_full"
    holds(journal, kept)
    ballast.unlink()
    await healed_by_next_look(journal, waited)
    await put(journal, events(6000, 4))
    holds(journal, kept + events(6000, 4))
    journal.close()


async def test_a_first_start_on_a_real_full_disk_answers_and_heals(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_disk / "logs").mkdir()
    ballast = fill(small_disk)
    journal = FileJournal(small_disk / "logs")
    waited = waits(journal, monkeypatch)
    assert (await refusal(journal, events(0, 4))).code == "disk_full"
    ballast.unlink()
    await healed_by_next_look(journal, waited)
    await put(journal, events(4, 4))
    holds(journal, events(4, 4))
    journal.close()


@pytest.mark.parametrize("small_disk", [6000], indirect=True)
async def test_a_portal_on_a_real_full_disk_starts_says_so_and_loses_nothing(small_disk: Path) -> None:
    data = small_disk / "data"
    school = await founded(data)
    sender = Sender(school.learners[0], school, Random(1))
    first, second, third = (sender._make(door) for door in ("progress", "progress", "analytics"))
    async with opened(settings_of(data)) as portal:
        async with client_of(make_app(portal)) as client:
            answer = await posted(client, sender.learner, "progress", sender.batch([first]))
            assert [each["status"] for each in answer.json()["receipts"]] == ["accepted"]
        await portal.applier.drain()

    ballast = fill(small_disk)
    async with opened(settings_of(data)) as portal, running(portal):
        async with client_of(make_app(portal)) as client:
            for event_id, door in ((second, "progress"), (third, "analytics")):
                answer = await posted(client, sender.learner, door, sender.batch([event_id]))
                assert answer.status_code in {429, 503, 507}, answer.text
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.headers["retry-after"]
            assert (await client.get("/api/health")).status_code in {200, 503}
            ballast.unlink()
            await healed(portal.journal)
            await asyncio.sleep(1.1)  # how long the portal believes what it saw of the free space
            for event_id, door in ((second, "progress"), (third, "analytics")):
                answer = await posted(client, sender.learner, door, sender.batch([event_id]))
                assert [each["status"] for each in answer.json()["receipts"]] == ["accepted"], answer.text
        assert await portal.applier.reached("analytics", portal.journal.stats().head, 20.0)
        assert await portal.applier.reached("progress", portal.journal.stats().head - 1, 20.0)
        found = await portal.store.read(None, effects)
        assert [found.marks[event_id] for event_id in (first, second, third)] == [1, 1, 1]
        assert found.dead == 0
    assert (await proven(data)).good


def client_of(app: App) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://holdfast", timeout=20.0)
