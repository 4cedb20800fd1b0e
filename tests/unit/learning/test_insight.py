"""What admins read: numbers worked out by hand on a tiny school.

Course knots (lessons one, two, three), org tide:

| learner | assigned | one  | two  | three |
|---------|----------|------|------|-------|
| ada     | yes      | done | done | done  |
| abe     | yes      | done | half |       |
| amy     | yes      |      |      |       |
| ben     | no       | half |      | half  |
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, update

from holdfast.core.clock import parse_rfc3339
from holdfast.core.errors import Rejected
from holdfast.learning.analytics import apply_recorded
from holdfast.learning.assignments import apply_assigned, apply_unassigned
from holdfast.learning.insight import (
    CourseNumbers,
    DayNumbers,
    LessonNumbers,
    course_insight,
    overview,
)
from holdfast.learning.insight_tables import course_csv, overview_csv
from holdfast.learning.progress import apply_completed, apply_progressed
from holdfast.learning.rhythm import DayCompleted, Heard
from holdfast.store.port import Tx
from holdfast.store.schema import courses, memberships, progress
from holdfast.store.sqlite import SqliteStore
from tests.unit.learning.register import add_person, event, school

NOW_S = parse_rfc3339("2026-11-23T12:00:00Z")
FRESH = "2026-11-23T11:59:00.000Z"
KNOTS: dict[str, Any] = {
    "id": "knots",
    "title": "Knots",
    "assigned": 3,
    "started": 3,
    "completed": 1,
    "completion_rate": 0.25,
}


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with school() as opened:
        with opened.transaction(None) as tx:
            _fill(tx)
        yield opened


def _fill(tx: Tx) -> None:
    apply_assigned(
        tx,
        [
            event("course.assigned", "ben", 1, courseId="knots", userIds=["ada", "abe", "amy", "ben"]),
            event("course.assigned", "dan", 3, org="high", courseId="knots", userIds=["cleo"]),
        ],
    )
    apply_unassigned(tx, [event("course.unassigned", "ben", 2, courseId="knots", userIds=["ben"])])
    done = [("ada", "one"), ("ada", "two"), ("ada", "three"), ("abe", "one")]
    half = [("abe", "two"), ("ben", "one"), ("ben", "three")]
    apply_completed(
        tx,
        [
            event("lesson.completed", who, 10 + number, courseId="knots", lessonId=lesson)
            for number, (who, lesson) in enumerate(done)
        ],
    )
    apply_progressed(
        tx,
        [
            event("lesson.progressed", who, 20 + number, courseId="knots", lessonId=lesson, percent=50)
            for number, (who, lesson) in enumerate(half)
        ],
    )
    apply_completed(tx, [event("lesson.completed", "cleo", 30, org="high", courseId="knots", lessonId="one")])
    days = [("ada", "knots", 22), ("ada", "knots", 22), ("amy", "knots", 22), ("abe", None, 23)]
    days += [("ada", "knots", 1)]
    recorded = [
        event("analytics.recorded", who, 40 + number, name="page.opened", courseId=course)._replace(
            occurred_at=f"2026-11-{day:02d}T08:00:00.000Z"
        )
        for number, (who, course, day) in enumerate(days)
    ]
    future = event("analytics.recorded", "ada", 60, name="x")._replace(occurred_at="2031-01-01T00:00:00.000Z")
    apply_recorded(tx, [*recorded, future])


def test_the_overview_counts_learners_courses_and_days(store: SqliteStore) -> None:
    with store.transaction("tide") as tx:
        found = overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH)
    # ben is an admin, amy has no progress but an event.
    assert (found.learners, found.active_learners_7d, found.data_fresh_as_of) == (3, 3, FRESH)
    tides: dict[str, Any] = {
        "id": "tides",
        "title": "Tides",
        "assigned": 0,
        "started": 0,
        "completed": 0,
        "completion_rate": 0.0,
    }
    assert found.courses == [CourseNumbers(**KNOTS), CourseNumbers(**tides)]
    assert found.events == [
        DayNumbers(day="2026-11-01", count=1, learners=1),
        DayNumbers(day="2026-11-22", count=3, learners=2),
        DayNumbers(day="2026-11-23", count=1, learners=1),
    ]


def test_learners_who_did_nothing_for_a_week_are_not_active(store: SqliteStore) -> None:
    with store.transaction("tide") as tx:
        later = overview(tx, "tide", now_s=parse_rfc3339("2026-11-29T12:00:00Z"), fresh_as_of=FRESH)
        much_later = overview(tx, "tide", now_s=parse_rfc3339("2026-11-30T12:00:00Z"), fresh_as_of=FRESH)
    # On the 29th the 23rd is the seventh day back: abe's event and the progress of ada and abe count.
    assert (later.active_learners_7d, much_later.active_learners_7d) == (2, 0)


def test_a_course_shows_where_learners_stop(store: SqliteStore) -> None:
    with store.transaction("tide") as tx:
        found = course_insight(tx, "tide", "knots", now_s=NOW_S, fresh_as_of=FRESH)
    assert (found.assigned, found.started, found.completed, found.completion_rate) == (3, 3, 1, 0.25)
    assert found.lessons == [
        # The audience is ada, abe, amy and ben: one of four did not start.
        LessonNumbers(id="one", title="One", position=1, started=3, completed=2, drop_off=0.25),
        # ada, abe and ben started one: ben did not start two.
        LessonNumbers(id="two", title="Two", position=2, started=2, completed=1, drop_off=0.3333),
        # ada and abe started two: abe did not start three, and ben's start does not make up for it.
        LessonNumbers(id="three", title="Three", position=3, started=2, completed=1, drop_off=0.5),
    ]
    assert [(day.day, day.count) for day in found.by_day] == [("2026-11-01", 1), ("2026-11-22", 3)]


def test_only_the_last_thirty_days_of_data_are_shown(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        for number, day in enumerate(("2026-10-24", "2026-10-25", "0001-01-01")):
            made = event("analytics.recorded", "ada", 70 + number, name="x")
            apply_recorded(tx, [made._replace(occurred_at=f"{day}T08:00:00.000Z")])
    with store.transaction("tide") as tx:
        found = overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH)
    assert [each.day for each in found.events] == ["2026-10-25", "2026-11-01", "2026-11-22", "2026-11-23"]


def test_a_device_whose_clock_stands_at_the_first_day_breaks_nothing() -> None:
    with school() as store:
        with store.transaction(None) as tx:
            made = event("analytics.recorded", "ada", 1, name="x")
            apply_recorded(tx, [made._replace(occurred_at="0001-01-01T00:00:00.000Z")])
        with store.transaction("tide") as tx:
            found = overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH)
    assert [each.day for each in found.events] == ["0001-01-01"]


def test_another_org_sees_its_own_numbers_only(store: SqliteStore) -> None:
    with store.transaction("high") as tx:
        found = overview(tx, "high", now_s=NOW_S, fresh_as_of=FRESH)
        detail = course_insight(tx, "high", "knots", now_s=NOW_S, fresh_as_of=FRESH)
    assert (found.learners, found.active_learners_7d, found.events) == (1, 1, [])
    assert (detail.assigned, detail.started, detail.completed) == (1, 1, 0)


def test_another_orgs_course_is_not_found(store: SqliteStore) -> None:
    with store.transaction("tide") as tx, pytest.raises(Rejected, match="hills") as caught:
        course_insight(tx, "tide", "hills", now_s=NOW_S, fresh_as_of=FRESH)
    assert caught.value.code == "not_found"


def test_an_archived_course_leaves_the_overview_but_can_be_looked_at(store: SqliteStore) -> None:
    with store.transaction("tide") as tx:
        tx.run(update(courses).where(courses.c.id == "knots").values(archived=True))
        assert [each.id for each in overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH).courses] == ["tides"]
        assert course_insight(tx, "tide", "knots", now_s=NOW_S, fresh_as_of=FRESH).assigned == 3


def test_a_course_without_lessons_is_completed_by_nobody(store: SqliteStore) -> None:
    about = {"description": "", "licence": "", "archived": False, "created_at": FRESH, "updated_at": FRESH}
    with store.transaction(None) as tx:
        tx.run(insert(courses).values(org_id="tide", id="bare", title="Bare", **about))
        apply_assigned(tx, [event("course.assigned", "ben", 9, courseId="bare", userIds=["ada"])])
    with store.transaction("tide") as tx:
        bare = course_insight(tx, "tide", "bare", now_s=NOW_S, fresh_as_of=FRESH)
    assert (bare.assigned, bare.completed, bare.completion_rate, bare.lessons) == (1, 0, 0.0, [])


def test_csv_has_a_line_a_course_and_a_line_a_lesson(store: SqliteStore) -> None:
    with store.transaction("tide") as tx:
        whole = overview_csv(overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH))
        one = course_csv(course_insight(tx, "tide", "knots", now_s=NOW_S, fresh_as_of=FRESH))
    assert whole.decode().splitlines() == [
        "id,title,assigned,started,completed,completionRate,dataFreshAsOf",
        f"knots,Knots,3,3,1,0.25,{FRESH}",
        f"tides,Tides,0,0,0,0.0,{FRESH}",
    ]
    assert one.decode().splitlines()[2] == f"two,Two,2,2,1,0.3333,{FRESH}"


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", '=HYPERLINK("http://x","y")'])
def test_a_title_that_a_spreadsheet_would_run_is_made_inert(store: SqliteStore, title: str) -> None:
    with store.transaction("tide") as tx:
        tx.run(update(courses).where(courses.c.id == "knots").values(title=title))
        found = overview_csv(overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH)).decode()
    assert f"'{title[:2]}" in found


def test_completions_are_counted_by_the_day_of_their_receipt(store: SqliteStore) -> None:
    with store.transaction("tide") as tx:
        whole = overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH)
        one = course_insight(tx, "tide", "tides", now_s=NOW_S, fresh_as_of=FRESH)
    # ada three, abe one; cleo's is another org's, and nothing was completed in `tides`.
    assert whole.completed == [DayCompleted(day="2026-11-23", lessons=4, learners=2)]
    assert one.completed_by_day == []


def test_only_thirty_days_of_completions_are_shown(store: SqliteStore) -> None:
    days = ["2026-10-24", "2026-10-25", "2026-11-23"]
    with store.transaction("tide") as tx:
        for who, day in zip(("ada", "abe", "ben"), days, strict=True):
            mine = (progress.c.user_id == who, progress.c.lesson_id == "one")
            at = f"{day}T23:59:59.999Z"
            tx.run(update(progress).where(*mine).values(completed=True, completed_at=at))
        found = overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH).completed
    assert [each.day for each in found] == days[1:]


def test_each_learner_is_counted_once_by_when_they_were_last_heard_of(store: SqliteStore) -> None:
    # Received on the 23rd: ada's, abe's and amy's; ben is no learner. zoe never sent anything.
    with store.transaction(None) as tx:
        add_person(tx, "tide", "zoe")
        add_person(tx, "tide", "zac")
        tx.run(update(memberships).where(memberships.c.user_id == "zac").values(active=False))
    with store.transaction("tide") as tx:
        seen = [
            overview(tx, "tide", now_s=NOW_S + days * 86_400, fresh_as_of=FRESH).heard
            for days in (0, 3, 20, 40)
        ]
    assert seen == [
        Heard(last_day=3, never=1),
        Heard(last_week=3, never=1),
        Heard(last_month=3, never=1),
        Heard(earlier=3, never=1),
    ]


def test_every_table_of_the_overview_and_of_a_course_is_to_be_had_as_csv(store: SqliteStore) -> None:
    with store.transaction("tide") as tx:
        whole = overview(tx, "tide", now_s=NOW_S, fresh_as_of=FRESH)
        one = course_insight(tx, "tide", "knots", now_s=NOW_S, fresh_as_of=FRESH)
    assert overview_csv(whole, "completed").decode().splitlines() == [
        "day,lessonsCompleted,learners,dataFreshAsOf",
        f"2026-11-23,4,2,{FRESH}",
    ]
    assert overview_csv(whole, "heard").decode().splitlines() == [
        "lastDay,lastWeek,lastMonth,earlier,never,dataFreshAsOf",
        f"3,0,0,0,0,{FRESH}",
    ]
    assert overview_csv(whole, "events").decode().splitlines()[1] == f"2026-11-01,1,1,{FRESH}"
    assert course_csv(one, "completed").decode().splitlines()[1] == f"2026-11-23,4,2,{FRESH}"
    assert course_csv(one, "events").decode().splitlines()[2] == f"2026-11-22,3,2,{FRESH}"
