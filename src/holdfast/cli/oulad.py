"""Loading the Open University Learning Analytics Dataset as one org, through the HTTP door.

Kuzilek, Hlosta, Zdrahal: Open University Learning Analytics dataset, Sci. Data 4:170171 (2017), CC BY 4.0.
Learners become people, resources become lessons of one course, and each click one
`analytics.recorded` event with its day as `occurredAt`. Ids are made from the rows, so loading it
again sends the same events.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.cli.desk import Desk
from holdfast.core.backoff import full_jitter_s
from holdfast.core.clock import rfc3339
from holdfast.core.errors import Conflict, HoldfastError, Rejected, Unavailable
from holdfast.core.ids import uuid7

SLUG: Final = "oulad"
COURSE: Final = "oulad-aaa-2013j"
STARTS: Final = datetime(2013, 10, 1, tzinfo=UTC)
"""Day 0 of presentation 2013J: J stands for October; the data give no day of the month."""
_FIRST_DAY: Final = (datetime(1970, 1, 1, tzinfo=UTC) - STARTS).days
_LAST_DAY: Final = (datetime(9999, 12, 31, tzinfo=UTC) - STARTS).days
"""Between these an event's id and its `occurredAt` can say when it was."""
BATCH: Final = 100
SENDERS: Final = 4
ATTEMPTS: Final = 20
SETTLE_S: Final = 120.0

_FILES: Final = {
    "vle.csv": ("id_site", "activity_type", "week_from"),
    "studentInfo.csv": ("id_student",),
    "studentVle.csv": ("id_student", "id_site", "date", "sum_click"),
}
"""File -> the columns that are read of it; of these all but the activity's are whole numbers."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}\Z")
_MAY_BE_EMPTY: Final = "week_from"


class Loaded(msgspec.Struct, rename="camel"):
    """What a load came to."""

    org_id: str
    learners: int
    lessons: int
    sent: int
    receipts: dict[str, int]
    ledger: dict[str, Any]


def read(folder: Path, name: str) -> list[dict[str, str]]:
    """A file's rows. Raises Rejected naming the file that is missing or not what it should be."""
    try:
        with (folder / name).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise Rejected(
            f"{name} can't be read from {folder}: {fault}",
            hint=f"The folder of the dataset holds {', '.join(_FILES)}.",
        ) from fault
    for line, row in enumerate(rows, start=2):
        for column in _FILES[name]:
            value = row.get(column)
            good = value is not None and (
                column == "activity_type" or _NUMBER.match(value) or (not value and column == _MAY_BE_EMPTY)
            )
            if not good:
                raise Rejected(
                    f"{name}, line {line}: {column} is {value!r}", hint="It takes the dataset's own files."
                )
    return rows


def lesson_id(site: str) -> str:
    """A resource's lesson."""
    return f"resource-{site}"


def course_zip(resources: list[dict[str, str]]) -> bytes:
    """The resources as a course of Markdown lessons, in the order of their weeks."""
    ordered = sorted(resources, key=lambda row: (int(row["week_from"] or 0), int(row["id_site"])))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        names = [f"{lesson_id(row['id_site'])}.md" for row in ordered]
        head = [
            f"id: {COURSE}",
            "title: Module AAA, presentation 2013J",
            "description: Resources of one module of the Open University, from OULAD (CC BY 4.0).",
            "licence: CC BY 4.0",
            "lessons:",
            *(f"  - {name}" for name in names),
        ]
        archive.writestr("course.yaml", "\n".join(head) + "\n")
        for row, name in zip(ordered, names, strict=True):
            what = row["activity_type"]
            archive.writestr(
                name,
                f"---\ntitle: {what.capitalize()} {row['id_site']}\n---\n\n"
                f"This stands for a resource of type *{what}* in the virtual learning environment.\n",
            )
    return packed.getvalue()


def people_csv(students: list[dict[str, str]]) -> bytes:
    """The learners, as the people import reads them."""
    lines = ["email,name,role"]
    lines += [f"{email(row['id_student'])},Learner {row['id_student']},learner" for row in students]
    return ("\n".join(lines) + "\n").encode()


def email(student: str) -> str:
    """A learner's made-up address; .example never leads anywhere (RFC 2606)."""
    return f"learner-{student}@oulad.example"


def clicks(rows: list[dict[str, str]], org: str, users: dict[str, str]) -> Iterator[dict[str, Any]]:
    """One event a click."""
    for number, row in enumerate(rows):
        at = STARTS + timedelta(days=int(row["date"]))
        body = {
            "name": "resource.clicked",
            "courseId": COURSE,
            "lessonId": lesson_id(row["id_site"]),
            "data": {"day": int(row["date"])},
        }
        user = users[email(row["id_student"])]
        occurred_at = rfc3339(at.timestamp())
        for click in range(int(row["sum_click"])):
            seed = f"{number}|{row['id_student']}|{row['id_site']}|{row['date']}|{click}"
            entropy = hashlib.sha256(seed.encode()).digest()[:10]
            yield {
                "id": uuid7(int(at.timestamp() * 1000), entropy),
                "kind": "analytics.recorded",
                "version": 1,
                "orgId": org,
                "userId": user,
                "occurredAt": occurred_at,
                "body": body,
            }


def check_clicks(rows: list[dict[str, str]], students: list[dict[str, str]]) -> None:
    """Raises Rejected naming the line that is of no student, or of no day."""
    known = {row["id_student"] for row in students}
    for line, row in enumerate(rows, start=2):
        student, day = row["id_student"], row["date"]
        if student not in known:
            raise Rejected(
                f"studentVle.csv, line {line}: student {student} is not in studentInfo.csv",
                hint="Add the student's row there, or take this one out: both files are of one presentation.",
            )
        if not _FIRST_DAY <= int(day) <= _LAST_DAY:
            raise Rejected(
                f"studentVle.csv, line {line}: date is {day!r}, which falls out of the calendar",
                hint=f"It is a number of days after {STARTS:%Y-%m-%d}, from {_FIRST_DAY} to {_LAST_DAY}.",
            )


async def load(desk: Desk, folder: Path, told: Callable[[int, int], None]) -> Loaded:
    """Load the dataset; `told` hears (events answered for, events in all) as it goes."""
    resources, students, rows = (read(folder, name) for name in _FILES)
    check_clicks(rows, students)
    org = await _org(desk)
    desk = await desk.as_service(org)
    imported = await desk.call(
        "POST", "/api/admin/courses/import", content=course_zip(resources), media="application/zip"
    )
    await desk.call("POST", "/api/admin/users/import", content=people_csv(students), media="text/csv")
    users = await _users(desk)
    total = sum(int(row["sum_click"]) for row in rows)
    receipts: Counter[str] = Counter()
    batches = _batches(clicks(rows, org, users))

    async def sender() -> None:
        for batch in batches:
            receipts.update(await _send(desk, batch))
            told(receipts.total(), total)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return Loaded(
        org_id=org,
        learners=len(users),
        lessons=imported["lessons"],
        sent=total,
        receipts=dict(receipts),
        ledger=await _settled(desk),
    )


def _batches(events: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for event in events:
        batch.append(event)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _org(desk: Desk) -> str:
    try:
        made = await desk.call(
            "POST", "/api/admin/orgs", json={"slug": SLUG, "name": "Open University, AAA 2013J"}
        )
        return str(made["id"])
    except (Rejected, Conflict) as there:
        if there.code != "already_exists":
            raise
    found = await desk.call("GET", "/api/admin/orgs", params={"slug": SLUG})
    return str(found["items"][0]["id"])


async def _users(desk: Desk) -> dict[str, str]:
    users: dict[str, str] = {}
    after: str | None = None
    while True:
        params = {"limit": "500"} | ({"after": after} if after else {})
        page = await desk.call("GET", "/api/admin/users", params=params)
        users.update({each["email"]: each["id"] for each in page["items"]})
        after = page.get("next")
        if not after:
            return users


async def _send(desk: Desk, batch: list[dict[str, Any]]) -> Counter[str]:
    """Send until every event has a final receipt: 429, 5xx and `later` are waited out."""
    final: Counter[str] = Counter()
    attempt = 0
    while batch:
        try:
            answer = await desk.call("POST", "/api/analytics/events/batch", json={"events": batch})
        except Unavailable as busy:
            attempt += 1
            if attempt > ATTEMPTS:
                raise
            await asyncio.sleep(busy.retry_s or full_jitter_s(attempt, cap_s=30.0))
            continue
        attempt = 0
        later = {each["id"] for each in answer["receipts"] if each["status"] == "later"}
        refused = [
            each for each in answer["receipts"] if each["status"] in ("invalid", "forbidden", "conflict")
        ]
        if refused:
            raise Rejected(f"the portal refused an event: {refused[0].get('reason')}")
        final.update(each["status"] for each in answer["receipts"] if each["status"] != "later")
        batch = [event for event in batch if event["id"] in later]
        await asyncio.sleep(answer["slowDownMs"] / 1000)
    return final


async def _settled(desk: Desk) -> dict[str, Any]:
    """The org's ledger once nothing waits any more, or as it stands when waiting got too long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLE_S
    while True:
        try:
            found = await desk.call("GET", "/api/admin/offline/ledger")
        except HoldfastError:
            if loop.time() > until:
                raise
            await asyncio.sleep(1.0)
            continue
        row: dict[str, Any] = found["items"][0]
        if row["pending"] == 0 or loop.time() > until:
            return row
        await asyncio.sleep(0.2)
