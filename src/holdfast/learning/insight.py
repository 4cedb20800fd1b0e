"""What admins read of how their school is doing: the org at a glance, and one course in detail.

Whose numbers: a course's *audience* is everybody it is assigned to now or who began it. *Started*
means a row of progress, *completed* means every lesson the course has now is completed.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Select, Subquery, and_, distinct, func, select, union

from holdfast.core.errors import Rejected
from holdfast.learning.rhythm import DAYS, DayCompleted, Heard, completed_by_day, heard
from holdfast.store.port import Tx
from holdfast.store.schema import activity, assignments, courses, lessons, memberships, progress, users

ACTIVE_DAYS: Final = 7

_NUMBER = func.count().label("number")


class CourseNumbers(msgspec.Struct, rename="camel", kw_only=True):
    """One course: how many learners it is assigned to, how many started, how many completed it."""

    id: str
    title: str
    assigned: int
    started: int
    completed: int
    completion_rate: float
    """Completed, as a share of the audience; 0 when there is none."""


class DayNumbers(msgspec.Struct, rename="camel", kw_only=True):
    """One day (UTC) that has events: how many, and of how many learners."""

    day: str
    count: int
    learners: int


class Overview(msgspec.Struct, rename="camel", kw_only=True):
    """The org at a glance."""

    learners: int
    active_learners_7d: int = msgspec.field(name="activeLearners7d")
    """Learners with events or progress in the last seven days."""
    courses: list[CourseNumbers]
    events: list[DayNumbers]
    completed: list[DayCompleted]
    heard: Heard
    data_fresh_as_of: str


class LessonNumbers(msgspec.Struct, rename="camel", kw_only=True):
    """One lesson of a course."""

    id: str
    title: str
    position: int
    started: int
    completed: int
    drop_off: float
    """Of those who started the lesson before it (of the audience, for the first), the share that has
    not started this one; 0 when there was nobody to lose."""


class CourseInsight(msgspec.Struct, rename="camel", kw_only=True):
    """One course in detail."""

    id: str
    title: str
    assigned: int
    started: int
    completed: int
    completion_rate: float
    lessons: list[LessonNumbers]
    by_day: list[DayNumbers]
    completed_by_day: list[DayCompleted]
    data_fresh_as_of: str


def overview(tx: Tx, org: str, *, now_s: float, fresh_as_of: str) -> Overview:
    """The org at a glance, in a transaction scoped to it; `now_s` in seconds since 1970."""
    today = datetime.fromtimestamp(now_s, UTC).date()
    people = (
        select(func.count(distinct(memberships.c.user_id)))
        .join(users, users.c.id == memberships.c.user_id)
        .where(memberships.c.role == "learner", memberships.c.active, users.c.active)
    )
    return Overview(
        learners=tx.rows(people)[0][0],
        active_learners_7d=_active(tx, org, today),
        courses=_courses(tx, org),
        events=_days(tx, today),
        completed=completed_by_day(tx),
        heard=heard(tx, org, now_s),
        data_fresh_as_of=fresh_as_of,
    )


def course_insight(tx: Tx, org: str, course_id: str, *, now_s: float, fresh_as_of: str) -> CourseInsight:
    """One course in detail, in a transaction scoped to the org. Raises Rejected `not_found`."""
    found = _courses(tx, org, course_id)
    if not found:
        raise Rejected(f"there is no course {course_id[:128]!r} in this org", code="not_found")
    numbers = found[0]
    audience = _audience_size(tx, org, course_id)
    return CourseInsight(
        **msgspec.structs.asdict(numbers),
        lessons=_lessons(tx, org, course_id, audience),
        by_day=_days(tx, datetime.fromtimestamp(now_s, UTC).date(), course_id),
        completed_by_day=completed_by_day(tx, course_id),
        data_fresh_as_of=fresh_as_of,
    )


def _active(tx: Tx, org: str, today: date) -> int:
    """Learners active lately: by the day an event says it happened, or by when progress was received.

    A day after tomorrow is a device's clock gone wrong, not activity.
    """
    since, until = (today - timedelta(days=ACTIVE_DAYS - 1)).isoformat(), _tomorrow(today)
    by_events = select(activity.c.user_id).where(
        activity.c.org_id == org, activity.c.day >= since, activity.c.day <= until
    )
    by_progress = select(progress.c.user_id).where(progress.c.org_id == org, progress.c.last_at >= since)
    lately = union(by_events, by_progress).subquery()
    asked = (
        select(func.count(distinct(memberships.c.user_id)))
        .join(lately, lately.c.user_id == memberships.c.user_id)
        .where(memberships.c.role == "learner", memberships.c.active)
    )
    return int(tx.rows(asked)[0][0])


def _audience(org: str) -> Subquery:
    """(course, user) of everybody a course is assigned to now or who began it."""
    assigned = select(assignments.c.course_id, assignments.c.user_id).where(
        assignments.c.org_id == org, assignments.c.active
    )
    began = select(progress.c.course_id, progress.c.user_id).where(progress.c.org_id == org)
    return union(assigned, began).subquery()


def _audience_size(tx: Tx, org: str, course_id: str) -> int:
    everybody = _audience(org)
    return int(tx.rows(select(func.count()).where(everybody.c.course_id == course_id))[0][0])


def _courses(tx: Tx, org: str, course_id: str | None = None) -> list[CourseNumbers]:
    """The courses' numbers by title; of one, archived or not, or of all that are not."""
    asked = select(courses.c.id, courses.c.title).order_by(courses.c.title, courses.c.id)
    asked = asked.where(courses.c.id == course_id) if course_id else asked.where(~courses.c.archived)
    everybody = _audience(org)
    audience = _counted(tx, select(everybody.c.course_id, _NUMBER), everybody.c.course_id, course_id)
    assigned = _counted(
        tx,
        select(assignments.c.course_id, _NUMBER).where(assignments.c.active),
        assignments.c.course_id,
        course_id,
    )
    started = _counted(
        tx,
        select(progress.c.course_id, func.count(distinct(progress.c.user_id)).label("number")),
        progress.c.course_id,
        course_id,
    )
    whole = _completed_users(org)
    completed = _counted(tx, select(whole.c.course_id, _NUMBER), whole.c.course_id, course_id)
    return [
        CourseNumbers(
            id=row.id,
            title=row.title,
            assigned=assigned.get(row.id, 0),
            started=started.get(row.id, 0),
            completed=completed.get(row.id, 0),
            completion_rate=_share(completed.get(row.id, 0), audience.get(row.id, 0)),
        )
        for row in tx.rows(asked)
    ]


def _counted(tx: Tx, asked: Select[Any], by: Any, course_id: str | None) -> dict[str, int]:  # noqa: ANN401 - a column
    """Course -> count."""
    if course_id is not None:
        asked = asked.where(by == course_id)
    return {row.course_id: row.number for row in tx.rows(asked.group_by(by))}


def _completed_users(org: str) -> Subquery:
    """(course, user) of those who completed every lesson the course has now."""
    totals = (
        select(lessons.c.course_id, func.count().label("total"))
        .where(lessons.c.org_id == org)
        .group_by(lessons.c.course_id)
        .subquery()
    )
    return (
        select(progress.c.course_id, progress.c.user_id)
        .join(lessons, _same_lesson(org))
        .join(totals, totals.c.course_id == progress.c.course_id)
        .where(progress.c.org_id == org, progress.c.completed)
        .group_by(progress.c.course_id, progress.c.user_id, totals.c.total)
        .having(func.count() == totals.c.total)
        .subquery()
    )


def _same_lesson(org: str) -> Any:  # noqa: ANN401 - a condition
    return and_(
        lessons.c.org_id == org,
        lessons.c.course_id == progress.c.course_id,
        lessons.c.id == progress.c.lesson_id,
    )


def _lessons(tx: Tx, org: str, course_id: str, audience: int) -> list[LessonNumbers]:
    asked = (
        select(lessons.c.id, lessons.c.title, lessons.c.position)
        .where(lessons.c.course_id == course_id)
        .order_by(lessons.c.position, lessons.c.id)
    )
    of_course = select(progress.c.lesson_id, _NUMBER).where(progress.c.course_id == course_id)
    started = {row.lesson_id: row.number for row in tx.rows(of_course.group_by(progress.c.lesson_id))}
    completed = {
        row.lesson_id: row.number
        for row in tx.rows(of_course.where(progress.c.completed).group_by(progress.c.lesson_id))
    }
    stayed = _stayed(tx, org, course_id)
    found: list[LessonNumbers] = []
    had = audience
    for row in tx.rows(asked):
        kept = stayed.get(row.id, 0) if found else started.get(row.id, 0)
        numbers = LessonNumbers(
            id=row.id,
            title=row.title,
            position=row.position,
            started=started.get(row.id, 0),
            completed=completed.get(row.id, 0),
            drop_off=_share(had - kept, had),
        )
        found.append(numbers)
        had = numbers.started
    return found


def _stayed(tx: Tx, org: str, course_id: str) -> dict[str, int]:
    """Lesson -> how many started both it and the lesson before it."""
    before = func.lag(lessons.c.id).over(order_by=(lessons.c.position, lessons.c.id))
    chain = (
        select(lessons.c.id, before.label("before"))
        .where(lessons.c.org_id == org, lessons.c.course_id == course_id)
        .subquery()
    )
    first, second = progress.alias(), progress.alias()
    here = [each.c.org_id == org for each in (first, second)]
    asked = (
        select(chain.c.id, _NUMBER)
        .join(second, and_(second.c.course_id == course_id, second.c.lesson_id == chain.c.id))
        .join(
            first,
            and_(
                first.c.course_id == course_id,
                first.c.lesson_id == chain.c.before,
                first.c.user_id == second.c.user_id,
            ),
        )
        .where(*here)
        .group_by(chain.c.id)
    )
    return {row.id: row.number for row in tx.rows(asked)}


def _days(tx: Tx, today: date, course_id: str | None = None) -> list[DayNumbers]:
    """The last `DAYS` days of data, oldest first, without those that have none."""
    mine = activity.c.day <= _tomorrow(today)
    if course_id is not None:
        mine = and_(mine, activity.c.course_id == course_id)
    newest = tx.rows(select(func.max(activity.c.day)).where(mine))[0][0]
    if newest is None:
        return []
    # A device's clock may stand at the first day there is.
    since = date.fromordinal(max(1, date.fromisoformat(newest).toordinal() - DAYS + 1)).isoformat()
    asked = (
        select(activity.c.day)
        .add_columns(func.sum(activity.c["count"]).label("number"))
        .add_columns(func.count(distinct(activity.c.user_id)).label("learners"))
        .where(mine, activity.c.day >= since)
        .group_by(activity.c.day)
        .order_by(activity.c.day)
    )
    return [DayNumbers(day=row.day, count=int(row.number), learners=row.learners) for row in tx.rows(asked)]


def _tomorrow(today: date) -> str:
    """The last day that can be today somewhere, or on a clock that is a little ahead."""
    return (today + timedelta(days=1)).isoformat()


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
