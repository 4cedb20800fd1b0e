"""Two orgs with learners, in a template that every seed copies; and what must be true of their work."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from sqlalchemy import func, select

from holdfast.access.principal import Membership, Principal
from holdfast.access.sessions import COOKIE
from holdfast.cli import verifying
from holdfast.cli.serving import seed
from holdfast.settings import Settings, load
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.web.portal import Portal
from holdfast.wiring import make_app, opened

ENVIRON: Mapping[str, str] = {
    "HOLDFAST_BATCHES_PER_S": "100000",
    "HOLDFAST_BATCHES_BURST": "100000",
    "HOLDFAST_SEGMENT_BYTES": "40000",
    "HOLDFAST_DISK_SOFT_BYTES": "3",
    "HOLDFAST_DISK_HIGH_BYTES": "2",
    "HOLDFAST_DISK_HARD_BYTES": "1",
}
"""No limits on senders, no opinion on this machine's disk, and segments small enough to roll often."""

LEARNERS = {"tidewater": ("t1", "t2", "t3"), "highland": ("h1", "h2", "h3")}


@dataclass(frozen=True)
class Learner:
    """Somebody who sends, and how they prove who they are."""

    user: str
    org: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class School:
    """A data directory to copy, and who may send to a portal that runs on it."""

    data: Path
    learners: tuple[Learner, ...]
    course: str
    lessons: tuple[str, ...]

    def copy(self, to: Path) -> Path:
        """The data, ready for a portal."""
        shutil.copytree(self.data, to)
        return to


def settings_of(data: Path) -> Settings:
    """The settings that every portal of these tests runs with."""
    return load(ENVIRON, data_dir=data)


async def founded(data: Path) -> School:
    """Seed the demonstration, enrol more learners, sign them in."""
    async with opened(settings_of(data)) as portal:
        await seed(portal)
        await portal.store.run(None, partial(_enrol, now=portal.now()))
        found = await portal.store.read(None, _lessons)
        learners = tuple(_signed_in(portal, user, org) for org, users in LEARNERS.items() for user in users)
    course, _ = found[0]
    return School(data, learners, course, tuple(lesson for _, lesson in found)[:4])


def _enrol(tx: Tx, now: str) -> None:
    for org, people in LEARNERS.items():
        for user in people:
            tx.run(
                tx.insert(schema.users).values(
                    id=user, email=f"{user}@school.example", name=user, password_hash=None, operator=False,
                    active=True, demo=False, created_at=now,
                )
            )  # fmt: skip
            tx.run(
                tx.insert(schema.memberships).values(
                    org_id=org, user_id=user, role="learner", active=True, created_at=now
                )
            )


def _lessons(tx: Tx) -> list[tuple[str, str]]:
    its = schema.lessons.c
    statement = select(its.course_id, its.id).where(its.org_id == "tidewater").order_by(its.position)
    return [(row.course_id, row.id) for row in tx.rows(statement)]


def _signed_in(portal: Portal, user: str, org: str) -> Learner:
    who = Principal(
        user, user, f"{user}@school.example", (Membership(org, org, ("learner",)),), session_id=f"s-{user}"
    )
    headers = {
        "cookie": f"{COOKIE}={portal.sessions.issue(who)}",
        "x-csrf-token": portal.csrf.issue(who.session_id),
        "content-type": "application/json",
    }
    return Learner(user, org, headers)


class Effects(msgspec.Struct):
    """What the store says became of events."""

    marks: Counter[str]
    analytics: Counter[str]
    intervals: Counter[str]
    activity: int
    dead: int
    percent: dict[tuple[str, str], float]
    numbers: dict[str, list[list[int]]]


def effects(tx: Tx) -> Effects:
    """Read them all, in an unbound transaction."""
    progress = schema.progress.c
    return Effects(
        Counter(row.event_id for row in tx.rows(select(schema.marks.c.event_id))),
        Counter(row.event_id for row in tx.rows(select(schema.analytics_events.c.event_id))),
        Counter(row.session_id for row in tx.rows(select(schema.intervals.c.session_id))),
        int(tx.rows(select(func.coalesce(func.sum(schema.activity.c["count"]), 0)))[0][0]),
        int(tx.rows(select(func.count()).select_from(schema.dead_letters))[0][0]),
        {
            (row.user_id, row.lesson_id): row.percent
            for row in tx.rows(select(progress.user_id, progress.lesson_id, progress.percent))
        },
        {
            row.device_id: row.seqs
            for row in tx.rows(select(schema.devices.c.device_id, schema.devices.c.seqs))
        },
    )


async def posted(client: httpx2.AsyncClient, learner: Learner, door: str, batch: Any) -> httpx2.Response:  # noqa: ANN401
    """Send a batch as a learner."""
    path = "/api/client/progress/batch" if door == "progress" else "/api/analytics/events/batch"
    return await client.post(path, content=msgspec.json.encode(batch), headers=learner.headers)


async def resent(portal: Portal, batches: Iterable[tuple[Learner, str, Any]]) -> Counter[str]:
    """Send everything once more; how often each status was answered."""
    said: Counter[str] = Counter()
    transport = httpx2.ASGITransport(make_app(portal))
    async with httpx2.AsyncClient(transport=transport, base_url="http://holdfast") as client:
        for learner, door, batch in batches:
            answer = await posted(client, learner, door, batch)
            assert answer.status_code == 202, answer.text
            said.update(each["status"] for each in answer.json()["receipts"])
    return said


async def proven(data: Path) -> verifying.Report:
    """What `holdfast verify` comes to."""
    return await verifying.verify(settings_of(data), None, None, quick=False, told=lambda *_: None)
