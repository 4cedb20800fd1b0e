"""What events fold into, and the ground they need: for proofs and for rebuilding an org's tables.

A proof folds the journal once more in a store of its own. The people, courses and lessons that apply
functions look for are copied there; whoever has left since is let in again, and everybody may do what
admins may, for the event was applied.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Table, insert, select

from holdfast.events.refold import Fold
from holdfast.store.port import Tx
from holdfast.store.schema import (
    activity,
    analytics_events,
    answers,
    assignments,
    courses,
    devices,
    intervals,
    lessons,
    loss_receipts,
    memberships,
    orgs,
    progress,
    users,
)

FOLDS: Final = (
    Fold(progress),
    Fold(intervals),
    # Whether an answer was right is judged by the quiz as it stood when the answer came.
    Fold(answers, without=("correct",)),
    Fold(assignments),
    Fold(analytics_events),
    Fold(activity),
    Fold(loss_receipts),
    Fold(devices),
)
"""Tables that the events alone make, and the columns that something else decides as well."""

_PLACES: Final = (progress, intervals, answers)


def lay_ground(live: Tx, shadow: Tx, org: str | None) -> None:
    """Copy what apply functions look for, of one org or of all."""
    _copy(live, shadow, orgs, None)
    _copy(live, shadow, users, None, active=True)
    _lay_members(live, shadow, org)
    _copy(live, shadow, courses, org)
    _copy(live, shadow, lessons, org, source="", html="")
    _lay_lost_lessons(live, shadow, org)


def _copy(live: Tx, shadow: Tx, table: Table, org: str | None, **changed: Any) -> None:  # noqa: ANN401
    asked = select(table)
    if org is not None:
        asked = asked.where(table.c.org_id == org)
    rows = [{**row._mapping, **changed} for row in live.rows(asked)]  # noqa: SLF001 - the public name
    if rows:
        shadow.run(insert(table), rows)


def _lay_members(live: Tx, shadow: Tx, org: str | None) -> None:
    """Each member as an admin too: whoever assigned may be none any more, and nothing is left of it."""
    _copy(live, shadow, memberships, org, active=True)
    found = shadow.rows(select(memberships))
    admins = {(row.org_id, row.user_id) for row in found if row.role == "admin"}
    rest = {(row.org_id, row.user_id) for row in found} - admins
    rows = [
        {"org_id": each[0], "user_id": each[1], "role": "admin", "active": True, "created_at": ""}
        for each in sorted(rest)
    ]
    if rows:
        shadow.run(insert(memberships), rows)


def _lay_lost_lessons(live: Tx, shadow: Tx, org: str | None) -> None:
    """Lessons that were taken out of their courses since: what was done in them still counts."""
    there = {(row.org_id, row.course_id, row.id) for row in shadow.rows(select(lessons))}
    with_course = {(row.org_id, row.id) for row in shadow.rows(select(courses.c.org_id, courses.c.id))}
    lost: set[tuple[str, str, str]] = set()
    for table in _PLACES:
        asked = select(table.c.org_id, table.c.course_id, table.c.lesson_id).distinct()
        if org is not None:
            asked = asked.where(table.c.org_id == org)
        lost |= {(row.org_id, row.course_id, row.lesson_id) for row in live.rows(asked)} - there
    gone = select(assignments.c.org_id, assignments.c.course_id).distinct()
    if org is not None:
        gone = gone.where(assignments.c.org_id == org)
    named = {(each[0], each[1]) for each in lost} | {(row.org_id, row.course_id) for row in live.rows(gone)}
    for key in sorted(named - with_course):
        about = {"description": "", "licence": "", "archived": True, "created_at": "", "updated_at": ""}
        shadow.run(insert(courses).values(org_id=key[0], id=key[1], title="", **about))
    rows = [
        {"org_id": key[0], "course_id": key[1], "id": key[2], "position": 0, "title": "", "source": ""}
        | {"html": "", "quiz": []}
        for key in sorted(lost)
    ]
    if rows:
        shadow.run(insert(lessons), rows)
