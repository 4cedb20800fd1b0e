"""Courses in the store: put one there whole, change it, list them for an admin.

All functions run in a transaction bound to the course's org.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from holdfast.core.errors import Conflict, Rejected
from holdfast.learning.figures import Figure
from holdfast.learning.importing import CourseSource, Lesson
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
    nothing was written.
    """

    course_id: str
    title: str
    lessons: int
    figures: int
    replaced: bool
    unchanged: bool
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


def put_course(tx: Tx, source: CourseSource, org: str, now: str) -> ImportReport:
    """Make the org's course of that id what the source says, all or nothing.

    Lessons keep their ids, so progress stays with them; progress in a lesson that is gone stays in
    its table and comes back with the lesson. `org` must be the transaction's own; `now` is
    RFC 3339 UTC. An archived course stays archived.
    """
    if tx.org != org:
        raise ValueError("a course is put into the org that the transaction is bound to")
    before = tx.rows(select(courses).where(courses.c.id == source.id))
    head = {"title": source.title, "description": source.description, "licence": source.licence}
    rows = [_lesson_row(source.id, at, lesson) for at, lesson in enumerate(source.lessons)]
    same_head = bool(before) and all(before[0]._mapping[key] == text for key, text in head.items())  # noqa: SLF001 - the public name of a row's columns
    unchanged = same_head and _lesson_rows(tx, source.id) == rows
    if not unchanged:
        _put_head(tx, source.id, head, now)
        _put_lessons(tx, source.id, rows)
    assets_changed = _put_assets(tx, source.id, source.figures)
    if unchanged and assets_changed:
        unchanged = False
        _put_head(tx, source.id, head, now)
    return ImportReport(
        course_id=source.id,
        title=source.title,
        lessons=len(rows),
        figures=len(source.figures),
        replaced=bool(before) and not unchanged,
        unchanged=unchanged,
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


def no_such_course(course_id: str) -> Rejected:
    """The error for a course that is not there, or not for the asker: both sound the same."""
    return Rejected(
        f"there is no course {course_id!r} here, or it is not yours to see",
        code="not_found",
        hint="The list of courses names those you can open.",
    )


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


def _put_assets(tx: Tx, course_id: str, figures: list[Figure]) -> bool:
    """Make the course's figures these; whether anything was written."""
    own = assets.c.course_id == course_id
    columns = (assets.c.path, assets.c.sha256, assets.c.content_type)
    held = {row.path: (row.sha256, row.content_type) for row in tx.rows(select(*columns).where(own))}
    wanted = {
        figure.path: (hashlib.sha256(figure.data).hexdigest(), figure.content_type) for figure in figures
    }
    stale = [path for path, said in held.items() if wanted.get(path) != said]
    fresh = [figure for figure in figures if held.get(figure.path) != wanted[figure.path]]
    for path in stale:
        tx.run(delete(assets).where(own, assets.c.path == path))
    for figure in fresh:
        row = {"course_id": course_id, "path": figure.path, "content_type": figure.content_type}
        tx.run(insert(assets), [{**row, "sha256": wanted[figure.path][0], "data": figure.data}])
    return bool(stale or fresh)
