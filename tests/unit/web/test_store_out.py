"""The store is out, in every way a file can be: work is accepted, told honestly, and applied once later."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.served import NO_LIMITS, WELL_S, Served, completed, ledger_row, lesson_of, recorded, served, until

# Each waits to be well, twice; two slow syncs of a busy machine are told for a minute.
pytestmark = pytest.mark.timeout(600)

BATCH = "/api/client/progress/batch"
AS_ANYBODY = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""The superuser may write everywhere; started under this they may not."""
STORE_FILES = ("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm")


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Another process writes to the file and does not finish."""
    other = sqlite3.connect(data / "store.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def set_aside(data: Path, put: Callable[[Path], object]) -> Iterator[None]:
    """The file is not there, and something else may be in its place."""
    aside = data / "aside"
    aside.mkdir()
    for name in STORE_FILES:
        if (data / name).exists():
            (data / name).rename(aside / name)
    put(data / "store.sqlite3")
    try:
        yield
    finally:
        for name in STORE_FILES:
            path = data / name
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            if (aside / name).exists():
                (aside / name).rename(path)


@contextmanager
def unwritable(data: Path) -> Iterator[None]:
    """The folder and the file may be read and not written."""
    (data / "store.sqlite3").chmod(0o400)
    data.chmod(0o500)
    try:
        yield
    finally:
        data.chmod(0o700)
        (data / "store.sqlite3").chmod(0o600)


def send(ada: httpx2.Client, events: list[dict[str, Any]]) -> list[str]:
    answer = ada.post(BATCH, json={"events": events})
    assert answer.status_code == 202, answer.text
    return [each["status"] for each in answer.json()["receipts"]]


def degradations(olu: httpx2.Client) -> list[str]:
    return [each["name"] for each in olu.get("/api/health").json().get("degradations", [])]


def settled(olu: httpx2.Client) -> dict[str, Any]:
    until(lambda: olu.get("/api/health").json()["status"] == "ok", WELL_S)
    row: dict[str, Any] = until(lambda: (found := ledger_row(olu))["pending"] == 0 and found)
    return row


def require_out_and_accepting(ada: httpx2.Client, olu: httpx2.Client, events: list[dict[str, Any]]) -> None:
    """While the store is out: receipts, honest health, clear refusals of what needs the store."""
    assert set(send(ada, events)) == {"accepted"}
    until(lambda: {"store_out", "store_read_only"} & {*degradations(olu)}, 30)
    said = olu.get("/api/health").json()
    assert said["status"] == "degraded"
    assert said["offlineQueue"]["backlog"] == len(events), "and nothing that was applied"
    assert olu.get("/readyz").status_code == 200
    assert send(ada, events) == ["duplicate"] * len(events), "sent again, known again"
    held = ada.post("/api/client/receipts", json={"deviceId": "a", "ids": [events[0]["id"]]})
    assert held.json()["held"] == [events[0]["id"]]


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NO_LIMITS) as running:
        yield running


def test_a_store_that_is_locked_while_the_portal_runs(portal: Served) -> None:
    with portal.client("ada") as ada, portal.client("olu") as olu:
        course, lesson = lesson_of(ada)
        before = settled(olu)
        events = [completed(course, lesson) for _ in range(10)]
        with locked(portal.data):
            require_out_and_accepting(ada, olu, events)
            login = httpx2.post(
                f"{portal.url}/api/auth/login",
                json={"email": "ada@tidewater.example", "password": "holdfast-demo"},
                timeout=20,
            )
            # Signing in only reads, so a store that can't write may still allow it.
            assert login.status_code in (200, 503)
        after = settled(olu)
        assert after["applied"] == before["applied"] + 10
        assert (after["duplicate"], after["dead"]) == (before["duplicate"], before["dead"])


def replaced_by(put: Callable[[Path], object]) -> Callable[[Path], AbstractContextManager[None]]:
    return lambda data: set_aside(data, put)


@pytest.mark.parametrize(
    "out",
    [
        pytest.param(replaced_by(lambda path: path.write_bytes(b"rubbish " * 10_000)), id="rubbish"),
        pytest.param(replaced_by(lambda path: path.mkdir()), id="a folder"),
        pytest.param(
            replaced_by(lambda path: path.symlink_to("/dev/full")), id="a device that takes nothing"
        ),
        pytest.param(unwritable, id="a file and a folder that may not be written"),
    ],
)
def test_a_store_that_is_out_at_the_start(
    portal: Served, out: Callable[[Path], AbstractContextManager[None]]
) -> None:
    if os.geteuid() == 0:
        portal.under = AS_ANYBODY
    with portal.client("ada") as ada, portal.client("olu") as olu:
        course, lesson = lesson_of(ada)
        before = settled(olu)
    assert portal.stop() == 0
    events = [completed(course, lesson) for _ in range(10)]
    with out(portal.data):
        portal.start()
        with portal.client("ada") as ada, portal.client("olu") as olu:
            require_out_and_accepting(ada, olu, events)
            refused = ada.get("/api/client/courses")
            assert refused.status_code in (500, 503)
            assert refused.json()["code"] in ("store_corrupt", "store_unavailable")
        assert portal.stop() == 0
    portal.start()
    with portal.client("ada") as ada, portal.client("olu") as olu:
        after = settled(olu)
        assert after["applied"] == before["applied"] + 10
        assert (after["duplicate"], after["dead"]) == (before["duplicate"], before["dead"])
        assert set(send(ada, events)) == {"duplicate"}


def test_a_store_that_is_put_back_is_taken_up_without_a_restart(portal: Served) -> None:
    with portal.client("ada"), portal.client("olu") as olu:  # who is signed in stays so without the store
        before = settled(olu)
    assert portal.stop() == 0
    events = [recorded() for _ in range(10)]
    with set_aside(portal.data, lambda path: path.write_bytes(b"rubbish " * 10_000)):
        portal.start()
        with portal.client("ada") as ada, portal.client("olu") as olu:
            answer = ada.post("/api/analytics/events/batch", json={"events": events})
            assert answer.status_code == 202
            until(lambda: "store_out" in degradations(olu), 30)
    with portal.client("olu") as olu:
        after = settled(olu)
        assert after["applied"] == before["applied"] + 10
        assert after["dead"] == before["dead"]
