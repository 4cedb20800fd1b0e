"""kill -9 under load, at chosen points and at any moment: whatever had a receipt has exactly one effect."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from holdfast.events.kind import LANES
from holdfast.wiring import opened
from tests.faults.killable import POINTS
from tests.faults.load import Sender, sending
from tests.faults.school import ENVIRON, Effects, School, effects, founded, proven, resent, settings_of
from tests.faults.seeds import seeds

LIVES = 3
"""How often the portal is killed, for each seed."""
LOAD_S = 5.0
"""When a chosen point was not reached by then, the portal is killed from outside."""
DEMO_EVENTS = 2


@dataclass
class Nursery:
    """The process that gives birth to portals, and its word on them."""

    process: asyncio.subprocess.Process

    async def _said(self) -> dict[str, object]:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 90.0)
        assert line, "the nursery is gone"
        said: dict[str, object] = json.loads(line)
        return said

    async def born(self, data: Path, kill: str | None) -> tuple[int, str | None]:
        """A portal's process and address; no address for one that died before it listened."""
        assert self.process.stdin is not None
        wanted = {"data": str(data), "kill": kill, "environ": ENVIRON}
        self.process.stdin.write(json.dumps(wanted).encode() + b"\n")
        pid, url = 0, None
        while True:
            said = await self._said()
            if "born" in said:
                pid = int(str(said["born"]))
            elif "url" in said:
                url = str(said["url"])
            elif said.get("dead") == pid:
                assert said["status"] == -signal.SIGKILL, data.with_suffix(".log").read_text()
                return pid, None
            if pid and url:
                return pid, url

    async def dead(self, pid: int) -> int:
        """Its exit status, once it has one."""
        while True:
            said = await self._said()
            if said.get("dead") == pid:
                return int(str(said["status"]))


@pytest.fixture(scope="module")
async def nursery() -> AsyncIterator[Nursery]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.killable", "--nursery",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    yield Nursery(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


@pytest.fixture(scope="module")
async def school(tmp_path_factory: pytest.TempPathFactory) -> School:
    return await founded(tmp_path_factory.mktemp("school") / "data")


def plan(random: Random, number: int) -> tuple[str | None, float]:
    """Where one life ends: at a point, or after some seconds."""
    if number % 4 == 3:
        return None, random.uniform(0.03, 0.6)
    return f"{POINTS[number % len(POINTS)]}:{random.randint(1, 12)}", LOAD_S


async def lived(
    nursery: Nursery, data: Path, senders: list[Sender], kill: str | None, within_s: float
) -> bool:
    """One life of a portal, under load, to its violent end; whether it came to that by itself."""
    pid, url = await nursery.born(data, kill)
    if url is None:
        return True
    load = asyncio.create_task(sending(url, senders))
    done, _ = await asyncio.wait([load], timeout=within_s)
    if not done:
        with contextlib.suppress(ProcessLookupError):  # it has just come to its end by itself
            os.kill(pid, signal.SIGKILL)
    assert await nursery.dead(pid) == -signal.SIGKILL, data.with_suffix(".log").read_text()
    await load
    return bool(done)


def one_effect_each(found: Effects, senders: list[Sender], which: set[str]) -> None:
    """Every one of these events has one mark and one effect, and no event has two."""
    for sender in senders:
        for event_id, (door, _) in sender.made.items():
            effect = (found.analytics if door == "analytics" else found.intervals)[event_id]
            assert found.marks[event_id] == effect, (
                f"{event_id}: {found.marks[event_id]} marks, {effect} effects"
            )
            assert effect == 1 if event_id in which else effect <= 1, f"{event_id} had {effect} effects"
    made = {event_id for sender in senders for event_id in sender.made}
    assert len(set(found.marks) - made) == DEMO_EVENTS, "a mark of an event that nobody sent"
    assert found.activity == sum(found.analytics.values()), "an event was counted twice, or not at all"
    assert found.dead == 0


def folded(senders: list[Sender]) -> dict[tuple[str, str], float]:
    """The percent that all these events together come to, per learner and lesson."""
    best: dict[tuple[str, str], float] = {}
    for sender in senders:
        for door, event in sender.made.values():
            if door == "progress":
                key = (sender.learner.user, event["body"]["lessonId"])
                best[key] = max(best.get(key, 0.0), event["body"]["percent"])
    return best


async def promise_kept(data: Path, senders: list[Sender]) -> None:
    """Start again, drain, look; send everything once more, drain, look; prove the journal and the ledger."""
    receipts = set().union(*(each.receipts for each in senders))
    async with opened(settings_of(data)) as portal:
        await portal.applier.drain()
        one_effect_each(await portal.store.read(None, effects), senders, receipts)
        every = {event_id for sender in senders for event_id in sender.made}
        said = await resent(portal, [batch for sender in senders for batch in sender.all_again()])
        assert set(said) <= {"accepted", "duplicate"}
        assert said["accepted"] <= len(every - receipts), "something had a receipt and was not known"
        await portal.applier.drain()
        found = await portal.store.read(None, effects)
        one_effect_each(found, senders, every)
        assert found.percent == folded(senders)
        for sender in senders:
            assert found.numbers.get(sender.device, []) == ([[1, len(sender.made)]] if sender.made else [])
        assert all(portal.applier.cursor(lane) == portal.journal.stats().head for lane in LANES)

    report = await proven(data)
    assert report.findings == []
    assert report.good
    assert sum(row["applied"] for row in report.ledger) == len(every) + DEMO_EVENTS
    assert sum(row["pending"] + row["dead"] for row in report.ledger) == 0


@pytest.mark.parametrize("seed", seeds(20))
async def test_whatever_had_a_receipt_has_exactly_one_effect(
    tmp_path: Path, seed: int, nursery: Nursery, school: School
) -> None:
    random = Random(seed)
    data = school.copy(tmp_path / "data")
    senders = [Sender(each, school, Random(f"{seed} {each.user}")) for each in school.learners]
    for life in range(LIVES):
        await lived(nursery, data, senders, *plan(random, seed * LIVES + life))
    await promise_kept(data, senders)


@pytest.mark.parametrize("point", POINTS)
async def test_a_portal_dies_at_each_point_by_itself(
    tmp_path: Path, point: str, nursery: Nursery, school: School
) -> None:
    """Or the seeds above would test less than they say."""
    data = school.copy(tmp_path / "data")
    senders = [Sender(each, school, Random(f"{point} {each.user}")) for each in school.learners]
    assert await lived(nursery, data, senders, f"{point}:3", 60.0), f"nothing passed {point} three times"
    assert any(each.made for each in senders)
    await promise_kept(data, senders)


async def test_the_command_proves_what_a_killed_portal_left(
    tmp_path: Path, nursery: Nursery, school: School
) -> None:
    data = school.copy(tmp_path / "data")
    senders = [Sender(each, school, Random(each.user)) for each in school.learners]
    await lived(nursery, data, senders, None, 0.5)
    command = [sys.executable, "-m", "holdfast", "verify", "--data", str(data), "--json"]
    ran = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, env={**os.environ, **ENVIRON}
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = json.loads(ran.stdout)
    assert said["good"]
    assert said["events"] >= len(set().union(*(each.receipts for each in senders)))
    await promise_kept(data, senders)
