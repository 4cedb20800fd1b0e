"""Dead letters in plain words, for those whose work it is: what it was, why it does not count, what now."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Row, and_, exists, select

from holdfast.events.entry import UNREADABLE
from holdfast.store.port import Tx
from holdfast.store.schema import courses, dead_letters, lessons, memberships, users

_DID: Final = {
    "lesson.progressed": "Progress in a lesson",
    "lesson.completed": "A finished lesson",
    "quiz.answered": "An answer to a question",
    "analytics.recorded": "A visit to a page",
    "course.assigned": "Giving learners a course",
    "course.unassigned": "Taking a course from learners",
    "loss.reported": "A report of lost work",
}
_WHY: Final = {
    "course_unknown": "The course or lesson is not in your school any more, or not yet.",
    "not_a_member": "The person was not a member of the school when it arrived.",
    "forbidden": "The person was not allowed to do this any more when it arrived.",
    "conflict": "Something else arrived under the same number before, and that one counts.",
    "unknown_kind": "A newer version of the page sent it than the portal knows.",
}
_WHY_ELSE: Final = "The portal could not work with it."
_NOW: Final = {
    "parked": "It is kept, and the people who run the portal decide about it; you need not do it again.",
    "exhausted": "It is kept. It was tried again and still does not fit; ask the people who run the portal.",
    "redriven": "It counts now.",
    "discarded": "It was looked at and does not count.",
}


class OwnLetter(msgspec.Struct, rename="camel"):
    """One piece of work that could not be counted. Times RFC 3339 UTC."""

    id: str
    what: str
    course: str | None
    lesson: str | None
    user_id: str
    user_name: str
    occurred_at: str
    received_at: str
    status: str
    why: str
    now: str
    settled_at: str | None
    settled_why: str | None


class _Place(msgspec.Struct, rename="camel"):
    course_id: str | None = None
    lesson_id: str | None = None


class _Record(msgspec.Struct, rename="camel"):
    occurred_at: str
    body: _Place


def own_letters(tx: Tx, user: str | None, limit: int = 100) -> list[OwnLetter]:
    """The newest letters of one person, or of all in the org; in a transaction scoped to it.

    `user_name` is empty for who never was a member of the org, even where another org knows them.
    """
    # A service may name anybody: who is not the org's own has no name here.
    member = exists().where(
        memberships.c.org_id == dead_letters.c.org_id, memberships.c.user_id == users.c.id
    )
    found = (
        select(dead_letters, users.c.name)
        .join_from(dead_letters, users, and_(users.c.id == dead_letters.c.user_id, member), isouter=True)
        .order_by(dead_letters.c.received_at.desc(), dead_letters.c.event_id)
        .limit(limit)
    )
    if user is not None:
        found = found.where(dead_letters.c.user_id == user)
    rows = tx.rows(found)
    titles = _titles(tx) if rows else {}
    return [_letter(row, titles) for row in rows]


def _titles(tx: Tx) -> dict[tuple[str, str | None], str]:
    found: dict[tuple[str, str | None], str] = {}
    found.update({(row.id, None): row.title for row in tx.rows(select(courses.c.id, courses.c.title))})
    named = select(lessons.c.course_id, lessons.c.id, lessons.c.title)
    found.update({(row.course_id, row.id): row.title for row in tx.rows(named)})
    return found


def _letter(row: Row[Any], titles: dict[tuple[str, str | None], str]) -> OwnLetter:
    try:
        record = msgspec.json.decode(row.record, type=_Record)
    except UNREADABLE:
        record = _Record(row.received_at, _Place())
    course, lesson = record.body.course_id, record.body.lesson_id
    return OwnLetter(
        id=f"{row.event_id}.{row.digest:08x}",
        what=_DID.get(row.kind, "A piece of work"),
        course=titles.get((course, None), course) if course else None,
        lesson=titles.get((course, lesson), lesson) if course and lesson else None,
        user_id=row.user_id,
        user_name=row.name or "",
        occurred_at=record.occurred_at,
        received_at=row.received_at,
        status=row.status,
        why=_WHY.get(row.code, _WHY_ELSE),
        now=_NOW[row.status],
        settled_at=row.settled_at,
        settled_why=row.settled_why if row.status == "discarded" else None,
    )
