"""Progress: what learners did in lessons, as state that no order of events can change.

Percent is a maximum, completed only turns on, time spent is a set of intervals, answers are a
set. Nothing here trusts a device's clock for order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import groupby
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Insert, bindparam, case, or_, select, tuple_

from holdfast.core.errors import Rejected
from holdfast.events.kind import Applied
from holdfast.learning.orgs import require_members
from holdfast.learning.statements import EngineInsert, add_once, engine_insert, insert_all
from holdfast.store.port import Tx
from holdfast.store.schema import answers, intervals, lessons, progress

MAX_S: Final = 1e10
"""Largest number of seconds taken anywhere, about 300 years: a session's clock may count from 1970."""
GRID_LEAST: Final = 8
"""From how many lessons of one org on they are looked up as a grid."""
GRID_SLACK: Final = 4
"""How much larger than the lessons wanted the grid may be."""

_Lesson = tuple[str, str, str]
"""(org, course, lesson)"""
_Place = tuple[str, str, str, str]
"""(org, user, course, lesson)"""
_NOWHERE: Final = ("", "")
"""Before every (received at, event id)."""

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z"
_ID = re.compile(ID_PATTERN)
SEEN_IDS: Final = 4096
Id = Annotated[str, Meta(pattern=ID_PATTERN)]
"""Id of a course, lesson, question or choice."""
SeenId = Annotated[str, Meta(extra_json_schema={"pattern": ID_PATTERN})]
"""The same, in the bodies that come by the thousand: `__post_init__` checks it by `is_id`, because few
are new, and to match one costs more than to read all the rest of its event."""
Percent = Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": 100})]
Seconds = Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": MAX_S})]
# Their bounds are checked in `__post_init__`, whose words reach the sender as they stand.


@lru_cache(SEEN_IDS)
def is_id(text: str) -> bool:
    """Whether a text can be an id; remembered of the latest."""
    return _ID.match(text) is not None


class Interval(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, gc=False):
    """A stretch of a session's own clock, in seconds."""

    session_id: SeenId
    from_s: Seconds
    to_s: Seconds
    seq: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None

    def __post_init__(self) -> None:
        """Refuse what is no stretch of time, or of no session."""
        if not is_id(self.session_id):
            raise ValueError(not_ids("sessionId"))
        if not 0 <= self.from_s <= self.to_s <= MAX_S:
            raise ValueError("fromS must be 0 or more and not after toS")


class LessonProgressed(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, gc=False):
    """`lesson.progressed` v1: how far, where the learner is now, and what stretch of time it took."""

    course_id: SeenId
    lesson_id: SeenId
    percent: Percent
    position_s: Seconds | None = None
    interval: Interval | None = None

    def __post_init__(self) -> None:
        """Refuse ids that can't be one and numbers out of bounds, in words."""
        if not (is_id(self.course_id) and is_id(self.lesson_id)):
            raise ValueError(not_ids("courseId and lessonId"))
        if not 0 <= self.percent <= 100:  # noqa: PLR2004 - a percentage
            raise ValueError("percent must be 0 to 100")
        if self.position_s is not None and not 0 <= self.position_s <= MAX_S:
            raise ValueError("positionS must be 0 or more")


class LessonCompleted(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, gc=False):
    """`lesson.completed` v1."""

    course_id: SeenId
    lesson_id: SeenId

    def __post_init__(self) -> None:
        """Refuse ids that can't be one."""
        if not (is_id(self.course_id) and is_id(self.lesson_id)):
            raise ValueError(not_ids("courseId and lessonId"))


class QuizAnswered(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """`quiz.answered` v1: the choices ticked for one question."""

    course_id: Id
    lesson_id: Id
    question_id: Id
    choice_ids: Annotated[list[Id], Meta(min_length=1, max_length=20)]


def not_ids(names: str) -> str:
    """What to tell whose ids can't be one."""
    return f"{names} must be 1 to 128 letters, digits and . _ -, and begin with a letter or digit"


# Apply


def apply_progressed(tx: Tx, batch: Sequence[Applied[LessonProgressed]]) -> None:
    """Fold a batch per learner and lesson, then one upsert; intervals are added to their set.

    Raises Rejected `course_unknown`, `not_a_member`.
    """
    folded: dict[_Place, list[Any]] = {}
    spans: list[tuple[Any, ...]] = []
    for event_id, org, user, _, at, _, body in batch:
        course, lesson, percent, position_s, span = (
            body.course_id, body.lesson_id, body.percent, body.position_s, body.interval,
        )  # fmt: skip
        key = (org, user, course, lesson)
        row = folded.get(key)
        if row is None:
            row = folded[key] = [percent, 0.0, _NOWHERE, at]
        else:
            # Not by max(): a call costs more than the whole comparison, and this runs for each event.
            if percent > row[0]:  # noqa: PLR1730
                row[0] = percent
            if at > row[3]:  # noqa: PLR1730
                row[3] = at
        if position_s is not None and (place := (at, event_id)) > row[2]:
            row[1] = position_s
            row[2] = place
        if span is not None:
            spans.append((org, user, course, lesson, span.session_id, span.from_s, span.to_s))
    _require_known(tx, folded)
    tx.many(
        _progress_upsert(engine_insert(tx, progress)),
        [
            (*key, percent, False, None, position_s, f"{place[0]}|{place[1]}" if place[0] else "", last_at)
            for key, (percent, position_s, place, last_at) in folded.items()
        ],
    )
    if spans:
        add_once(tx, intervals, spans)


def apply_completed(tx: Tx, batch: Sequence[Applied[LessonCompleted]]) -> None:
    """Turn lessons on as completed, which is 100 percent too; the earliest receipt is `completed_at`.

    Raises Rejected `course_unknown`, `not_a_member`.
    """
    folded: dict[_Place, tuple[str, str]] = {}
    for event in batch:
        key = (event.org, event.user, event.body.course_id, event.body.lesson_id)
        at = event.received_at
        first, last = folded.get(key, (at, at))
        folded[key] = (min(first, at), max(last, at))
    _require_known(tx, folded)
    tx.many(
        _progress_upsert(engine_insert(tx, progress)),
        [(*key, 100.0, True, first, 0.0, "", last) for key, (first, last) in folded.items()],
    )


def apply_answered(tx: Tx, batch: Sequence[Applied[QuizAnswered]]) -> None:
    """Add answers to their set, each judged by the quiz as it stands now.

    Raises Rejected `course_unknown` (also for a question the lesson does not have), `not_a_member`.
    """
    require_members(tx, ((event.org, event.user) for event in batch))
    quizzes = _quizzes(tx, batch)
    rows: list[tuple[Any, ...]] = []
    for event in batch:
        body = event.body
        right = quizzes[event.org, body.course_id, body.lesson_id].get(body.question_id)
        if right is None:
            raise Rejected(
                f"question {body.question_id} is not in lesson {body.lesson_id} of course {body.course_id}",
                code="course_unknown",
                hint="Import the course's version that has the question, then redrive; or discard.",
            )
        correct = frozenset(body.choice_ids) == right
        given = msgspec.json.encode(body.choice_ids).decode()
        place = (event.org, event.user, body.course_id, body.lesson_id, body.question_id)
        rows.append((*place, event.id, given, correct, event.received_at))
    add_once(tx, answers, rows)


def _require_known(tx: Tx, places: Iterable[_Place]) -> None:
    """Refuse a batch in which somebody is no member, or a lesson is not known."""
    require_members(tx, [(org, user) for org, user, _, _ in places])
    wanted = dict.fromkeys((org, course, lesson) for org, _, course, lesson in places)
    found = _known_lessons(tx, wanted)
    for key in wanted:
        if key not in found:
            raise _unknown(*key)


def _known_lessons(tx: Tx, wanted: Iterable[_Lesson]) -> set[_Lesson]:
    """Which of the lessons there are.

    A list of triples costs the engine five times what two plain lists do, so an org's keys go as
    a grid of courses by lessons while that is not much larger than the keys themselves.
    """
    by_org: dict[str, list[_Lesson]] = {}
    for key in wanted:
        by_org.setdefault(key[0], []).append(key)
    found: set[_Lesson] = set()
    scattered: list[_Lesson] = []
    for org, keys in by_org.items():
        in_courses = list({key[1] for key in keys})
        ids = list({key[2] for key in keys})
        if len(keys) >= GRID_LEAST and len(in_courses) * len(ids) <= GRID_SLACK * len(keys):
            rows = tx.rows(_LESSON_GRID, {"org": org, "courses": in_courses, "ids": ids})
            found.update((org, row.course_id, row.id) for row in rows)
        else:
            scattered += keys
    if scattered:
        rows = tx.rows(_LESSONS, {"keys": scattered})
        found.update((row.org_id, row.course_id, row.id) for row in rows)
    return found


def _quizzes(tx: Tx, batch: Sequence[Applied[QuizAnswered]]) -> dict[_Lesson, dict[str, frozenset[str]]]:
    """(org, course, lesson) -> question -> its right choices."""
    wanted = dict.fromkeys((event.org, event.body.course_id, event.body.lesson_id) for event in batch)
    found = {
        (row.org_id, row.course_id, row.id): {each["id"]: frozenset(each["answer"]) for each in row.quiz}
        for row in tx.rows(_QUIZZES, {"keys": list(wanted)})
    }
    for key in wanted:
        if key not in found:
            raise _unknown(*key)
    return found


def _unknown(org: str, course_id: str, lesson_id: str) -> Rejected:
    return Rejected(
        f"lesson {lesson_id} of course {course_id} is not known in org {org}",
        code="course_unknown",
        hint="Import the course into this org, then redrive; or discard.",
    )


_LESSON_KEY = tuple_(lessons.c.org_id, lessons.c.course_id, lessons.c.id)
_LESSONS = select(lessons.c.org_id, lessons.c.course_id, lessons.c.id).where(
    _LESSON_KEY.in_(bindparam("keys", expanding=True))
)
_LESSON_GRID = select(lessons.c.course_id, lessons.c.id).where(
    lessons.c.org_id == bindparam("org"),
    lessons.c.course_id.in_(bindparam("courses", expanding=True)),
    lessons.c.id.in_(bindparam("ids", expanding=True)),
)
_QUIZZES = select(lessons.c.org_id, lessons.c.course_id, lessons.c.id, lessons.c.quiz).where(
    _LESSON_KEY.in_(bindparam("keys", expanding=True))
)


@cache
def _progress_upsert(insert: EngineInsert) -> Insert:
    """The one statement for progress, once an engine; no value of it is bound but the row's."""
    statement = insert_all(insert, progress)
    old, new = progress.c, statement.excluded
    later = new.position_key > old.position_key
    made: Insert = statement.on_conflict_do_update(
        index_elements=list(progress.primary_key),
        set_={
            "percent": case((new.percent > old.percent, new.percent), else_=old.percent),
            "completed": or_(old.completed, new.completed),
            "completed_at": case(
                (old.completed_at.is_(None), new.completed_at),
                (new.completed_at < old.completed_at, new.completed_at),
                else_=old.completed_at,
            ),
            "position_s": case((later, new.position_s), else_=old.position_s),
            "position_key": case((later, new.position_key), else_=old.position_key),
            "last_at": case((new.last_at > old.last_at, new.last_at), else_=old.last_at),
        },
    )
    return made


# Reads


class LessonProgress(msgspec.Struct, rename="camel", kw_only=True):
    """One learner's progress in one lesson; times RFC 3339 UTC."""

    course_id: str
    lesson_id: str
    percent: float
    completed: bool
    completed_at: str | None
    position_s: float
    last_at: str
    time_spent_s: float


class GivenAnswer(msgspec.Struct, rename="camel", kw_only=True):
    """The answer to a question that was received last."""

    course_id: str
    lesson_id: str
    question_id: str
    choice_ids: list[str]
    correct: bool
    received_at: str


def time_spent(rows: Iterable[tuple[str, float, float]]) -> float:
    """Seconds covered by (session, from, to) intervals: the union's length in each session, summed."""
    total: list[float] = []
    for _, spans in groupby(sorted(rows), key=lambda row: row[0]):
        reached = -math.inf
        for _, from_s, to_s in spans:
            if to_s > reached:
                total.append(to_s - max(from_s, reached))
                reached = to_s
    return math.fsum(total)


def progress_of(tx: Tx, user_id: str, course_id: str | None = None) -> list[LessonProgress]:
    """A learner's progress in a scoped transaction, by course and lesson; of one course or of all."""
    asked = select(progress).where(progress.c.user_id == user_id)
    spans = select(intervals).where(intervals.c.user_id == user_id)
    if course_id is not None:
        asked = asked.where(progress.c.course_id == course_id)
        spans = spans.where(intervals.c.course_id == course_id)
    spent: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    for row in tx.rows(spans):
        spent.setdefault((row.course_id, row.lesson_id), []).append((row.session_id, row.from_s, row.to_s))
    return [
        LessonProgress(
            course_id=row.course_id,
            lesson_id=row.lesson_id,
            percent=row.percent,
            completed=row.completed,
            completed_at=row.completed_at,
            position_s=row.position_s,
            last_at=row.last_at,
            time_spent_s=time_spent(spent.get((row.course_id, row.lesson_id), ())),
        )
        for row in tx.rows(asked.order_by(progress.c.course_id, progress.c.lesson_id))
    ]


def answers_of(tx: Tx, user_id: str, course_id: str, lesson_id: str | None = None) -> list[GivenAnswer]:
    """A learner's latest answer to each question of a course or of one lesson; scoped transactions."""
    asked = select(answers).where(answers.c.user_id == user_id, answers.c.course_id == course_id)
    if lesson_id is not None:
        asked = asked.where(answers.c.lesson_id == lesson_id)
    latest: dict[tuple[str, str], GivenAnswer] = {}
    for row in tx.rows(asked.order_by(answers.c.received_at, answers.c.event_id)):
        latest[row.lesson_id, row.question_id] = GivenAnswer(
            course_id=row.course_id,
            lesson_id=row.lesson_id,
            question_id=row.question_id,
            choice_ids=row.choice_ids,
            correct=row.correct,
            received_at=row.received_at,
        )
    return [latest[key] for key in sorted(latest)]
