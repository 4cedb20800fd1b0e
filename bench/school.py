"""A school to measure with: one org with learners and lessons, and the events its devices send."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec
from sqlalchemy import insert

from bench.folder import ROOT
from holdfast.cli import oulad
from holdfast.core.ids import uuid7
from holdfast.events.envelope import Batch, Sender
from holdfast.store import schema
from holdfast.store.port import Store

ORG: Final = "benchmark-school"
COURSE: Final = "measuring"
LEARNERS: Final = 1000
LESSONS: Final = 20
BORN_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: when the first event happens."""
_AT: Final = "2026-01-01T00:00:00.000Z"

Frame = tuple[Sender, Batch]
"""What one request brings: who sends, and the events."""


class Learner(NamedTuple):
    """One learner and their device."""

    user: str
    device: str
    sender: Sender


def learners(number: int = LEARNERS) -> list[Learner]:
    """The school's learners."""
    found = []
    for at in range(number):
        user = f"learner-{at:05d}"
        found.append(Learner(user, f"device-{at:05d}", Sender(user, [ORG], lambda *_: True, on_behalf=False)))
    return found


def put_school(store: Store, users: Iterable[str], lessons: Iterable[str], course: str = COURSE) -> None:
    """Write the org, its people and its course."""
    people = list(users)
    with store.transaction(None) as tx:
        tx.run(insert(schema.orgs).values(id=ORG, slug=ORG, name="Benchmark School", created_at=_AT))
        new = {"password_hash": None, "operator": False, "active": True, "demo": False, "created_at": _AT}
        tx.run(
            insert(schema.users),
            [{"id": user, "email": f"{user}@bench.example", "name": user, **new} for user in people],
        )
        member = {"org_id": ORG, "role": "learner", "active": True, "created_at": _AT}
        tx.run(insert(schema.memberships), [{"user_id": user, **member} for user in people])
        shown = {"description": "", "licence": "", "archived": False, "created_at": _AT, "updated_at": _AT}
        tx.run(insert(schema.courses).values(org_id=ORG, id=course, title="Measuring", **shown))
        place = {"org_id": ORG, "course_id": course, "source": "", "html": "", "quiz": []}
        tx.run(
            insert(schema.lessons),
            [{"id": each, "position": at, "title": each, **place} for at, each in enumerate(lessons)],
        )


def put_learners(store: Store) -> None:
    """Write the org with `LEARNERS` learners and `LESSONS` lessons."""
    put_school(store, (each.user for each in learners()), map(lesson, range(LESSONS)))


def lesson(number: int) -> str:
    """A lesson's id."""
    return f"lesson-{number:02d}"


class _Voice:
    """Words events of a kind; each learner goes through the lessons in their own time."""

    def __init__(self, kind: str, rng: random.Random) -> None:
        self._kind = kind.encode()
        self._rng = rng
        self._number = 0
        self._told: dict[str, int] = {}
        self._body = {"lesson.progressed": self._progressed, "analytics.recorded": self._recorded}[kind]

    def event(self, user: str) -> msgspec.Raw:
        """The next event of a learner: about 300 bytes, as a device would word it."""
        self._number += 1
        step = self._told[user] = self._told.get(user, -1) + 1
        at_ms = BORN_MS + self._number
        body = self._body(step)
        occurred_at = b"2026-01-%02dT%02d:%02d:00.000Z" % (
            1 + self._number // 400_000 % 28,
            self._number // 60 % 24,
            self._number % 60,
        )
        return msgspec.Raw(
            b'{"id":"%b","kind":"%b","version":1,"seq":%d,"orgId":"%b","occurredAt":"%b","checksum":"%08x","body":%b}'
            % (
                uuid7(at_ms, self._rng.randbytes(10)).encode(),
                self._kind,
                step + 1,
                ORG.encode(),
                occurred_at,
                crc32(body),
                body,
            )
        )

    def _progressed(self, step: int) -> bytes:
        # A report a minute, ten of them a lesson.
        return (
            b'{"courseId":"%b","lessonId":"lesson-%02d","percent":%d,"positionS":%d.5,'
            b'"interval":{"sessionId":"s%d","fromS":%d,"toS":%d}}'
        ) % (
            COURSE.encode(),
            step // 10 % LESSONS,
            10 * (step % 10 + 1),
            60 * (step % 10),
            step // 30,
            60 * step,
            60 * step + 60,
        )

    def _recorded(self, step: int) -> bytes:
        return (
            b'{"name":"page.%b","courseId":"%b","lessonId":"lesson-%02d",'
            b'"data":{"from":"course","dwellMs":%d,"scrolled":%d}}'
        ) % (
            (b"opened", b"scrolled", b"closed")[step % 3],
            COURSE.encode(),
            step // 10 % LESSONS,
            self._rng.randrange(60_000),
            step % 100,
        )


def frames(kind: str, per_frame: int, seed: int = 1) -> Iterator[Frame]:
    """Requests without end: each is a random learner's device with its next events."""
    rng = random.Random(seed)
    voice = _Voice(kind, rng)
    school = learners()
    while True:
        who = rng.choice(school)
        yield who.sender, Batch([voice.event(who.user) for _ in range(per_frame)], who.device)


# The Open University's learners


class Oulad(NamedTuple):
    """A real year: who clicked on what, on which day."""

    users: list[str]
    lessons: list[str]
    rows: list[dict[str, str]]


def oulad_folder() -> Path | None:
    """Where the dataset lies, if it does."""
    named = os.environ.get("HOLDFAST_SHARED_DATA")
    folder = (Path(named) if named else ROOT.parent / "shared" / "data") / "oulad"
    return folder if folder.is_dir() else None


def read_oulad(folder: Path) -> Oulad:
    """The dataset as a school."""

    def read(name: str) -> list[dict[str, str]]:
        with (folder / name).open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))

    users = [oulad.email(row["id_student"]).partition("@")[0] for row in read("studentInfo.csv")]
    lessons = [oulad.lesson_id(row["id_site"]) for row in read("vle.csv")]
    return Oulad(users, lessons, read("studentVle.csv"))


def oulad_frames(data: Oulad) -> Iterator[Frame]:
    """The dataset's clicks in its own order, a hundred a request, as `load-oulad` sends them."""
    users = {f"{user}@oulad.example": user for user in data.users}
    sender = Sender("service", [ORG], lambda *_: True, on_behalf=True)
    events: Iterator[Any] = oulad.clicks(data.rows, ORG, users)
    for some in _hundreds(events):
        yield sender, Batch([msgspec.Raw(msgspec.json.encode(event)) for event in some])


def _hundreds(events: Iterator[Any]) -> Iterator[Sequence[Any]]:
    while some := list(islice(events, 100)):
        yield some
