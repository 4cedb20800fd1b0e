"""The store dies in the ways a file can, and who listens hears it: at once, with what is lost, and once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.live.listening import listening, proof
from tests.machine import stalls
from tests.served import NO_LIMITS, SMALL_DISK, WELL_S, Served, completed, lesson_of, served

PERIOD_S = 2.0
DWELL_S = 5.0
SETTINGS = {
    **NO_LIMITS,
    "HOLDFAST_PROBE_PERIOD_S": str(PERIOD_S),
    "HOLDFAST_HEALTH_DWELL_S": str(DWELL_S),
    **SMALL_DISK,
}
STORE = ("store.sqlite3", "store.sqlite3-wal")
"""Without the shared memory beside them: it is mapped, and to freeze a mapped file is to kill who maps it."""
NOISE_S = 0.4
"""What a loaded machine may add to a promise of 100 ms."""


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Another program writes to the file and does not finish."""
    other = sqlite3.connect(data / "store.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def replaced(data: Path) -> Iterator[None]:
    """Rubbish bears the file's name; what was there has another."""
    real = data / "store.sqlite3"
    real.rename(data / "aside")
    real.write_bytes(b"rubbish " * 10_000)
    try:
        yield
    finally:
        (data / "aside").rename(real)


@contextmanager
def gone(data: Path) -> Iterator[None]:
    """The file is somewhere else."""
    real = data / "store.sqlite3"
    real.rename(data / "aside")
    try:
        yield
        assert not real.exists(), "an empty store was made in the place of one that is gone"
    finally:
        (data / "aside").rename(real)


def can_freeze(folder: Path) -> bool:
    """Whether files can be made unchangeable here, also for the superuser."""
    made = subprocess.run(["chattr", "+i", folder], capture_output=True, check=False).returncode == 0
    if made:
        subprocess.run(["chattr", "-i", folder], check=True)
    return made


@contextmanager
def read_only(data: Path) -> Iterator[None]:
    """Folder and files may be read and not changed. Rights alone would not stop the superuser."""
    if not can_freeze(data):
        pytest.skip("files can't be made unchangeable here: root on ext4, xfs or btrfs can")
    frozen = [str(data), *(str(data / name) for name in STORE)]
    subprocess.run(["chattr", "+i", *frozen], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *frozen], check=True)


@contextmanager
def full(data: Path) -> Iterator[None]:
    """No byte is left on the store's disk; the journal has another."""
    filler = data / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


WAYS: dict[str, tuple[Callable[[Path], AbstractContextManager[None]], str]] = {
    "locked by another program": (locked, "store_read_only"),
    "replaced by rubbish": (replaced, "store_out"),
    "gone": (gone, "store_out"),
    "made read-only": (read_only, "store_read_only"),
    "on a full disk": (full, "store_read_only"),
}


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own for the store, and a larger one for the journal."""
    folder.mkdir(parents=True)

    def mount(where: Path, size: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if os.geteuid() != 0 or not mount(folder, "6m"):
        pytest.skip("a small file system can be mounted by root only")
    (folder / "logs").mkdir()
    mount(folder / "logs", "64m")
    try:
        yield
    finally:
        for where in (folder / "logs", folder):
            subprocess.run(["umount", "--lazy", str(where)], check=True)


@contextmanager
def school(tmp_path: Path, way: str) -> Iterator[Served]:
    disk = small_disk(tmp_path / "data") if "full" in way else contextlib.nullcontext()
    with disk, served(tmp_path, SETTINGS) as portal:
        yield portal


@asynccontextmanager
async def traffic(portal: Served, who: httpx2.Client) -> AsyncIterator[None]:
    """A learner who reads and works, twenty times a second."""
    course, lesson = lesson_of(who)

    async def go_on() -> None:
        async with httpx2.AsyncClient(base_url=portal.url, headers=dict(who.headers), timeout=20.0) as client:

            async def one() -> None:
                with contextlib.suppress(httpx2.HTTPError):
                    await client.get(f"/api/client/courses/{course}")
                    events = {"events": [completed(course, lesson)]}
                    await client.post("/api/client/progress/batch", json=events)

            under_way: set[asyncio.Task[None]] = set()
            try:
                while True:
                    under_way.add(task := asyncio.create_task(one()))
                    task.add_done_callback(under_way.discard)
                    await asyncio.sleep(0.05)
            finally:
                for task in under_way:
                    task.cancel()

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def named(document: dict[str, Any]) -> list[str]:
    return [each["name"] for each in document["degradations"] if each["name"].startswith("store")]


@pytest.mark.parametrize("way", WAYS)
async def test_under_traffic_a_loss_is_heard_within_a_second_and_its_end_after_the_dwell(
    tmp_path: Path, way: str
) -> None:
    breaks, name = WAYS[way]
    with school(tmp_path, way) as portal, portal.client("ada") as ada:
        async with listening(portal.url, proof(ada)) as stream, traffic(portal, ada):
            await stream.until(lambda document: document["status"] == "ok", WELL_S)
            await asyncio.sleep(1.0)  # so that there is traffic behind it, and not only before it
            with stalls() as lost, breaks(portal.data):
                began_s = time.monotonic()
                heard_s = await stream.until(lambda document: document["status"] != "ok")
                assert heard_s - began_s - lost(began_s, heard_s) < 1.0 + NOISE_S
                await stream.until(lambda document: name in named(document))
                loss = next(each for each in stream.document["degradations"] if each["name"] == name)
                assert all(loss[field] for field in ("lost", "works", "since", "runbook", "expectedEndAt"))
                assert ada.get("/readyz").status_code == 200
                mended_s = time.monotonic()
            well_s = await stream.until(lambda document: document["status"] == "ok", WELL_S)
            assert well_s - mended_s >= DWELL_S - 3.0, "better is not believed at once"
            statuses = [each.data["patch"].get("status") for each in stream.names("patch")]
            assert [each for each in statuses if each is not None] == ["degraded", "ok"], (
                "and nothing flapped"
            )


@pytest.mark.parametrize("way", WAYS)
async def test_in_the_quiet_a_loss_is_heard_within_one_period(tmp_path: Path, way: str) -> None:
    breaks, name = WAYS[way]
    with school(tmp_path, way) as portal, portal.client("ada") as ada:
        async with listening(portal.url, proof(ada)) as stream:
            await stream.until(lambda document: document["status"] == "ok", WELL_S)
            await asyncio.sleep(PERIOD_S)
            with stalls() as lost, breaks(portal.data):
                began_s = time.monotonic()
                heard_s = await stream.until(lambda document: document["status"] != "ok")
                assert heard_s - began_s - lost(began_s, heard_s) < PERIOD_S + 0.1 + NOISE_S
                await stream.until(lambda document: name in named(document))
            await stream.until(lambda document: document["status"] == "ok", WELL_S)


async def test_an_outage_every_other_second_is_one_loss(tmp_path: Path) -> None:
    # Longer than a busy machine may hold up the next outage, and shorter than all of them together.
    patient = {**SETTINGS, "HOLDFAST_HEALTH_DWELL_S": "15"}
    with served(tmp_path, patient) as portal, portal.client("ada") as ada:
        async with listening(portal.url, proof(ada)) as stream, traffic(portal, ada):
            await stream.until(lambda document: document["status"] == "ok", WELL_S)
            for _ in range(10):
                with locked(portal.data):
                    await asyncio.sleep(1.0)
                await asyncio.sleep(1.0)
            assert stream.document["status"] == "degraded"
            begun = [each for each in stream.names("patch") if each.data["patch"].get("status")]
            assert len(begun) == 1
            await stream.until(lambda document: document["status"] == "ok", WELL_S)


@pytest.mark.parametrize("breaks", [gone, replaced])
def test_a_store_that_was_away_is_still_the_same_when_it_is_back(
    tmp_path: Path, breaks: Callable[[Path], AbstractContextManager[None]]
) -> None:
    with served(tmp_path, SETTINGS) as portal, portal.client("ada") as ada:
        courses = ada.get("/api/client/courses").json()
        with breaks(portal.data):
            end_s = time.monotonic() + 30.0
            while ada.get("/api/client/courses").status_code == 200:
                assert time.monotonic() < end_s
        end_s = time.monotonic() + 60.0
        while (answer := ada.get("/api/client/courses")).status_code != 200:
            assert time.monotonic() < end_s
            time.sleep(0.1)
        assert answer.json() == courses
