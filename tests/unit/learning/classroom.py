"""Two orgs with a learner each in a store in memory, for tests of courses and lessons."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import insert

from holdfast.learning.importing import CourseSource, read_files
from holdfast.learning.lessons import Reader
from holdfast.store.port import Tx
from holdfast.store.schema import assignments, memberships, orgs, users
from holdfast.store.sqlite import SqliteStore

NOW = "2026-11-23T10:00:00.000Z"
LATER = "2026-11-24T10:00:00.000Z"
ADA = Reader("ada", sees_all=False)
BEN = Reader("ben", sees_all=True)
CLEO = Reader("cleo", sees_all=False)

QUIZ = """\
---
title: Two
quiz:
  - id: colour
    prompt: What colour is the buoy?
    choices: [{id: r, text: Red}, {id: g, text: Green}]
    answer: g
---
Second. SECRET-FREE.
"""


@contextmanager
def school() -> Iterator[SqliteStore]:
    """A store with orgs `tidewater` (ada, ben) and `highland` (cleo)."""
    store = SqliteStore(None)
    people = {"tidewater": ("ada", "ben"), "highland": ("cleo",)}
    with store.transaction(None) as tx:
        for org, names in people.items():
            tx.run(insert(orgs).values(id=org, slug=org, name=org, created_at=NOW))
            for name in names:
                user = {"id": name, "email": f"{name}@{org}.example", "name": name, "created_at": NOW}
                tx.run(insert(users).values(**user, operator=False, active=True, demo=False))
                role = "admin" if name == "ben" else "learner"
                seat = {"org_id": org, "user_id": name, "role": role, "active": True, "created_at": NOW}
                tx.run(insert(memberships).values(**seat))
    try:
        yield store
    finally:
        store.close()


def course(**changed: str) -> CourseSource:
    """A small course with two lessons and a figure; `changed` replaces files by name."""
    files: dict[str, str | bytes] = {
        "course.yaml": "id: knots\ntitle: Knots\ndescription: Ropes.\nlessons: [01-one.md, 02-two.md]\n",
        "01-one.md": "---\ntitle: One\n---\nFirst. ![a rope](fig/rope.png)\n",
        "02-two.md": QUIZ,
        "fig/rope.png": b"\x89PNG rope",
        **changed,
    }
    return read_files({name: as_bytes(text) for name, text in sorted(files.items())})


def as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def assign(tx: Tx, user: str, course_id: str, **changed: Any) -> None:  # noqa: ANN401 - a row's columns
    row = {"course_id": course_id, "user_id": user, "active": True, "due_at": None, "note": None}
    row |= {"assigned_by": "ben", "assigned_at": NOW, "position": 1, "event_id": f"e-{user}-{course_id}"}
    tx.run(insert(assignments).values(**(row | changed)))


def zipped(files: dict[str, str | bytes]) -> bytes:
    """The files as a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()
