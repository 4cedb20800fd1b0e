"""What learners read: their courses, a course's lessons, one lesson, a figure.

A learner sees the courses that are assigned to them and not archived; who may see all of the org's
(admins) sees the others too, with `assigned` false. Anything else is `not_found`, whether it
exists or not: the answer must not tell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row, and_, case, func, select

from holdfast.core.errors import Rejected
from holdfast.learning.courses import no_such_course
from holdfast.learning.progress import LessonProgress, answers_of, progress_of
from holdfast.learning.quiz import Question
from holdfast.store.port import Tx
from holdfast.store.schema import assets, assignments, courses, lessons, progress


class Reader(NamedTuple):
    """Who reads, and whether all of the org's courses are theirs to see."""

    user_id: str
    sees_all: bool


class CourseCard(msgspec.Struct, rename="camel", kw_only=True):
    """One course in a learner's list. `percent` is the mean over its lessons."""

    id: str
    title: str
    description: str
    lesson_count: int
    completed_lessons: int
    percent: float
    assigned: bool
    due_at: str | None
    note: str | None


class LessonRow(msgspec.Struct, rename="camel", kw_only=True):
    """One lesson in a course's list."""

    id: str
    title: str
    position: int
    percent: float
    completed: bool
    has_quiz: bool


class CoursePage(msgspec.Struct, rename="camel", kw_only=True):
    """One course with its lessons in order."""

    id: str
    title: str
    description: str
    licence: str
    assigned: bool
    due_at: str | None
    note: str | None
    lessons: list[LessonRow]


class Choice(msgspec.Struct, rename="camel", kw_only=True):
    """One choice of a question."""

    id: str
    text: str


class AskedQuestion(msgspec.Struct, rename="camel", kw_only=True):
    """A question as the learner gets it: without its answer. `multiple`: more than one is right."""

    id: str
    prompt: str
    choices: list[Choice]
    multiple: bool


class AskedQuiz(msgspec.Struct, rename="camel", kw_only=True):
    """A lesson's questions."""

    questions: list[AskedQuestion]


class Reached(msgspec.Struct, rename="camel", kw_only=True):
    """How far the learner is in a lesson."""

    percent: float
    completed: bool
    position_s: float


class Answered(msgspec.Struct, rename="camel", kw_only=True):
    """The learner's latest answer to a question."""

    question_id: str
    choice_ids: list[str]
    correct: bool


class LessonPage(msgspec.Struct, rename="camel", kw_only=True):
    """One lesson: `html` is safe to show as it stands."""

    id: str
    course_id: str
    title: str
    position: int
    html: str
    quiz: AskedQuiz | None
    progress: Reached
    answers: list[Answered]
    previous_lesson_id: str | None
    next_lesson_id: str | None


class Asset(NamedTuple):
    """One figure's bytes."""

    content_type: str
    sha256: str
    data: bytes


def my_courses(tx: Tx, reader: Reader) -> list[CourseCard]:
    """The reader's courses: those assigned to them first, by due time, then by title."""
    own = {row.course_id: row for row in tx.rows(_assigned(reader.user_id))}
    counts = _counts(tx)
    reached = _reached(tx, reader.user_id)
    cards: list[CourseCard] = []
    for row in tx.rows(select(courses).where(courses.c.archived.is_(False))):
        given = own.get(row.id)
        if given is None and not reader.sees_all:
            continue
        count = counts.get(row.id, 0)
        percents, completed = reached.get(row.id, (0.0, 0))
        cards.append(
            CourseCard(
                id=row.id,
                title=row.title,
                description=row.description,
                lesson_count=count,
                completed_lessons=completed,
                percent=round(percents / count, 1) if count else 0.0,
                assigned=given is not None,
                due_at=given.due_at if given else None,
                note=given.note if given else None,
            )
        )
    return sorted(cards, key=lambda card: (not card.assigned, card.due_at or "~", card.title, card.id))


def course_for(tx: Tx, reader: Reader, course_id: str) -> CoursePage:
    """One course. Raises Rejected `not_found`."""
    course, given = _readable(tx, reader, course_id)
    reached = _progress(tx, reader, course_id)
    columns = (lessons.c.id, lessons.c.title, lessons.c.position, lessons.c.quiz)
    found = tx.rows(select(*columns).where(lessons.c.course_id == course_id).order_by(lessons.c.position))
    return CoursePage(
        id=course.id,
        title=course.title,
        description=course.description,
        licence=course.licence,
        assigned=given is not None,
        due_at=given.due_at if given else None,
        note=given.note if given else None,
        lessons=[
            LessonRow(
                id=row.id,
                title=row.title,
                position=row.position,
                percent=reached[row.id].percent if row.id in reached else 0.0,
                completed=row.id in reached and reached[row.id].completed,
                has_quiz=bool(row.quiz),
            )
            for row in found
        ],
    )


def lesson_for(tx: Tx, reader: Reader, course_id: str, lesson_id: str) -> LessonPage:
    """One lesson. Raises Rejected `not_found`."""
    _readable(tx, reader, course_id)
    in_course = lessons.c.course_id == course_id
    found = tx.rows(select(lessons).where(in_course, lessons.c.id == lesson_id))
    if not found:
        raise Rejected(
            f"there is no lesson {lesson_id!r} in this course",
            code="not_found",
            hint="The course's page lists its lessons; the course may have been imported anew.",
        )
    lesson = found[0]
    order = [row.id for row in tx.rows(select(lessons.c.id).where(in_course).order_by(lessons.c.position))]
    at = order.index(lesson_id)
    mine = _progress(tx, reader, course_id).get(lesson_id)
    asked = {question["id"] for question in lesson.quiz}
    return LessonPage(
        id=lesson.id,
        course_id=course_id,
        title=lesson.title,
        position=lesson.position,
        html=lesson.html,
        quiz=AskedQuiz(questions=[_asked(question) for question in lesson.quiz]) if lesson.quiz else None,
        progress=Reached(
            percent=mine.percent if mine else 0.0,
            completed=mine is not None and mine.completed,
            position_s=mine.position_s if mine else 0.0,
        ),
        answers=[
            Answered(question_id=each.question_id, choice_ids=each.choice_ids, correct=each.correct)
            for each in answers_of(tx, reader.user_id, course_id, lesson_id)
            if each.question_id in asked
        ],
        previous_lesson_id=order[at - 1] if at else None,
        next_lesson_id=order[at + 1] if at + 1 < len(order) else None,
    )


def asset_for(tx: Tx, reader: Reader, course_id: str, path: str) -> Asset:
    """One figure. Raises Rejected `not_found`."""
    _readable(tx, reader, course_id)
    found = tx.rows(select(assets).where(assets.c.course_id == course_id, assets.c.path == path))
    if not found:
        raise Rejected(f"there is no figure {path[:200]!r} in this course", code="not_found")
    return Asset(found[0].content_type, found[0].sha256, found[0].data)


def _assigned(user_id: str) -> Any:  # noqa: ANN401 - a select
    return select(assignments).where(assignments.c.user_id == user_id, assignments.c.active)


def _readable(tx: Tx, reader: Reader, course_id: str) -> tuple[Row[Any], Row[Any] | None]:
    """The course's row and the reader's assignment; not_found unless they may read it."""
    found = tx.rows(select(courses).where(courses.c.id == course_id))
    given = tx.rows(_assigned(reader.user_id).where(assignments.c.course_id == course_id)) if found else ()
    if not found or not (reader.sees_all or (given and not found[0].archived)):
        raise no_such_course(course_id)
    return found[0], given[0] if given else None


def _progress(tx: Tx, reader: Reader, course_id: str) -> dict[str, LessonProgress]:
    return {each.lesson_id: each for each in progress_of(tx, reader.user_id, course_id)}


def _counts(tx: Tx) -> dict[str, int]:
    """Course -> number of lessons."""
    asked = select(lessons.c.course_id, func.count().label("number")).group_by(lessons.c.course_id)
    return {row.course_id: row.number for row in tx.rows(asked)}


def _reached(tx: Tx, user_id: str) -> dict[str, tuple[float, int]]:
    """Course -> sum of the learner's percents and number of completed lessons, of lessons that exist."""
    same_lesson = and_(
        lessons.c.org_id == progress.c.org_id,
        lessons.c.course_id == progress.c.course_id,
        lessons.c.id == progress.c.lesson_id,
    )
    asked = (
        select(
            progress.c.course_id,
            func.sum(progress.c.percent).label("percents"),
            func.sum(case((progress.c.completed, 1), else_=0)).label("completed"),
        )
        .select_from(progress.join(lessons, same_lesson))
        .where(progress.c.user_id == user_id)
        .group_by(progress.c.course_id)
    )
    return {row.course_id: (float(row.percents), int(row.completed)) for row in tx.rows(asked)}


def _asked(question: Question) -> AskedQuestion:
    return AskedQuestion(
        id=question["id"],
        prompt=question["prompt"],
        choices=[Choice(id=choice["id"], text=choice["text"]) for choice in question["choices"]],
        multiple=len(question["answer"]) > 1,
    )
