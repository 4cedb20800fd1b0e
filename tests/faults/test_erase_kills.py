"""kill -9 while a person is erased: asked again it ends, and everybody else is as they were."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx2
import pytest

from holdfast.wiring import opened
from tests.faults.killable import ERASE_POINTS
from tests.faults.load import Sender
from tests.faults.school import School, founded, proven, resent, settings_of
from tests.faults.seeds import SOAKED, seeds
from tests.faults.test_kills import Nursery, nursery

__all__ = ["nursery"]
PATH = "/api/admin/offline/erasures"
GONE = "t1"
BODY = {"id": "e1", "orgId": "tidewater", "userId": GONE, "reason": "he asked for it"}
THEIRS = f'"userId":"{GONE}"'.encode()
TABLES = ("progress", "intervals", "analytics_events", "activity", "devices", "memberships", "users")


class Term(NamedTuple):
    """A school in which everybody worked, in several segments, and who may erase."""

    school: School
    headers: dict[str, str]


@pytest.fixture(scope="module")
async def term(tmp_path_factory: pytest.TempPathFactory) -> Term:
    school = await founded(tmp_path_factory.mktemp("school") / "data")
    async with opened(settings_of(school.data)) as portal:
        senders = [Sender(each, school, Random(each.user)) for each in school.learners]
        for _ in range(4):
            for sender in senders:
                door, ids = sender._batch()
                await resent(portal, [(sender.learner, door, sender.batch(ids))])
        await portal.applier.drain()
        token = portal.tokens.mint("service", "tidewater", ttl_s=3600)
    journal = [path.read_bytes() for path in (school.data / "logs").glob("*.jsonl")]
    assert sum(THEIRS in text for text in journal) >= 3, "or an erasure has nothing between two segments"
    return Term(school, {"authorization": f"Bearer {token}"})


def others(data: Path) -> dict[str, list[tuple[object, ...]]]:
    """What the tables hold of everybody but one."""
    with sqlite3.connect(data / "store.sqlite3") as store:
        found = {name: store.execute(f"select * from {name}").fetchall() for name in TABLES}  # noqa: S608
    store.close()
    return {name: sorted((row for row in rows if GONE not in row), key=repr) for name, rows in found.items()}


def lines(data: Path) -> list[bytes]:
    """Every event in the journal."""
    text = b"".join(path.read_bytes() for path in sorted((data / "logs").glob("*.jsonl")))
    return [line for line in text.split(b"\n") if b'"e":' in line]


def lines_of_others(data: Path) -> list[bytes]:
    """Those that do not name the person, nor took the place of one that did."""
    own = (THEIRS, b'"kind":"event.erased"', b'"kind":"journal.erased"')
    return sorted(line for line in lines(data) if not any(each in line for each in own))


def traces(data: Path) -> list[str]:
    """Where something of the person still stands. Free pages are the engine's: they are vacuumed first."""
    with sqlite3.connect(data / "store.sqlite3") as store:
        store.execute("pragma wal_checkpoint(truncate)")
        tables = [row[0] for row in store.execute("select name from sqlite_master where type = 'table'")]
        found = [name for name in tables for row in store.execute(f"select * from {name}") if GONE in row]  # noqa: S608
    store.execute("vacuum")
    store.close()
    words = (f'"{GONE}"'.encode(), f"device-{GONE}".encode(), f"{GONE}@school".encode())
    files = [path for path in data.rglob("*") if path.is_file()]
    return found + [path.name for path in files if any(word in path.read_bytes() for word in words)]


async def asked(url: str, headers: dict[str, str]) -> httpx2.Response | None:
    """Ask for the erasure; None when nobody lived to answer."""
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60.0) as client:
        try:
            return await client.post(PATH, json=BODY)
        except httpx2.HTTPError:
            return None


async def ended_as_it_should(nursery: Nursery, term: Term, data: Path, before: Path) -> None:
    """Start again, ask again, look at everything."""
    pid, url = await nursery.born(data, None)
    assert url is not None
    answer = await asked(url, term.headers)
    assert answer is not None
    assert answer.status_code == 200, answer.text
    again = await asked(url, term.headers)
    assert again is not None
    assert again.json() == answer.json()
    os.kill(pid, signal.SIGKILL)
    await nursery.dead(pid)
    assert answer.json()["journalLines"] == sum(THEIRS in line for line in lines(before)), (
        "all tries together"
    )
    assert traces(data) == []
    assert others(data) == others(before)
    assert lines_of_others(data) == lines_of_others(before)
    report = await proven(data)
    assert report.findings == []
    assert report.good, report


@pytest.mark.parametrize("point", ERASE_POINTS)
async def test_an_erasure_that_dies_anywhere_ends_when_it_is_asked_for_again(
    tmp_path: Path, point: str, nursery: Nursery, term: Term
) -> None:
    data = term.school.copy(tmp_path / "data")
    pid, url = await nursery.born(data, point)
    assert url is not None
    assert await asked(url, term.headers) is None, f"it did not die at {point}"
    assert await nursery.dead(pid) == -signal.SIGKILL
    halfway = await proven(data)
    assert halfway.findings == [], "a half-done erasure looks like neither damage nor forgery"
    assert halfway.store is not None
    for table in halfway.store.tables:
        # The person's rows go last, with the receipt.
        assert all(GONE in row.values() for row in (*table.missing, *table.extra)), table
    await ended_as_it_should(nursery, term, data, term.school.data)


@pytest.mark.parametrize("seed", seeds(1, soaked=SOAKED // 10))
async def test_an_erasure_is_killed_twice_at_any_moment(
    tmp_path: Path, seed: int, nursery: Nursery, term: Term
) -> None:
    random = Random(seed)
    data = term.school.copy(tmp_path / "data")
    for _ in range(2):
        pid, url = await nursery.born(data, None)
        assert url is not None
        asks = asyncio.create_task(asked(url, term.headers))
        await asyncio.wait([asks], timeout=random.uniform(0.01, 0.4))
        os.kill(pid, signal.SIGKILL)
        await nursery.dead(pid)
        await asks
    await ended_as_it_should(nursery, term, data, term.school.data)
