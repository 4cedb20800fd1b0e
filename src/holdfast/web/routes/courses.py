"""An admin's courses: list, write, change, import."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from holdfast.access.audit import note
from holdfast.core.errors import Rejected
from holdfast.learning import courses
from holdfast.learning.courses import CourseDetail, CourseRow, ImportReport
from holdfast.learning.importing import (
    COURSE_ID_PATTERN,
    MAX_DESCRIPTION,
    MAX_LESSON_BYTES,
    MAX_LESSONS,
    MAX_TITLE,
    CourseSource,
    Written,
    compose,
    read_course,
)
from holdfast.learning.markdown import slug
from holdfast.learning.quiz import MAX_CHOICES, MAX_QUESTIONS, MAX_TEXT
from holdfast.store.port import Tx
from holdfast.web.calls import Answer, Ask, Call, Said, Wire
from holdfast.web.guard import require_store_well

IMPORT_LIMIT_BYTES: Final = 64 << 20
CREATE_LIMIT_BYTES: Final = 4 << 20

Title = Annotated[str, Meta(min_length=1, max_length=MAX_TITLE)]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION)]
Words = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
ShortId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
Number = Annotated[int, Meta(ge=1, le=MAX_CHOICES)]


class CourseTable(Said):
    """All courses of the org."""

    items: list[CourseRow]


class NewChoice(Wire):
    """One choice with an id of its own."""

    id: ShortId
    text: Words


class NewQuestion(Wire):
    """One question. `answer`: a choice's id, its text, its number from 1, or a list of these."""

    prompt: Words
    choices: Annotated[list[Words | NewChoice], Meta(min_length=2, max_length=MAX_CHOICES)]
    answer: Number | Words | Annotated[list[Number | Words], Meta(min_length=1, max_length=MAX_CHOICES)]
    id: ShortId | None = None


class NewLesson(Wire):
    """One lesson in Markdown."""

    title: Title
    markdown: Annotated[str, Meta(max_length=MAX_LESSON_BYTES)]
    quiz: Annotated[list[NewQuestion], Meta(max_length=MAX_QUESTIONS)] | None = None


class NewCourse(Wire):
    """A course to write."""

    title: Title
    description: Description = ""
    lessons: Annotated[list[NewLesson], Meta(max_length=MAX_LESSONS)] | None = None


class CourseChange(Wire):
    """What to change; what is left out stays."""

    title: Title | None = None
    description: Description | None = None
    archived: bool | None = None


class ImportQuery(Wire):
    """`id`: the course's id, instead of the one from its own files or title.

    `existing`: what to do when another course has the id: replace it, or write nothing and ask.
    """

    id: Annotated[str, Meta(pattern=COURSE_ID_PATTERN, max_length=64)] | None = None
    existing: Literal["replace", "ask"] = "replace"


async def list_all(ask: Ask) -> CourseTable:
    """All courses of the org, archived ones too."""
    return CourseTable(items=await ask.portal.store.read(ask.my_org, courses.course_rows))


async def show(ask: Ask) -> CourseDetail:
    """One course, archived or not."""
    course_id = ask.path["course_id"]
    return await ask.portal.store.read(ask.my_org, lambda tx: courses.course_detail(tx, course_id))


async def create(ask: Ask) -> ImportReport:
    """Write a new course."""
    source = await asyncio.to_thread(_composed, ask.body)
    org, actor = ask.my_org, ask.me.user_id

    def work(tx: Tx) -> ImportReport:
        report = courses.create_course(tx, source, org, ask.portal.now())
        note(tx, actor, "course.created", report.course_id, {"lessons": report.lessons})
        return report

    return await ask.portal.store.run(org, work)


async def change(ask: Ask) -> CourseRow:
    """Change a course's title, description or whether it is archived."""
    course_id, actor = ask.path["course_id"], ask.me.user_id
    changes = {key: value for key, value in msgspec.structs.asdict(ask.body).items() if value is not None}
    if not changes:
        raise Rejected("nothing to change is named", hint="Name title, description or archived.")
    if "title" in changes:
        changes["title"] = _title(changes["title"])
    if changes.get("archived"):
        require_store_well(ask.portal)

    def work(tx: Tx) -> CourseRow:
        row = courses.change_course(tx, course_id, changes, ask.portal.now())
        note(tx, actor, "course.changed", course_id, changes)
        return row

    return await ask.portal.store.run(ask.my_org, work)


async def import_zip(ask: Ask) -> Answer:
    """Import a course from a zip; the same id again replaces it, or is asked about (200, not 201)."""
    if ask.query.existing == "replace":
        require_store_well(ask.portal)
    # In a thread: unpacking and rendering take up to seconds, which the loop must not stand still.
    source = await asyncio.to_thread(read_course, ask.body, ask.query.id)
    org, actor, replace = ask.my_org, ask.me.user_id, ask.query.existing == "replace"

    def work(tx: Tx) -> ImportReport:
        report = courses.put_course(tx, source, org, ask.portal.now(), replace=replace)
        if report.free_id is not None:
            return report
        details: dict[str, Any] = {"lessons": report.lessons, "figures": report.figures}
        details |= {"replaced": report.replaced, "unchanged": report.unchanged}
        note(tx, actor, "course.imported", report.course_id, details)
        return report

    report = await ask.portal.store.run(org, work)
    return Answer(report, status=201 if report.free_id is None else 200)


def _composed(body: NewCourse) -> CourseSource:
    """The course that a request writes; files are named as an author would name them."""
    written = [
        Written(
            file=f"{number:02d}-{slug(lesson.title)[:50] or 'lesson'}.md",
            markdown=lesson.markdown,
            title=_title(lesson.title),
            quiz=msgspec.to_builtins(lesson.quiz),
        )
        for number, lesson in enumerate(body.lessons or (), start=1)
    ]
    return compose(
        title=_title(body.title),
        description=body.description.strip(),
        licence="",
        written=written,
        figures={},
    )


def _title(text: str) -> str:
    title = text.strip()
    if not title or not title.isprintable():
        raise Rejected("a title must hold printable characters", hint="Write a title on one line.")
    return title


CALLS: Final[tuple[Call, ...]] = (
    Call(
        "GET",
        "/api/admin/courses",
        list_all,
        action="course.read.all",
        returns=CourseTable,
        etag=True,
        summary="All courses of the org.",
    ),
    Call(
        "GET",
        "/api/admin/courses/{course_id}",
        show,
        action="course.read.all",
        returns=CourseDetail,
        etag=True,
        summary="One course of the org with its lessons.",
    ),
    Call(
        "POST",
        "/api/admin/courses",
        create,
        action="course.write",
        returns=ImportReport,
        summary="Write a new course in Markdown.",
        body=NewCourse,
        status=201,
        limit_bytes=CREATE_LIMIT_BYTES,
    ),
    Call(
        "PATCH",
        "/api/admin/courses/{course_id}",
        change,
        action="course.write",
        returns=CourseRow,
        summary="Change a course's title or description, or archive it.",
        body=CourseChange,
    ),
    Call(
        "POST",
        "/api/admin/courses/import",
        import_zip,
        action="course.write",
        returns=ImportReport,
        summary="Import a course from a zip of Markdown files; the same id again replaces it or asks.",
        body=bytes,
        query=ImportQuery,
        status=201,
        also=(200,),
        reads="application/zip",
        limit_bytes=IMPORT_LIMIT_BYTES,
    ),
)
