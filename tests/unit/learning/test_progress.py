"""Progress: what bodies say, what apply functions do with them, what learners read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from holdfast.core.errors import Rejected
from holdfast.learning.progress import (
    LessonProgressed,
    QuizAnswered,
    answers_of,
    apply_answered,
    apply_completed,
    apply_progressed,
    progress_of,
    time_spent,
)
from holdfast.store.port import Tx
from holdfast.store.schema import memberships, progress, users
from holdfast.store.sqlite import SqliteStore
from tests.unit.learning.register import event, school, table

HERE: dict[str, Any] = {"courseId": "knots", "lessonId": "one"}
QUESTION: dict[str, Any] = {**HERE, "questionId": "q1"}


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with school() as opened:
        yield opened


@pytest.fixture
def tx(store: SqliteStore) -> Iterator[Tx]:
    with store.transaction(None) as opened:
        yield opened


@pytest.mark.parametrize(
    "body, reason",
    [
        ('{"percent":101}', "percent must be 0 to 100"),
        ('{"percent":-0.1}', "percent must be 0 to 100"),
        ('{"percent":50,"positionS":-1}', "positionS must be 0 or more"),
        ('{"percent":50,"positionS":1e11}', "positionS must be 0 or more"),
        (
            '{"percent":5,"interval":{"sessionId":"s","fromS":2,"toS":1}}',
            "fromS must be 0 or more and not after",
        ),
        (
            '{"percent":5,"interval":{"sessionId":"s","fromS":-2,"toS":1}}',
            "fromS must be 0 or more and not after",
        ),
        ('{"percent":"5"}', "`$.percent`"),
        ('{"percent":5,"extra":1}', "unknown field `extra`"),
        ('{"percent":5,"interval":{"sessionId":"s","fromS":1}}', "missing required field `toS`"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_in_words(body: str, reason: str) -> None:
    whole = body.replace("{", '{"courseId":"c","lessonId":"l",', 1)
    with pytest.raises(msgspec.ValidationError, match=reason.replace("$", r"\$")):
        msgspec.json.decode(whole, type=LessonProgressed)


@pytest.mark.parametrize("bad", ["", "-a", "a b", "a\n", "a/b", "a" * 129, "é", "a\x00"])
def test_an_id_that_is_none_is_refused(bad: str) -> None:
    body = {"courseId": bad, "lessonId": "l", "percent": 1}
    with pytest.raises(msgspec.ValidationError, match="courseId"):
        msgspec.json.decode(msgspec.json.encode(body), type=LessonProgressed)


@pytest.mark.parametrize("choices", [[], ["a"] * 21])
def test_an_answer_names_one_to_twenty_choices(choices: list[str]) -> None:
    with pytest.raises(msgspec.ValidationError, match="choiceIds"):
        msgspec.convert({**QUESTION, "choiceIds": choices}, QuizAnswered)


def test_percent_is_a_maximum_and_the_place_is_the_one_received_last(tx: Tx) -> None:
    early = event("lesson.progressed", "ada", 1, **HERE, percent=80, positionS=70)
    late = event("lesson.progressed", "ada", 2, **HERE, percent=30, positionS=20)
    silent = event("lesson.progressed", "ada", 3, **HERE, percent=40)
    apply_progressed(tx, [late, early, silent])
    (row,) = table(tx, progress)
    assert row[4:] == (80.0, False, None, 20.0, f"{late.received_at}|{late.id}", silent.received_at)


def test_progress_after_completion_turns_nothing_off(tx: Tx) -> None:
    done = [event("lesson.completed", "ada", number, **HERE) for number in (5, 9)]
    apply_completed(tx, done)
    apply_progressed(tx, [event("lesson.progressed", "ada", 7, **HERE, percent=10)])
    (row,) = table(tx, progress)
    assert row[4:7] == (100.0, True, done[0].received_at)
    assert row[9] == done[1].received_at


def test_an_earlier_completion_that_arrives_later_is_the_time_that_counts(tx: Tx) -> None:
    first, second = (event("lesson.completed", "ada", number, **HERE) for number in (5, 9))
    apply_completed(tx, [second])
    apply_completed(tx, [first])
    assert table(tx, progress)[0][6] == first.received_at


def test_a_lesson_of_another_orgs_course_is_unknown_and_named(tx: Tx) -> None:
    bad = event("lesson.progressed", "ada", 1, courseId="hills", lessonId="one", percent=1)
    with pytest.raises(Rejected, match="lesson one of course hills is not known in org tide") as caught:
        apply_progressed(tx, [event("lesson.progressed", "ada", 2, **HERE, percent=1), bad])
    assert caught.value.code == "course_unknown"


def test_a_lesson_is_found_missing_in_a_batch_of_many(tx: Tx) -> None:
    many = [
        event("lesson.progressed", "ada", number, courseId=course, lessonId=lesson, percent=1)
        for number, (course, lesson) in enumerate(
            (course, lesson) for course in ("knots", "tides") for lesson in ("one", "two", "three")
        )
    ]
    ghosts = [
        event("lesson.progressed", "ada", 50 + number, courseId="knots", lessonId=f"ghost{number}", percent=1)
        for number in range(4)
    ]
    apply_progressed(tx, many)
    with pytest.raises(Rejected, match="lesson ghost0 of course knots"):
        apply_progressed(tx, [*many, *ghosts])


def test_a_user_of_another_org_is_refused_by_name(tx: Tx) -> None:
    for apply, kind, body in (
        (apply_progressed, "lesson.progressed", {**HERE, "percent": 1}),
        (apply_completed, "lesson.completed", HERE),
        (apply_answered, "quiz.answered", {**QUESTION, "choiceIds": ["a"]}),
    ):
        with pytest.raises(Rejected, match="user cleo is not an active member of org tide") as caught:
            apply(tx, [event(kind, "ada", 1, **body), event(kind, "cleo", 2, **body)])
        assert caught.value.code == "not_a_member"


def test_a_closed_member_and_a_closed_user_are_refused(tx: Tx) -> None:
    tx.run(update(memberships).where(memberships.c.user_id == "ada").values(active=False))
    tx.run(update(users).where(users.c.id == "abe").values(active=False))
    for name in ("ada", "abe"):
        with pytest.raises(Rejected, match=f"user {name} is not an active member"):
            apply_completed(tx, [event("lesson.completed", name, 1, **HERE)])


def test_one_batch_holds_events_of_several_orgs_apart(tx: Tx) -> None:
    apply_completed(
        tx,
        [
            event("lesson.completed", "ada", 1, **HERE),
            event("lesson.completed", "cleo", 2, org="high", **HERE),
        ],
    )
    assert [row[:3] for row in table(tx, progress)] == [("high", "cleo", "knots"), ("tide", "ada", "knots")]


@pytest.mark.parametrize(
    "choices, correct",
    [
        (["a", "b"], True),
        (["b", "a"], True),
        (["a"], False),
        (["a", "b", "c"], False),
        (["a", "b", "a"], True),
    ],
)
def test_an_answer_is_right_when_it_ticks_exactly_the_right_choices(
    store: SqliteStore, *, choices: list[str], correct: bool
) -> None:
    with store.transaction(None) as tx:
        apply_answered(tx, [event("quiz.answered", "ada", 1, **QUESTION, choiceIds=choices)])
    with store.transaction("tide") as tx:
        (given,) = answers_of(tx, "ada", "knots")
    assert (given.correct, given.choice_ids) == (correct, choices)


def test_the_answer_received_last_is_the_one_shown(store: SqliteStore) -> None:
    last = event("quiz.answered", "ada", 9, **QUESTION, choiceIds=["a", "b"])
    with store.transaction(None) as tx:
        apply_answered(tx, [last])
        apply_answered(tx, [event("quiz.answered", "ada", 1, **QUESTION, choiceIds=["c"])])
    with store.transaction("tide") as tx:
        assert [given.choice_ids for given in answers_of(tx, "ada", "knots", "one")] == [["a", "b"]]
        assert answers_of(tx, "ada", "knots", "two") == []


def test_a_question_the_lesson_does_not_have_is_named(tx: Tx) -> None:
    stray = event("quiz.answered", "ada", 1, **{**QUESTION, "questionId": "q9"}, choiceIds=["a"])
    with pytest.raises(Rejected, match="question q9 is not in lesson one of course knots") as caught:
        apply_answered(tx, [stray])
    assert caught.value.code == "course_unknown"


@pytest.mark.parametrize(
    "rows, seconds",
    [
        ([], 0.0),
        ([("s", 0, 10)], 10.0),
        ([("s", 5, 15), ("s", 0, 10)], 15.0),
        ([("s", 0, 10), ("s", 2, 3), ("s", 20, 21)], 11.0),
        ([("s", 0, 10), ("t", 0, 10)], 20.0),
        ([("s", 3, 3), ("s", 0, 1), ("s", 1, 2)], 2.0),
    ],
)
def test_time_spent_is_what_a_sessions_intervals_cover(
    rows: list[tuple[str, float, float]], seconds: float
) -> None:
    assert time_spent(rows) == seconds


def test_time_spent_equals_a_count_of_covered_seconds() -> None:
    draw = random.Random(7)
    for _ in range(200):
        rows = [(draw.choice("st"), float(start), float(start + draw.randrange(6))) for start in
                (draw.randrange(30) for _ in range(draw.randrange(12)))]  # fmt: skip
        seconds = {(session, at) for session, start, end in rows for at in range(int(start), int(end))}
        assert time_spent(rows) == len(seconds)


def test_a_learner_reads_their_own_progress_with_the_time_it_took(store: SqliteStore) -> None:
    span = {"sessionId": "s", "fromS": 0, "toS": 30}
    with store.transaction(None) as tx:
        apply_progressed(
            tx,
            [
                event("lesson.progressed", "ada", 1, **HERE, percent=50, positionS=12, interval=span),
                event("lesson.progressed", "ada", 2, courseId="tides", lessonId="two", percent=20),
                event("lesson.progressed", "abe", 3, **HERE, percent=70),
                event("lesson.progressed", "cleo", 4, org="high", **HERE, percent=90),
            ],
        )
    with store.transaction("tide") as tx:
        mine = progress_of(tx, "ada")
        assert [(each.course_id, each.percent, each.time_spent_s) for each in mine] == [
            ("knots", 50.0, 30.0),
            ("tides", 20.0, 0.0),
        ]
        assert [each.lesson_id for each in progress_of(tx, "ada", "tides")] == ["two"]
        assert progress_of(tx, "cleo") == []
