"""The kinds of event a school knows: the list and nothing else."""

from __future__ import annotations

from holdfast.events import erasure, loss
from holdfast.events.kind import Kind
from holdfast.learning import analytics, assignments, progress
from holdfast.learning.scrub import Scrubber


def kinds(scrubber: Scrubber) -> tuple[Kind, ...]:
    """Every kind, one line each."""
    send = "event.send"
    assign = "assignment.send"
    many = 1 << 20  # 5,000 learners in one event
    # fmt: off
    return (
        Kind("lesson.progressed", 1, progress.LessonProgressed, "progress", "progress", send, progress.apply_progressed, summary="How far a learner is in a lesson, and the time it took."),  # noqa: E501
        Kind("lesson.completed", 1, progress.LessonCompleted, "progress", "progress", send, progress.apply_completed, summary="A learner finished a lesson."),  # noqa: E501
        Kind("quiz.answered", 1, progress.QuizAnswered, "progress", "progress", send, progress.apply_answered, summary="A learner answered a question."),  # noqa: E501
        Kind("analytics.recorded", 1, analytics.AnalyticsRecorded, "analytics", "analytics", send, analytics.apply_recorded, scrubber.scrub, "Something happened on a page; personal values are scrubbed.", repeats=False),  # noqa: E501
        Kind("course.assigned", 1, assignments.CourseAssigned, "admin", "admin", assign, assignments.apply_assigned, summary="An admin gave learners a course to do.", limit_bytes=many, recast=assignments.as_applied, without=assignments.without_assigned),  # noqa: E501
        Kind("course.unassigned", 1, assignments.CourseUnassigned, "admin", "admin", assign, assignments.apply_unassigned, summary="An admin took a course from learners.", limit_bytes=many, recast=assignments.as_applied, without=assignments.without_unassigned),  # noqa: E501
    )
    # fmt: on


def every_kind(scrubber: Scrubber) -> tuple[Kind, ...]:
    """The school's kinds, and those that the spine itself brings."""
    return (*kinds(scrubber), loss.KIND, erasure.ERASED, erasure.RECORD)
