"""The demonstration: two orgs, their people, one course each, assigned. Safe to run twice.

Everything has a fixed id, so a second run finds what the first one made.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import select

from holdfast.core.ids import uuid7
from holdfast.learning.courses import put_course
from holdfast.learning.importing import CourseSource
from holdfast.learning.orgs import create_org, org_by_slug
from holdfast.store import schema
from holdfast.store.port import Tx

PASSWORD: Final = "holdfast-demo"  # noqa: S105 - known to everybody, refused outside demo mode
_BORN_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: the time in the ids of the demo's own events."""


class Person(NamedTuple):
    """One demo account; `org` and `role` are None for the operator."""

    user_id: str
    email: str
    name: str
    org: str | None
    role: str | None


ORGS: Final = {"tidewater": "Tidewater College", "highland": "Highland School"}
PEOPLE: Final = (
    Person("demo-ada", "ada@tidewater.example", "Ada Learner", "tidewater", "learner"),
    Person("demo-ben", "ben@tidewater.example", "Ben Admin", "tidewater", "admin"),
    Person("demo-olu", "olu@holdfast.example", "Olu Operator", None, None),
    Person("demo-cleo", "cleo@highland.example", "Cleo Learner", "highland", "learner"),
    Person("demo-dan", "dan@highland.example", "Dan Admin", "highland", "admin"),
)


class Assignment(NamedTuple):
    """The event that assigns an org's demo course to its learner."""

    org: str
    event_id: str
    admin: str
    learner: str


def assignments() -> list[Assignment]:
    """One per org, with an id that is always the same."""
    found = []
    for org in ORGS:
        admin = next(person for person in PEOPLE if person.org == org and person.role == "admin")
        learner = next(person for person in PEOPLE if person.org == org and person.role == "learner")
        event_id = uuid7(_BORN_MS, org.encode().ljust(10, b"\0")[:10])
        found.append(Assignment(org, event_id, admin.user_id, learner.user_id))
    return found


def is_seeded(tx: Tx) -> bool:
    """Whether the last step of an earlier run is there: then all of it is."""
    assigned = schema.assignment_results.c.event_id
    wanted = [each.event_id for each in assignments()]
    return len(tx.rows(select(assigned).where(assigned.in_(wanted)))) == len(wanted)


def put_people(tx: Tx, password_hash: str, now: str) -> int:
    """Orgs, users and memberships, in an unbound transaction; how many people were new."""
    new = 0
    for slug, name in ORGS.items():
        if org_by_slug(tx, slug) is None:
            create_org(tx, slug, name, org_id=slug, at=now)
    for person in PEOPLE:
        if tx.rows(select(schema.users.c.id).where(schema.users.c.id == person.user_id)):
            continue
        new += 1
        tx.run(
            tx.insert(schema.users).values(
                id=person.user_id,
                email=person.email,
                name=person.name,
                password_hash=password_hash,
                operator=person.org is None,
                active=True,
                demo=True,
                created_at=now,
            )
        )
        if person.org is not None:
            tx.run(
                tx.insert(schema.memberships).values(
                    org_id=person.org, user_id=person.user_id, role=person.role, active=True, created_at=now
                )
            )
    return new


def put_courses(tx: Tx, source: CourseSource, now: str) -> str:
    """The demo course in the transaction's org; its id."""
    assert tx.org is not None  # noqa: S101 - the caller binds one
    return put_course(tx, source, tx.org, now).course_id
