"""What admins read of assignments: the list, and what one assigning event did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, ScalarSelect, and_, exists, func, not_, or_, select, tuple_

from holdfast.core.errors import Rejected
from holdfast.learning.orgs import in_lists
from holdfast.learning.people import named_like
from holdfast.store.port import Tx
from holdfast.store.schema import (
    assignment_results,
    assignments,
    courses,
    lessons,
    memberships,
    progress,
    users,
)


class Refused(msgspec.Struct, rename="camel", omit_defaults=True):
    """A learner an assigning event could not be applied to, and why.

    Name and address are those of people who are or were in the org; others' are not told.
    """

    user_id: str
    reason: str
    name: str | None = None
    email: str | None = None


class AssignmentResult(NamedTuple):
    """What one event did; see `apply_assigned` and `apply_unassigned`."""

    changed: int
    already: int
    refused: list[Refused]


class AssignmentItem(msgspec.Struct, rename="camel", kw_only=True):
    """One learner's assignment; times RFC 3339 UTC."""

    course_id: str
    course_title: str
    user_id: str
    user_name: str
    user_email: str
    due_at: str | None
    note: str | None
    assigned_by: str
    assigned_at: str
    lessons: int
    lessons_completed: int
    completed: bool
    """Whether every lesson of the course is completed; a course without lessons never is."""
    overdue: bool
    """Whether the due time has passed and the course is not completed."""


class AssignmentPage(msgspec.Struct, rename="camel", kw_only=True):
    """Some assignments by course and learner; `next` asks for the ones after them."""

    items: list[AssignmentItem]
    next: str | None


def result_of(tx: Tx, event_id: str) -> AssignmentResult | None:
    """What an event did, in a scoped transaction; None while it is not applied."""
    rows = tx.rows(select(assignment_results).where(assignment_results.c.event_id == event_id))
    if not rows:
        return None
    refused = named_refusals(tx, rows[0].org_id, rows[0].refused)
    return AssignmentResult(rows[0].assigned, rows[0].already, refused)


def named_refusals(tx: Tx, org: str, refused: Sequence[dict[str, str]]) -> list[Refused]:
    """Refusals as they were written down, with the names of those whom the org knows."""
    known: dict[str, Any] = {}
    for some in in_lists([each["userId"] for each in refused]):
        member = exists().where(memberships.c.org_id == org, memberships.c.user_id == users.c.id)
        rows = tx.rows(select(users.c.id, users.c.name, users.c.email).where(users.c.id.in_(some), member))
        known.update((row.id, row) for row in rows)
    return [
        Refused(each["userId"], each["reason"], who.name, who.email)
        if (who := known.get(each["userId"])) is not None
        else Refused(each["userId"], each["reason"])
        for each in refused
    ]


def course_exists(tx: Tx, course_id: str) -> bool:
    """Whether the transaction's org has the course."""
    return bool(tx.rows(select(courses.c.id).where(courses.c.id == course_id)))


class Which(NamedTuple):
    """Which assignments to list; None leaves a thing open. `search` is part of a name or address."""

    course_id: str | None = None
    user_id: str | None = None
    search: str | None = None
    overdue: bool | None = None
    """Late and not completed, or all others."""


def list_assignments(
    tx: Tx, org: str, which: Which, *, now: str, limit: int, after: str | None = None
) -> AssignmentPage:
    """Active assignments of an org, by course and the learner's address, in a transaction scoped to it.

    `now` is RFC 3339 UTC; `after` is a page's `next`. Raises Rejected for another one.
    """
    key = (assignments.c.course_id, users.c.email)
    total, done = _lesson_counts(org)
    late = and_(assignments.c.due_at.is_not(None), assignments.c.due_at < now, or_(total == 0, done < total))
    asked = (
        select(assignments, courses.c.title, users.c.name, users.c.email)
        .add_columns(total.label("total"), done.label("done"))
        .join(courses, and_(courses.c.org_id == org, courses.c.id == assignments.c.course_id))
        .join(users, users.c.id == assignments.c.user_id)
        .where(assignments.c.active)
        .order_by(*key)
        .limit(limit + 1)
    )
    if which.course_id is not None:
        asked = asked.where(assignments.c.course_id == which.course_id)
    if which.user_id is not None:
        asked = asked.where(assignments.c.user_id == which.user_id)
    if which.search:
        asked = asked.where(named_like(which.search))
    if which.overdue is not None:
        asked = asked.where(late if which.overdue else not_(late))
    if after is not None:
        asked = asked.where(tuple_(*key) > _read_after(after))
    rows = tx.rows(asked)
    items = [_item(row, now) for row in rows[:limit]]
    more = len(rows) > limit
    return AssignmentPage(items=items, next=f"{items[-1].course_id}/{items[-1].user_email}" if more else None)


def _lesson_counts(org: str) -> tuple[ScalarSelect[int], ScalarSelect[int]]:
    """How many lessons an assignment's course has, and how many of them its learner completed."""
    in_course = and_(
        assignments.c.org_id == org, lessons.c.org_id == org, lessons.c.course_id == assignments.c.course_id
    )
    total = select(func.count()).select_from(lessons).where(in_course)
    done = (
        select(func.count())
        .select_from(lessons)
        .join(
            progress,
            and_(
                progress.c.org_id == org,
                progress.c.user_id == assignments.c.user_id,
                progress.c.course_id == lessons.c.course_id,
                progress.c.lesson_id == lessons.c.id,
            ),
        )
        .where(in_course, progress.c.completed)
    )
    return total.correlate(assignments).scalar_subquery(), done.correlate(assignments).scalar_subquery()


def _item(row: Row[Any], now: str) -> AssignmentItem:
    completed = 0 < row.total == row.done
    return AssignmentItem(
        course_id=row.course_id,
        course_title=row.title,
        user_id=row.user_id,
        user_name=row.name,
        user_email=row.email,
        due_at=row.due_at,
        note=row.note,
        assigned_by=row.assigned_by,
        assigned_at=row.assigned_at,
        lessons=row.total,
        lessons_completed=row.done,
        completed=completed,
        overdue=row.due_at is not None and row.due_at < now and not completed,
    )


def _read_after(after: str) -> tuple[str, str]:
    course_id, slash, email = after.partition("/")
    if not slash:
        raise Rejected("after is not one of a page's next", hint="Leave it out to begin anew.")
    return course_id, email
