"""Whatever the order, the copies and the split into batches, the same events leave the same tables."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import groupby, pairwise
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table

from holdfast.events import marks
from holdfast.journal.record import Record
from holdfast.store import schema
from holdfast.store.sqlite import SqliteStore
from tests.unit.events.spine import NOW, apply, at, table

steady = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    # Making a failing example smaller takes minutes here, and they are small as they come.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PEOPLE = {"tide": ("ada", "abe", "ben"), "high": ("cleo", "dan")}
LANES = {"course.assigned": "admin", "course.unassigned": "admin", "analytics.recorded": "analytics"}
LANES |= {"loss.reported": "admin"}
SAME_IN_ANY_ORDER = (
    schema.marks,
    schema.progress,
    schema.intervals,
    schema.answers,
    schema.assignments,
    schema.analytics_events,
    schema.activity,
    schema.loss_receipts,
    schema.devices,
    schema.dead_letters,
    schema.ledger,
)
Delivery = tuple[str, Record]
"""A lane, and a record of it."""


def body_of(draw: st.DrawFn, kind: str, org: str) -> Any:  # noqa: ANN401 - JSON
    course = draw(st.sampled_from(("knots", "knots", "tides", "nowhere")))
    body: dict[str, Any] = {"courseId": course, "lessonId": draw(st.sampled_from(("one", "two")))}
    match kind:
        case "lesson.progressed":
            body["percent"] = draw(st.integers(0, 100))
            if draw(st.booleans()):
                start = draw(st.integers(0, 5))
                body["positionS"] = start
                body["interval"] = {"sessionId": "s", "fromS": start, "toS": start + draw(st.integers(0, 3))}
        case "quiz.answered":
            body |= {"questionId": draw(st.sampled_from(("q1", "q9"))), "choiceIds": ["a", "b"]}
        case "course.assigned" | "course.unassigned":
            some = st.lists(st.sampled_from(PEOPLE[org]), min_size=1, max_size=3, unique=True)
            body = {"courseId": course, "userIds": draw(some)}
        case "analytics.recorded":
            body = {"name": draw(st.sampled_from(("page.opened", "video.played"))), "courseId": course}
        case "loss.reported":
            body = {"deviceId": "d", "generation": 1, "missing": [[1, 2]], "cause": "a gap"}
        case _:
            pass
    return body


KIND_NAMES = (
    "lesson.progressed",
    "lesson.completed",
    "quiz.answered",
    "course.assigned",
    "course.unassigned",
    "analytics.recorded",
    "loss.reported",
    "lesson.forgotten",  # no such kind
)


@st.composite
def deliveries(draw: st.DrawFn) -> list[Delivery]:
    """Events of two orgs, good ones and those that must become dead letters, as their records."""
    found: list[Delivery] = []
    for number in range(1, draw(st.integers(1, 16)) + 1):
        kind = draw(st.sampled_from(KIND_NAMES))
        org = draw(st.sampled_from(("tide", "high")))
        lane = LANES.get(kind, "progress")
        # Whoever is of the other org is not a member here.
        who = draw(st.sampled_from((*PEOPLE[org], "cleo" if org == "tide" else "ada")))
        facts: dict[str, Any] = {"org": org, "user": who, "lane": lane}
        if draw(st.booleans()):
            facts |= {"deviceId": draw(st.sampled_from("de")), "generation": draw(st.integers(1, 2))}
            facts["seq"] = draw(st.integers(1, 12))
        body = body_of(draw, kind, org) if draw(st.integers(0, 9)) else {"not": "its shape"}
        made = at(number, kind, body, **facts)
        # A frame has one time of receipt.
        received = f"2026-11-23T10:00:0{draw(st.integers(0, 2))}.000Z"
        found.append((lane, made._replace(received_at=received)))
    return found


orders = st.randoms(use_true_random=False)
cuts = st.lists(st.integers(0, 40), max_size=8)


class _Undone(Exception):
    """Ends a trial."""


def after(
    store: SqliteStore, batches: Sequence[Sequence[Delivery]], *read: Table, sifted: bool = False
) -> dict[str, list[Any]]:
    """What the tables hold after the batches; then everything is as it was."""
    found: dict[str, list[Any]] = {}
    with contextlib.suppress(_Undone), store.transaction(None) as tx:
        epoch = marks.take_lease(tx, "test", NOW)
        for batch in batches:
            for lane, some in groupby(sorted(batch, key=lambda each: each[0]), key=lambda each: each[0]):
                apply(tx, [each for _, each in some], lane=lane, epoch=epoch, sifted=sifted)
        for each in read:
            found[each.name] = table(tx, each)
        raise _Undone
    return found


def split(found: Sequence[Delivery], at_: Sequence[int]) -> list[Sequence[Delivery]]:
    edges = sorted({cut % (len(found) + 1) for cut in at_} | {0, len(found)})
    return [found[start:end] for start, end in pairwise(edges)]


@steady
@given(deliveries(), orders, cuts)
def test_any_order_and_any_split_leave_the_same_tables(
    store: SqliteStore, events: list[Delivery], order: Random, cuts: list[int]
) -> None:
    plain = after(store, [events], *SAME_IN_ANY_ORDER)
    shuffled = order.sample(events, len(events))
    assert after(store, split(shuffled, cuts), *SAME_IN_ANY_ORDER) == plain
    assert after(store, [[each] for each in shuffled], *SAME_IN_ANY_ORDER) == plain


@steady
@given(deliveries(), cuts)
def test_a_batch_that_needs_no_sifting_leaves_the_same_tables_when_it_is_sifted(
    store: SqliteStore, events: list[Delivery], cuts: list[int]
) -> None:
    small = [[each] for each in events[:4]]
    for batches in (split(events, cuts), small):
        sifted = after(store, batches, *SAME_IN_ANY_ORDER, sifted=True)
        assert after(store, batches, *SAME_IN_ANY_ORDER) == sifted


def counted(found: dict[str, list[Any]]) -> tuple[int, int, int]:
    rows = found["ledger"]
    return sum(row[2] for row in rows), sum(row[3] for row in rows), sum(row[4] for row in rows)


@steady
@given(deliveries(), orders, cuts, st.lists(st.integers(0, 15), max_size=12))
def test_copies_change_nothing_but_the_count_of_duplicates(
    store: SqliteStore, events: list[Delivery], order: Random, cuts: list[int], copied: list[int]
) -> None:
    copies = [events[number % len(events)] for number in copied]
    among = order.sample([*events, *copies], len(events) + len(copies))
    once = after(store, [events], *SAME_IN_ANY_ORDER)
    often = after(store, split(among, cuts), *SAME_IN_ANY_ORDER)
    applied, duplicate, dead = counted(once)
    assert duplicate == 0
    assert counted(often) == (applied, len(copies), dead)
    for name in once.keys() - {"ledger"}:
        assert often[name] == once[name], name


@steady
@given(deliveries(), cuts, st.lists(st.integers(0, 15), max_size=12))
def test_events_sent_again_later_leave_what_their_first_coming_left(
    store: SqliteStore, events: list[Delivery], cuts: list[int], again: list[int]
) -> None:
    later = [
        (lane, made._replace(position=100 + number, received_at="2026-11-23T10:30:00.000Z"))
        for number, (lane, made) in enumerate(events[each % len(events)] for each in again)
    ]
    heard_again = {"ledger", "devices"}  # when a device was heard last does change
    once = after(store, [events], *SAME_IN_ANY_ORDER)
    twice = after(store, split([*events, *later], cuts), *SAME_IN_ANY_ORDER)
    for name in once.keys() - heard_again:
        assert twice[name] == once[name], name
    assert [row[:-1] for row in twice["devices"]] == [row[:-1] for row in once["devices"]]


@steady
@given(deliveries(), orders, cuts)
def test_every_delivery_is_counted_once_and_every_event_is_in_one_place(
    store: SqliteStore, events: list[Delivery], order: Random, cuts: list[int]
) -> None:
    delivered = order.sample([*events, *events], 2 * len(events))
    found = after(store, split(delivered, cuts), *SAME_IN_ANY_ORDER)
    assert sum(counted(found)) == len(delivered)
    marked = {(row[0], row[1]) for row in found["marks"]}
    letters = {(row[0], row[1]) for row in found["dead_letters"]}
    assert marked | letters == {(org_of(made), made.id) for _, made in events}
    assert not marked & letters
    applied, _, dead = counted(found)
    assert (applied, dead) == (len(marked), len(letters))


def org_of(made: Record) -> str:
    return made.data.split(b'"orgId":"', 1)[1].split(b'"', 1)[0].decode()
