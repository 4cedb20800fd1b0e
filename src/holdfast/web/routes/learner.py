"""What learners read: courses, lessons, figures, their own progress."""

from __future__ import annotations

from typing import Final

from holdfast.learning import lessons
from holdfast.learning.lessons import CourseCard, CoursePage, LessonPage, Reader
from holdfast.learning.progress import LessonProgress, progress_of
from holdfast.web.calls import Answer, Ask, Call, Said

SEES_ALL: Final = frozenset({"admin", "service"})

ASSET_HEADERS: Final = {
    # An SVG opened by its own address is a document: sandboxed it can't run what slipped through.
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Private: who may read a course is decided per person, so no shared cache may answer.
    "Cache-Control": "private, max-age=3600, stale-while-revalidate=86400",
    # On a shared device the browser's own cache must not hand one learner's figure to the next.
    "Vary": "Cookie",
}


class CourseList(Said):
    """The reader's courses."""

    items: list[CourseCard]


class ProgressList(Said):
    """The reader's progress in every lesson they began."""

    items: list[LessonProgress]


def reader_of(ask: Ask) -> Reader:
    """Who reads, as the proven roles in the request's own org say."""
    roles = ask.me.roles_in(ask.my_org)
    return Reader(ask.me.user_id, sees_all=not SEES_ALL.isdisjoint(roles))


async def list_courses(ask: Ask) -> CourseList:
    """The courses the reader may open."""
    reader = reader_of(ask)
    return CourseList(
        items=await ask.portal.store.read(ask.my_org, lambda tx: lessons.my_courses(tx, reader))
    )


async def show_course(ask: Ask) -> CoursePage:
    """One course with its lessons."""
    reader, course_id = reader_of(ask), ask.path["course_id"]
    return await ask.portal.store.read(ask.my_org, lambda tx: lessons.course_for(tx, reader, course_id))


async def show_lesson(ask: Ask) -> LessonPage:
    """One lesson, its quiz without the answers."""
    reader, course_id, lesson_id = reader_of(ask), ask.path["course_id"], ask.path["lesson_id"]
    return await ask.portal.store.read(
        ask.my_org, lambda tx: lessons.lesson_for(tx, reader, course_id, lesson_id)
    )


async def list_progress(ask: Ask) -> ProgressList:
    """The reader's own progress."""
    user_id = ask.me.user_id
    return ProgressList(items=await ask.portal.store.read(ask.my_org, lambda tx: progress_of(tx, user_id)))


async def show_asset(ask: Ask) -> Answer:
    """One figure's bytes, or 304 when the browser has them."""
    reader, course_id, path = reader_of(ask), ask.path["course_id"], ask.path["path"]
    asset = await ask.portal.store.read(ask.my_org, lambda tx: lessons.asset_for(tx, reader, course_id, path))
    etag = f'"{asset.sha256}"'
    headers = {**ASSET_HEADERS, "ETag": etag, "X-Holdfast-Principal": ask.me.mark}
    if _holds(ask.headers.get("if-none-match", ""), etag):
        return Answer(None, status=304, headers=headers)
    return Answer(asset.data, media_type=asset.content_type, headers=headers)


def _holds(if_none_match: str, etag: str) -> bool:
    """Whether the header names the tag; a proxy that compressed may have made it weak."""
    named = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in named or "*" in named


CALLS: Final[tuple[Call, ...]] = (
    Call(
        "GET",
        "/api/client/courses",
        list_courses,
        action="course.read",
        returns=CourseList,
        summary="The courses you may open, with your progress.",
        etag=True,
    ),
    Call(
        "GET",
        "/api/client/courses/{course_id}",
        show_course,
        action="course.read",
        returns=CoursePage,
        summary="One course with its lessons.",
        etag=True,
    ),
    Call(
        "GET",
        "/api/client/courses/{course_id}/lessons/{lesson_id}",
        show_lesson,
        action="course.read",
        returns=LessonPage,
        summary="One lesson as safe HTML, its quiz without answers, and how far you are.",
        etag=True,
    ),
    Call(
        "GET",
        "/api/client/progress",
        list_progress,
        action="course.read",
        returns=ProgressList,
        summary="Your own progress in every lesson you began.",
        etag=True,
    ),
    Call(
        "GET",
        "/api/client/courses/{course_id}/assets/{path:path}",
        show_asset,
        action="course.read",
        returns=None,
        summary="One figure of a course.",
        gives=("application/octet-stream",),
    ),
)
