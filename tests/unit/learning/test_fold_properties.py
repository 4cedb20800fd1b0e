"""Whatever the order, the duplicates and the split into batches, the same events give the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.events.kind import Applied
from holdfast.store.port import Tx
from holdfast.store.schema import (
    activity,
    answers,
    assignment_results,
    assignments,
    audit,
    intervals,
    progress,
)
from holdfast.store.sqlite import SqliteStore
from tests.unit.learning.register import LESSONS, apply_of, event, school, tried

steady = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
Named = tuple[str, Applied[Any]]
"""A kind's name and an event of it."""

LEARNERS = ("ada", "abe", "amy")
LEARNER_EVENTS = ("lesson.progressed", "lesson.completed", "quiz.answered")


@pytest.fixture(scope="module")
def store() -> Iterator[SqliteStore]:
    with school() as opened:
        yield opened


def batches(events: Sequence[Named], cuts: Sequence[int]) -> list[Callable[[Tx], None]]:
    """The events in batches of one kind each, cut where the kind changes and where `cuts` says."""
    steps: list[Callable[[Tx], None]] = []
    edges = sorted({cut % (len(events) + 1) for cut in cuts} | {0, len(events)})
    for start, end in pairwise(edges):
        for kind, some in groupby(events[start:end], key=lambda named: named[0]):
            batch = [each for _, each in some]
            steps.append(partial(_apply, kind, batch))
    return steps


def _apply(kind: str, batch: Sequence[Applied[Any]], tx: Tx) -> None:
    apply_of(kind)(tx, batch)


@st.composite
def learner_events(draw: st.DrawFn) -> list[Named]:
    found: list[Named] = []
    for number in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(LEARNER_EVENTS))
        body: dict[str, Any] = {"courseId": draw(st.sampled_from(("knots", "tides")))}
        body["lessonId"] = draw(st.sampled_from(LESSONS[:2]))
        if kind == "lesson.progressed":
            body["percent"] = draw(st.integers(0, 100))
            if draw(st.booleans()):
                body["positionS"] = draw(st.integers(0, 9))
            if draw(st.booleans()):
                start = draw(st.integers(0, 5))
                body["interval"] = {"sessionId": "s", "fromS": start, "toS": start + draw(st.integers(0, 3))}
        elif kind == "quiz.answered":
            choices = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
            body |= {"lessonId": "one", "questionId": "q1", "choiceIds": choices}
        made = event(kind, draw(st.sampled_from(LEARNERS[:2])), number, **body)
        # Many events share a time of receipt: a frame has one.
        at = f"2026-11-23T10:00:0{draw(st.integers(0, 2))}.000Z"
        found.append((kind, made._replace(received_at=at)))
    return found


@st.composite
def assigning_events(draw: st.DrawFn) -> list[Named]:
    found: list[Named] = []
    for number in range(1, draw(st.integers(1, 10)) + 1):
        kind = draw(st.sampled_from(("course.assigned", "course.unassigned")))
        body: dict[str, Any] = {"courseId": draw(st.sampled_from(("knots", "tides")))}
        body["userIds"] = draw(
            st.lists(st.sampled_from((*LEARNERS, "cleo")), min_size=1, max_size=4, unique=True)
        )
        if kind == "course.assigned":
            body["note"] = f"note {number}"
        found.append((kind, event(kind, "ben", number, **body)))
    return found


@st.composite
def analytics_events(draw: st.DrawFn) -> list[Named]:
    found: list[Named] = []
    for number in range(draw(st.integers(1, 14))):
        body: dict[str, Any] = {"name": draw(st.sampled_from(("page.opened", "video.played")))}
        if draw(st.booleans()):
            body["courseId"] = draw(st.sampled_from(("knots", "nowhere")))
        made = event("analytics.recorded", draw(st.sampled_from(LEARNERS[:2])), number, **body)
        day = draw(st.sampled_from(("2026-11-22", "2026-11-23")))
        found.append(("analytics.recorded", made._replace(occurred_at=f"{day}T23:59:59.999Z")))
    return found


orders = st.randoms(use_true_random=False)
cuts = st.lists(st.integers(0, 20), max_size=6)


@steady
@given(learner_events(), orders, cuts)
def test_any_order_and_split_of_a_learners_events_gives_the_same_rows(
    store: SqliteStore, events: list[Named], order: Random, cuts: list[int]
) -> None:
    shuffled = order.sample(events, len(events))
    read = (progress, intervals, answers)
    assert tried(store, batches(shuffled, cuts), *read) == tried(store, batches(events, ()), *read)


@steady
@given(learner_events(), orders, cuts)
def test_learners_events_applied_twice_change_nothing(
    store: SqliteStore, events: list[Named], order: Random, cuts: list[int]
) -> None:
    again = [*events, *order.sample(events, len(events))]
    read = (progress, intervals, answers)
    assert tried(store, batches(again, cuts), *read) == tried(store, batches(events, ()), *read)


@steady
@given(assigning_events(), orders, cuts)
def test_any_order_duplication_and_split_of_assigning_events_gives_the_same_rows(
    store: SqliteStore, events: list[Named], order: Random, cuts: list[int]
) -> None:
    shuffled = order.sample(events, len(events)) + order.sample(events, len(events) // 2)
    assert tried(store, batches(shuffled, cuts), assignments) == tried(
        store, batches(events, ()), assignments
    )


@steady
@given(assigning_events(), cuts)
def test_what_an_assigning_event_did_does_not_depend_on_the_split(
    store: SqliteStore, events: list[Named], cuts: list[int]
) -> None:
    def counted(steps: list[Callable[[Tx], None]]) -> tuple[list[Any], list[Any]]:
        results, notes = tried(store, steps, assignment_results, audit)
        return [row[:-1] for row in results], notes

    assert counted(batches(events, cuts)) == counted(batches(events, range(20)))


@steady
@given(assigning_events())
def test_an_assigning_event_applied_twice_is_reported_once_as_it_was_at_first(
    store: SqliteStore, events: list[Named]
) -> None:
    once = tried(store, batches(events, range(20)), assignment_results, audit)
    twice = tried(store, batches([*events, *events], range(40)), assignment_results, audit)
    assert [row[:-1] for row in twice[0]] == [row[:-1] for row in once[0]]
    assert twice[1] == once[1]


@steady
@given(analytics_events(), orders, cuts)
def test_any_order_and_split_of_analytics_gives_the_same_counts(
    store: SqliteStore, events: list[Named], order: Random, cuts: list[int]
) -> None:
    shuffled = order.sample(events, len(events))
    counts = tried(store, batches(shuffled, cuts), activity)
    assert counts == tried(store, batches(events, ()), activity)
    assert sum(row[6] for row in counts[0]) == len(events)
