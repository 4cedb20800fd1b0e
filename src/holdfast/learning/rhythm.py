"""When a school's work arrives: lessons completed by day, and how long ago each learner was heard of."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import msgspec
from sqlalchemy import and_, case, distinct, func, select, union_all

from holdfast.core.clock import rfc3339
from holdfast.store.port import Tx
from holdfast.store.schema import activity, memberships, progress, users

DAYS: Final = 30
"""How many days are shown, ending with the newest that has anything."""
_DAY_S: Final = 86_400.0
_RECENT: Final = {"last_day": 1, "last_week": 7, "last_month": 30}
"""Within how many days a learner counts as heard of, the nearest first."""


class DayCompleted(msgspec.Struct, rename="camel", kw_only=True):
    """One day (UTC) on which lessons were completed, as received: how many, and by how many learners."""

    day: str
    lessons: int
    learners: int


class Heard(msgspec.Struct, rename="camel", kw_only=True):
    """The org's active learners by when the last of their work was received; each counts once."""

    last_day: int = 0
    last_week: int = 0
    """In the last seven days, but not in the last one."""
    last_month: int = 0
    """In the last 30 days, but not in the last seven."""
    earlier: int = 0
    never: int = 0


def completed_by_day(tx: Tx, course_id: str | None = None) -> list[DayCompleted]:
    """The last `DAYS` days on which lessons were completed, oldest first, without days that have none.

    In a transaction scoped to an org. Completions are dated by their receipt, so no device's clock
    has a say in them.
    """
    done = and_(progress.c.completed, progress.c.completed_at.is_not(None))
    if course_id is not None:
        done = and_(done, progress.c.course_id == course_id)
    newest = tx.rows(select(func.max(progress.c.completed_at)).where(done))[0][0]
    if newest is None:
        return []
    since = (date.fromisoformat(newest[:10]) - timedelta(days=DAYS - 1)).isoformat()
    day = func.substr(progress.c.completed_at, 1, 10).label("day")
    asked = (
        select(day, func.count().label("number"), func.count(distinct(progress.c.user_id)).label("learners"))
        .where(done, progress.c.completed_at >= since)
        .group_by(day)
        .order_by(day)
    )
    return [DayCompleted(day=row.day, lessons=row.number, learners=row.learners) for row in tx.rows(asked)]


def heard(tx: Tx, org: str, now_s: float) -> Heard:
    """When each active learner was last heard of, in a transaction scoped to the org."""
    seen = union_all(
        *(
            select(table.c.user_id, func.max(table.c.last_at).label("at"))
            .where(table.c.org_id == org)
            .group_by(table.c.user_id)
            for table in (progress, activity)
        )
    ).subquery()
    last = select(seen.c.user_id, func.max(seen.c.at).label("at")).group_by(seen.c.user_id).subquery()
    bounds = [(rfc3339(now_s - days * _DAY_S), name) for name, days in _RECENT.items()]
    bucket = case(
        *((last.c.at >= bound, name) for bound, name in bounds),
        (last.c.at.is_not(None), "earlier"),
        else_="never",
    ).label("bucket")
    asked = (
        select(bucket, func.count().label("number"))
        .select_from(memberships)
        .join(users, users.c.id == memberships.c.user_id)
        .outerjoin(last, last.c.user_id == memberships.c.user_id)
        .where(memberships.c.role == "learner", memberships.c.active, users.c.active)
        .group_by(bucket)
    )
    return Heard(**{row.bucket: row.number for row in tx.rows(asked)})
