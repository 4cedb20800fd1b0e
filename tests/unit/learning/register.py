"""A store in memory with two schools, and events as the applier hands them over."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Table, insert, select

from holdfast.events.kind import Applied, Apply
from holdfast.learning.catalog import kinds
from holdfast.learning.scrub import Scrubber
from holdfast.store.port import Tx
from holdfast.store.schema import courses, lessons, memberships, orgs, users
from holdfast.store.sqlite import SqliteStore

NOW = "2026-11-23T10:00:00.000Z"
QUIZ = [{"id": "q1", "prompt": "?", "choices": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "answer": ["a", "b"]}]
PEOPLE = {"tide": ("ada", "abe", "amy", "ben"), "high": ("cleo", "dan")}
ADMINS = ("ben", "dan")
COURSES = {"tide": ("knots", "tides"), "high": ("knots", "hills")}
LESSONS = ("one", "two", "three")

KINDS = {kind.name: kind for kind in kinds(Scrubber(b"salt of the tests"))}


@contextmanager
def school() -> Iterator[SqliteStore]:
    """Orgs `tide` and `high`: a course of the same id in both, one of its own in each."""
    store = SqliteStore(None)
    with store.transaction(None) as tx:
        for org, names in PEOPLE.items():
            tx.run(insert(orgs).values(id=org, slug=org, name=org, created_at=NOW))
            for name in names:
                add_person(tx, org, name, "admin" if name in ADMINS else "learner")
            for course in COURSES[org]:
                add_course(tx, org, course)
    try:
        yield store
    finally:
        store.close()


def add_person(tx: Tx, org: str, name: str, role: str = "learner") -> None:
    person = {"id": name, "email": f"{name}@{org}.example", "name": name.title(), "created_at": NOW}
    tx.run(insert(users).values(**person, operator=False, active=True, demo=False))
    tx.run(insert(memberships).values(org_id=org, user_id=name, role=role, active=True, created_at=NOW))


def add_course(tx: Tx, org: str, course: str) -> None:
    about = {"description": "", "licence": "", "archived": False, "created_at": NOW, "updated_at": NOW}
    tx.run(insert(courses).values(org_id=org, id=course, title=course.title(), **about))
    for position, lesson in enumerate(LESSONS, 1):
        text = {"title": lesson.title(), "source": "", "html": "", "quiz": QUIZ if lesson == "one" else []}
        tx.run(insert(lessons).values(org_id=org, course_id=course, id=lesson, position=position, **text))


def event(kind: str, user: str, number: int, org: str = "tide", **body: object) -> Applied[Any]:
    """An event as applied: its id, position and time of receipt follow from its number."""
    decoded = msgspec.convert(body, KINDS[kind].body)
    at = f"2026-11-23T10:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
    return Applied(f"id-{number:06d}", org, user, number, at, at, decoded)


def apply_of(kind: str) -> Apply:
    return KINDS[kind].apply


def table(tx: Tx, which: Table) -> list[tuple[Any, ...]]:
    """All rows, in an order of their own."""
    return sorted((tuple(row) for row in tx.rows(select(which))), key=repr)


class _Undone(Exception):
    """Ends a trial."""


def tried(store: SqliteStore, steps: Sequence[Callable[[Tx], None]], *read: Table) -> list[Any]:
    """What the tables hold after the steps; then everything is as it was."""
    found: list[Any] = []
    with contextlib.suppress(_Undone), store.transaction(None) as tx:
        for step in steps:
            step(tx)
        found += [table(tx, each) for each in read]
        raise _Undone
    return found
