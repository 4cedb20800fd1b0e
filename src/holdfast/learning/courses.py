"""Courses in the store: put one there whole, change it, list them for an admin.

All functions run in a transaction bound to the course's org.
"""

from __future__ import annotations

import hashlib
from itertools import count
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from holdfast.core.errors import Conflict, Rejected
from holdfast.learning.figures import Figure
from holdfast.learning.importing import MAX_ID, CourseSource, Lesson
from holdfast.store.port import Tx
from holdfast.store.schema import assets, assignments, courses, lessons


class DanglingLink(msgspec.Struct, rename="camel", kw_only=True):
    """A link that leads nowhere: in which file, what the author wrote, why it can't be followed."""

    file: str
    target: str
    why: str


class ImportReport(msgspec.Struct, rename="camel", kw_only=True):
    """What an import did.

    `replaced`: the course was there and is now another. `unchanged`: it was there just so, and
    nothing was written. `free_id`: another course has this id, so nothing was written either, because
    the caller wanted to be asked first; under this id there would be room for both.
    """

    course_id: str
    title: str
    lessons: int
    figures: int
    replaced: bool
    unchanged: bool
    free_id: str | None = None
    dangling: list[DanglingLink]
    warnings: list[str]


class CourseRow(msgspec.Struct, rename="camel", kw_only=True):
    """One course as an admin sees it; times RFC 3339 UTC."""

    id: str
    title: str
    description: str
    licence: str
    archived: bool
    lesson_count: int
    assigned_count: int
    created_at: str
    updated_at: str


class LessonHead(msgspec.Struct, rename="camel", kw_only=True):
    """One lesson of a course, without its text; `questions`: how many its quiz has."""

    id: str
    title: str
    position: int
    questions: int


class CourseDetail(msgspec.Struct, rename="camel", kw_only=True):
    """One course with its lessons in order."""

    course: CourseRow
    lessons: list[LessonHead]


def put_course(tx: Tx, source: CourseSource, org: str, now: str, *, replace: bool = True) -> ImportReport:
    """Make the org's course of that id what the source says, all or nothing.

    Lessons keep their ids, so progress stays with them; progress in a lesson that is gone stays in
    its table and comes back with the lesson. `org` must be the transaction's own; `now` is
    RFC 3339 UTC. An archived course stays archived. Without `replace`, another course of that id is
    left as it is and the report names a free id.
    """
    if tx.org != org:
        raise ValueError("a course is put into the org that the transaction is bound to")
    before = tx.rows(select(courses).where(courses.c.id == source.id))
    head = {"title": source.title, "description": source.description, "licence": source.licence}
    rows = [_lesson_row(source.id, at, lesson) for at, lesson in enumerate(source.lessons)]
    same_head = bool(before) and all(before[0]._mapping[key] == text for key, text in head.items())  # noqa: SLF001 - the public name of a row's columns
    same_text = same_head and _lesson_rows(tx, source.id) == rows
    stale, fresh = _assets_to_change(tx, source.id, source.figures)
    unchanged = same_text and not stale and not fresh
    asks = bool(before) and not unchanged and not replace
    if not unchanged and not asks:
        _put_head(tx, source.id, head, now)
        if not same_text:
            _put_lessons(tx, source.id, rows)
        _put_assets(tx, source.id, stale, fresh)
    return ImportReport(
        course_id=source.id,
        title=source.title,
        lessons=len(rows),
        figures=len(source.figures),
        replaced=bool(before) and not unchanged and not asks,
        unchanged=unchanged,
        free_id=_free_id(tx, source.id) if asks else None,
        dangling=[DanglingLink(file=d.file, target=d.target, why=d.why) for d in source.dangling],
        warnings=list(source.warnings),
    )


def create_course(tx: Tx, source: CourseSource, org: str, now: str) -> ImportReport:
    """Put a course that must be new. Raises Conflict `already_exists`."""
    if tx.rows(select(courses.c.id).where(courses.c.id == source.id)):
        raise Conflict(
            f"a course with the id {source.id!r} exists already",
            code="already_exists",
            hint="Choose another title, or import the course again to replace it.",
        )
    return put_course(tx, source, org, now)


def change_course(tx: Tx, course_id: str, changes: dict[str, Any], now: str) -> CourseRow:
    """Set some of title, description and archived. Raises Rejected `not_found`."""
    strange = changes.keys() - {"title", "description", "archived"}
    if strange:
        raise ValueError(f"a course has no {sorted(strange)} to change")
    changed = tx.run(update(courses).where(courses.c.id == course_id).values(**changes, updated_at=now))
    if not changed:
        raise no_such_course(course_id)
    return course_row(tx, course_id)


def course_rows(tx: Tx) -> list[CourseRow]:
    """All courses of the org, archived ones too, by title."""
    return _rows(tx, select(courses).order_by(courses.c.title, courses.c.id))


def course_row(tx: Tx, course_id: str) -> CourseRow:
    """One course of the org. Raises Rejected `not_found`."""
    found = _rows(tx, select(courses).where(courses.c.id == course_id))
    if not found:
        raise no_such_course(course_id)
    return found[0]


def course_detail(tx: Tx, course_id: str) -> CourseDetail:
    """One course of the org with its lessons. Raises Rejected `not_found`."""
    columns = (lessons.c.id, lessons.c.title, lessons.c.position, lessons.c.quiz)
    own = select(*columns).where(lessons.c.course_id == course_id)
    return CourseDetail(
        course=course_row(tx, course_id),
        lessons=[
            LessonHead(id=row.id, title=row.title, position=row.position, questions=len(row.quiz))
            for row in tx.rows(own.order_by(lessons.c.position, lessons.c.id))
        ],
    )


def no_such_course(course_id: str) -> Rejected:
    """The error for a course that is not there, or not for the asker: both sound the same."""
    return Rejected(
        f"there is no course {course_id!r} here, or it is not yours to see",
        code="not_found",
        hint="The list of courses names those you can open.",
    )


def _free_id(tx: Tx, taken: str) -> str:
    """An id like another that no course of the org has."""
    known = {row.id for row in tx.rows(select(courses.c.id))}
    numbered = (f"{taken[: MAX_ID - 6].rstrip('-')}-{number}" for number in count(2))
    return next(free for free in numbered if free not in known)


def _rows(tx: Tx, asked: Any) -> list[CourseRow]:  # noqa: ANN401 - a select of whichever columns
    counts = select(lessons.c.course_id, func.count().label("number")).group_by(lessons.c.course_id)
    active = select(assignments.c.course_id, func.count().label("number")).where(assignments.c.active)
    lesson_counts = {row.course_id: row.number for row in tx.rows(counts)}
    assigned_counts = {row.course_id: row.number for row in tx.rows(active.group_by(assignments.c.course_id))}
    return [
        CourseRow(
            id=row.id,
            title=row.title,
            description=row.description,
            licence=row.licence,
            archived=row.archived,
            lesson_count=lesson_counts.get(row.id, 0),
            assigned_count=assigned_counts.get(row.id, 0),
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in tx.rows(asked)
    ]


def _put_head(tx: Tx, course_id: str, head: dict[str, str], now: str) -> None:
    values = {"id": course_id, **head, "archived": False, "created_at": now, "updated_at": now}
    statement = tx.insert(courses).values(org_id=tx.org, **values)
    tx.run(statement.on_conflict_do_update(index_elements=["org_id", "id"], set_={**head, "updated_at": now}))


def _lesson_row(course_id: str, position: int, lesson: Lesson) -> dict[str, Any]:
    return {
        "course_id": course_id,
        "id": lesson.id,
        "position": position,
        "title": lesson.title,
        "source": lesson.source,
        "html": lesson.html,
        "quiz": lesson.quiz,
    }


def _lesson_rows(tx: Tx, course_id: str) -> list[dict[str, Any]]:
    """The lessons as they stand, in the shape of `_lesson_row`."""
    columns = [column for column in lessons.c if column.name != "org_id"]
    found = tx.rows(select(*columns).where(lessons.c.course_id == course_id).order_by(lessons.c.position))
    return [dict(row._mapping) for row in found]  # noqa: SLF001 - the public name of a row's columns


def _put_lessons(tx: Tx, course_id: str, rows: list[dict[str, Any]]) -> None:
    tx.run(delete(lessons).where(lessons.c.course_id == course_id))
    if rows:
        tx.run(insert(lessons), rows)


def _assets_to_change(tx: Tx, course_id: str, figures: list[Figure]) -> tuple[list[str], list[Figure]]:
    """The paths of figures that must go, and the figures that must come."""
    columns = (assets.c.path, assets.c.sha256, assets.c.content_type)
    own = select(*columns).where(assets.c.course_id == course_id)
    held = {row.path: (row.sha256, row.content_type) for row in tx.rows(own)}
    wanted = {figure.path: (_sha256(figure), figure.content_type) for figure in figures}
    stale = [path for path, said in held.items() if wanted.get(path) != said]
    return stale, [figure for figure in figures if held.get(figure.path) != wanted[figure.path]]


def _put_assets(tx: Tx, course_id: str, stale: list[str], fresh: list[Figure]) -> None:
    for path in stale:
        tx.run(delete(assets).where(assets.c.course_id == course_id, assets.c.path == path))
    for figure in fresh:
        row = {"course_id": course_id, "path": figure.path, "content_type": figure.content_type}
        tx.run(insert(assets), [{**row, "sha256": _sha256(figure), "data": figure.data}])


def _sha256(figure: Figure) -> str:
    return hashlib.sha256(figure.data).hexdigest()
