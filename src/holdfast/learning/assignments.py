"""Assignments: who should do which course by when.

One event names up to 5,000 learners. The event with the highest (position, id) decides each row, so
any order, duplication or split of the events gives the same rows. An unassigning event leaves its
row, inactive: it must win over an older assigning event that comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta
from sqlalchemy import Insert, and_, bindparam, or_, select, tuple_

from holdfast.access.audit import note_for
from holdfast.core.codec import canonical
from holdfast.core.errors import Rejected
from holdfast.events.kind import Applied
from holdfast.learning.orgs import active_members, in_lists, now_text
from holdfast.learning.progress import Id
from holdfast.learning.statements import EngineInsert, add_once, engine_insert, insert_all
from holdfast.store.port import Tx
from holdfast.store.schema import assignment_results, assignments, courses, memberships, users

MAX_USERS: Final = 5000
"""Most learners one event may name."""

UserId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")]
UserIds = Annotated[list[UserId], Meta(min_length=1, max_length=MAX_USERS)]
DueAt = Annotated[datetime, Meta(tz=True)]
Note = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*\Z")]


class CourseAssigned(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """`course.assigned` v1: a course, its learners, and by when (RFC 3339 with an offset)."""

    course_id: Id
    user_ids: UserIds
    due_at: DueAt | None = None
    note: Note | None = None

    def __post_init__(self) -> None:
        """Refuse a learner named twice, and a day that UTC has no year for."""
        _check_unique(self.user_ids)
        if self.due_at is not None:
            due_text(self.due_at)


class CourseUnassigned(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """`course.unassigned` v1."""

    course_id: Id
    user_ids: UserIds

    def __post_init__(self) -> None:
        """Refuse a learner named twice."""
        _check_unique(self.user_ids)


def _check_unique(user_ids: list[str]) -> None:
    if len(set(user_ids)) < len(user_ids):
        raise ValueError("userIds must not name a learner twice")


def due_text(due_at: datetime) -> str:
    """A due time as the tables hold it. Raises ValueError for one that falls out of the calendar."""
    try:
        return due_at.astimezone(UTC).isoformat("T", "milliseconds")[:23] + "Z"
    except OverflowError:
        raise ValueError("dueAt must be between the years 1 and 9999") from None


# Apply


class Standing(NamedTuple):
    """What decided a learner's row."""

    position: int
    event_id: str
    active: bool


_Key = tuple[str, str, str]
"""(org, course, user)"""


def apply_assigned(tx: Tx, batch: Sequence[Applied[CourseAssigned]]) -> None:
    """Assign. A learner who is not an active member of the event's org is refused, the others are not.

    For `assignment_results`: `already` counts learners whose row was active from an earlier
    position; `assigned` all others that were not refused. Raises Rejected `course_unknown`, and
    `forbidden` when the sender is no longer an admin of the org.
    """
    _apply(tx, batch, active=True)


def apply_unassigned(tx: Tx, batch: Sequence[Applied[CourseUnassigned]]) -> None:
    """Unassign. Whoever never was a member of the org is refused; former members are not.

    For `assignment_results`: `already` counts learners who had no active row from an earlier
    position; `assigned` those who had, and lost it. Raises as `apply_assigned` does.
    """
    _apply(tx, batch, active=False)


def without_assigned(body: bytes, user: str) -> bytes | None:
    """An assigning event's body without one learner; None where nobody else is left."""
    return _without(msgspec.json.decode(body, type=CourseAssigned), user)


def without_unassigned(body: bytes, user: str) -> bytes | None:
    """The same for an unassigning event."""
    return _without(msgspec.json.decode(body, type=CourseUnassigned), user)


def _without(body: CourseAssigned | CourseUnassigned, user: str) -> bytes | None:
    users = [each for each in body.user_ids if each != user]
    if not users:
        return None
    said: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(body, user_ids=users))
    return msgspec.json.encode({name: value for name, value in said.items() if value is not None})


def as_applied(tx: Tx, event: Applied[Any]) -> Applied[Any]:
    """The event without the learners who were refused when it was applied: who may join or leave since."""
    table = assignment_results
    asked = select(table.c.refused).where(table.c.org_id == event.org, table.c.event_id == event.id)
    refused = {each["userId"] for row in tx.rows(asked) for each in row.refused}
    users = [user for user in event.body.user_ids if user not in refused]
    return event._replace(body=msgspec.structs.replace(event.body, user_ids=users))


def _apply(tx: Tx, batch: Sequence[Applied[Any]], *, active: bool) -> None:
    _require_admins(tx, {(event.org, event.user) for event in batch})
    _require_courses(tx, dict.fromkeys((event.org, event.body.course_id) for event in batch))
    named = [user for event in batch for user in event.body.user_ids]
    members = active_members(tx, named) if active else _ever_members(tx, named)
    standing = _standing(tx, batch)
    rows: dict[_Key, tuple[Any, ...]] = {}
    results: list[tuple[Any, ...]] = []
    now = now_text()
    for event in sorted(batch, key=lambda each: (each.position, each.id)):
        changed, refused = 0, []
        mine = Standing(event.position, event.id, active)
        for user in event.body.user_ids:
            if (event.org, user) not in members:
                refused.append({"userId": user, "reason": "not an active member of this org"})
                continue
            key = (event.org, event.body.course_id, user)
            before = standing.get(key)
            had = before is not None and before.active and before.position < event.position
            changed += had != active
            if before is None or mine[:2] > before[:2]:
                standing[key] = mine
                rows[key] = (*key, *_said(event, active=active))
        counts = (changed, len(event.body.user_ids) - len(refused) - changed)
        results.append((event.org, event.id, *counts, canonical(refused).decode(), now))
        _note(tx, event, active=active, changed=changed, refused=len(refused))
    if rows:
        tx.many(_upsert(engine_insert(tx, assignments)), rows.values())
    add_once(tx, assignment_results, results)


def _said(event: Applied[Any], *, active: bool) -> tuple[Any, ...]:
    """The columns after the key."""
    due_at: datetime | None = event.body.due_at if active else None
    return (
        active,
        None if due_at is None else due_text(due_at),
        event.body.note if active else None,
        event.user,
        event.received_at,
        event.position,
        event.id,
    )


def _note(tx: Tx, event: Applied[Any], *, active: bool, changed: int, refused: int) -> None:
    details = {"users": len(event.body.user_ids), "assigned": changed, "refused": refused}
    act = "course.assigned" if active else "course.unassigned"
    # An event's id is its org's own: another org's same one must not hide this note.
    note_id = f"{event.org}/{event.id}"
    note_for(tx, event.org, event.user, act, event.body.course_id, details, id=note_id, at=event.received_at)


_KNOWN_USERS = select(users.c.id).where(users.c.id.in_(bindparam("users", expanding=True)))
_ADMINS = (
    select(memberships.c.org_id, memberships.c.user_id)
    .join(users, users.c.id == memberships.c.user_id)
    .where(memberships.c.user_id.in_(bindparam("users", expanding=True)))
    .where(memberships.c.active, users.c.active, memberships.c.role == "admin")
)
_EVER_MEMBERS = select(memberships.c.org_id, memberships.c.user_id).where(
    memberships.c.user_id.in_(bindparam("users", expanding=True))
)
_COURSES = select(courses.c.org_id, courses.c.id).where(
    tuple_(courses.c.org_id, courses.c.id).in_(bindparam("keys", expanding=True))
)
_STANDING = select(
    assignments.c.user_id, assignments.c.position, assignments.c.event_id, assignments.c.active
).where(
    assignments.c.org_id == bindparam("org"),
    assignments.c.course_id == bindparam("course"),
    assignments.c.user_id.in_(bindparam("users", expanding=True)),
)


def _require_admins(tx: Tx, senders: set[tuple[str, str]]) -> None:
    """Check again, at apply, that each sender is an admin; a service is no user and stands in no table."""
    ids = sorted({user for _, user in senders})
    known = {row.id for some in in_lists(ids) for row in tx.rows(_KNOWN_USERS, {"users": some})}
    admins = {
        (row.org_id, row.user_id) for some in in_lists(ids) for row in tx.rows(_ADMINS, {"users": some})
    }
    for org, user in sorted(senders):
        if user in known and (org, user) not in admins:
            raise Rejected(
                f"user {user} is not an admin of org {org} (any more)",
                code="forbidden",
                hint="Let an admin of the org assign again, or discard.",
            )


def _require_courses(tx: Tx, keys: Iterable[tuple[str, str]]) -> None:
    wanted = list(keys)
    found = {(row.org_id, row.id) for some in in_lists(wanted) for row in tx.rows(_COURSES, {"keys": some})}
    for org, course_id in wanted:
        if (org, course_id) not in found:
            raise Rejected(
                f"course {course_id} is not known in org {org}",
                code="course_unknown",
                hint="Import the course into this org, then redrive; or discard.",
            )


def _ever_members(tx: Tx, user_ids: Iterable[str]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for some in in_lists(list(dict.fromkeys(user_ids))):
        found.update((row.org_id, row.user_id) for row in tx.rows(_EVER_MEMBERS, {"users": some}))
    return found


def _standing(tx: Tx, batch: Sequence[Applied[Any]]) -> dict[_Key, Standing]:
    """The rows there are for the learners the batch names."""
    named: dict[tuple[str, str], dict[str, None]] = {}
    for event in batch:
        named.setdefault((event.org, event.body.course_id), {}).update(dict.fromkeys(event.body.user_ids))
    found: dict[_Key, Standing] = {}
    for (org, course), those in named.items():
        for some in in_lists(list(those)):
            for row in tx.rows(_STANDING, {"org": org, "course": course, "users": some}):
                found[org, course, row.user_id] = Standing(row.position, row.event_id, row.active)
    return found


@cache
def _upsert(insert: EngineInsert) -> Insert:
    """The row of the event with the highest (position, id) wins."""
    statement = insert_all(insert, assignments)
    old, new = assignments.c, statement.excluded
    keys = {column.name for column in assignments.primary_key}
    made: Insert = statement.on_conflict_do_update(
        index_elements=list(assignments.primary_key),
        set_={name: new[name] for name in assignments.c.keys() if name not in keys},  # noqa: SIM118 - no dict
        where=or_(
            new.position > old.position, and_(new.position == old.position, new.event_id > old.event_id)
        ),
    )
    return made
