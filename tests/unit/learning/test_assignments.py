"""Assignments: the events, what they refuse, what admins read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from holdfast.core.errors import Rejected
from holdfast.learning.assigned import Which, list_assignments, result_of
from holdfast.learning.assignments import CourseAssigned, apply_assigned, apply_unassigned
from holdfast.learning.progress import apply_completed
from holdfast.store.port import Tx
from holdfast.store.schema import assignments, audit, memberships
from holdfast.store.sqlite import SqliteStore
from tests.unit.learning.register import LESSONS, NOW, add_person, event, school, table


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with school() as opened:
        yield opened


@pytest.fixture
def tx(store: SqliteStore) -> Iterator[Tx]:
    with store.transaction(None) as opened:
        yield opened


def assigned(number: int, *users: str, sender: str = "ben", org: str = "tide", **more: object) -> Any:  # noqa: ANN401
    body = {"courseId": "knots", "userIds": list(users), **more}
    return event("course.assigned", sender, number, org=org, **body)


def unassigned(number: int, *users: str) -> Any:  # noqa: ANN401
    return event("course.unassigned", "ben", number, courseId="knots", userIds=list(users))


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"userIds": []}, "userIds"),
        ({"userIds": ["ada", "ada"]}, "userIds must not name a learner twice"),
        ({"userIds": [f"u{number}" for number in range(5001)]}, "userIds"),
        ({"dueAt": "2026-12-01T00:00:00"}, "dueAt"),
        ({"dueAt": "0001-01-01T00:00:00+14:00"}, "dueAt must be between the years"),
        ({"note": "x" * 501}, "note"),
        ({"note": "a\x00b"}, "note"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_assignment_is_refused_by_the_name_of_its_field(change: dict[str, Any], reason: str) -> None:
    body = {"courseId": "knots", "userIds": ["ada"], **change}
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.json.decode(msgspec.json.encode(body), type=CourseAssigned)


def test_a_learner_of_another_org_is_refused_with_a_reason_and_the_others_are_not(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        tx.run(update(memberships).where(memberships.c.user_id == "amy").values(active=False))
        apply_assigned(tx, [assigned(1, "ada", "cleo", "amy", "nobody")])
    with store.transaction("tide") as tx:
        result = result_of(tx, "id-000001")
        assert result is not None
        assert (result.changed, result.already) == (1, 0)
        assert [each.user_id for each in result.refused] == ["cleo", "amy", "nobody"]
        assert {each.reason for each in result.refused} == {"not an active member of this org"}
        assert [row[2] for row in table(tx, assignments)] == ["ada"]
    with store.transaction("high") as tx:
        assert table(tx, assignments) == []


def test_another_orgs_course_is_unknown(tx: Tx) -> None:
    with pytest.raises(Rejected, match="course hills is not known in org tide") as caught:
        apply_assigned(tx, [assigned(1, "ada", courseId="hills")])
    assert caught.value.code == "course_unknown"


@pytest.mark.parametrize("sender", ["ada", "dan"])
def test_a_sender_who_is_no_admin_of_the_org_is_refused_at_apply(tx: Tx, sender: str) -> None:
    with pytest.raises(Rejected, match=f"user {sender} is not an admin of org tide") as caught:
        apply_assigned(tx, [assigned(1, "ada", sender=sender)])
    assert caught.value.code == "forbidden"
    assert table(tx, assignments) == []


def test_a_service_may_assign(tx: Tx) -> None:
    apply_assigned(tx, [assigned(1, "ada", sender="service:tide")])
    assert len(table(tx, assignments)) == 1


def test_already_counts_learners_who_had_the_course_from_an_earlier_event(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        apply_assigned(tx, [assigned(1, "ada", "abe"), assigned(2, "abe", "amy")])
        apply_unassigned(tx, [unassigned(3, "ada", "ben")])
        apply_assigned(tx, [assigned(4, "ada", "abe")])
    with store.transaction("tide") as tx:
        counts = [result_of(tx, f"id-{number:06d}") for number in (1, 2, 3, 4)]
        assert [each and each[:2] for each in counts] == [(2, 0), (1, 1), (1, 1), (1, 1)]


def test_an_event_applied_late_counts_what_it_declares_not_what_came_after_it(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        apply_assigned(tx, [assigned(5, "ada")])
        apply_assigned(tx, [assigned(3, "ada", "abe")])
        apply_unassigned(tx, [unassigned(4, "ada", "abe")])
    with store.transaction("tide") as tx:
        counts = [result_of(tx, f"id-{number:06d}") for number in (3, 4)]
    assert [each and each[:2] for each in counts] == [(2, 0), (1, 1)]


def test_a_batch_out_of_order_is_counted_in_the_journals_order(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        apply_assigned(tx, [assigned(2, "ada", "abe"), assigned(1, "ada")])
    with store.transaction("tide") as tx:
        counts = [result_of(tx, f"id-{number:06d}") for number in (1, 2)]
    assert [each and each[:2] for each in counts] == [(1, 0), (1, 1)]


def test_a_later_assignment_brings_its_own_due_time_and_note(tx: Tx) -> None:
    apply_assigned(tx, [assigned(2, "ada", dueAt="2026-12-01T01:00:00+01:00", note="second")])
    apply_assigned(tx, [assigned(1, "ada", note="first")])
    (row,) = table(tx, assignments)
    assert row[3:7] == (True, "2026-12-01T00:00:00.000Z", "second", "ben")


def test_an_unassigning_event_wins_over_an_older_one_that_comes_later(tx: Tx) -> None:
    apply_unassigned(tx, [unassigned(2, "ada")])
    apply_assigned(tx, [assigned(1, "ada")])
    (row,) = table(tx, assignments)
    assert row[3] is False


def test_a_former_member_can_be_unassigned_but_a_stranger_is_refused(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        apply_assigned(tx, [assigned(1, "ada")])
        tx.run(update(memberships).where(memberships.c.user_id == "ada").values(active=False))
        apply_unassigned(tx, [unassigned(2, "ada", "cleo")])
    with store.transaction("tide") as tx:
        result = result_of(tx, "id-000002")
        assert result is not None
        assert (result.changed, [each.user_id for each in result.refused]) == (1, ["cleo"])


def test_each_assigning_event_is_audited_once_under_its_orgs_and_its_own_id(tx: Tx) -> None:
    for _ in range(2):
        apply_assigned(tx, [assigned(1, "ada", "cleo")])
    ((note_id, at, org, actor, act, subject, details),) = table(tx, audit)
    assert (note_id, org, actor) == ("tide/id-000001", "tide", "ben")
    assert (act, subject) == ("course.assigned", "knots")
    assert at == assigned(1, "ada").received_at
    assert details == {"users": 2, "assigned": 1, "refused": 1}


def test_five_thousand_learners_are_assigned_by_one_event(store: SqliteStore) -> None:
    crowd = [f"learner-{number:04d}" for number in range(5000)]
    with store.transaction(None) as tx:
        for name in crowd[:4990]:
            add_person(tx, "tide", name)
        apply_assigned(tx, [assigned(1, *crowd)])
    with store.transaction("tide") as tx:
        result = result_of(tx, "id-000001")
        assert result is not None
        assert (result.changed, len(result.refused)) == (4990, 10)


def listed(store: SqliteStore, **asked: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    with store.transaction("tide") as tx:
        after = asked.pop("after", None)
        page = list_assignments(tx, "tide", Which(**asked), now=NOW, limit=100, after=after)
        return [(each.course_id, each.user_id) for each in page.items]


def test_assignments_are_listed_by_course_learner_and_lateness(store: SqliteStore) -> None:
    past, coming = "2026-11-01T00:00:00Z", "2026-12-24T00:00:00Z"
    with store.transaction(None) as tx:
        late = [assigned(1, "ada", "abe", dueAt=past), assigned(2, "amy", dueAt=coming)]
        apply_assigned(tx, [*late, assigned(3, "ada", courseId="tides")])
        apply_assigned(tx, [assigned(4, "cleo", sender="dan", org="high")])
        apply_unassigned(tx, [unassigned(5, "ben")])
        done = [
            event("lesson.completed", "abe", 10 + number, courseId="knots", lessonId=lesson)
            for number, lesson in enumerate(LESSONS)
        ]
        apply_completed(tx, done)
    everything = [("knots", "abe"), ("knots", "ada"), ("knots", "amy"), ("tides", "ada")]
    assert listed(store) == everything
    assert listed(store, overdue=True) == [("knots", "ada")]
    assert listed(store, overdue=False) == [each for each in everything if each != ("knots", "ada")]
    assert listed(store, course_id="tides") == [("tides", "ada")]
    assert listed(store, user_id="ada") == [("knots", "ada"), ("tides", "ada")]
    assert listed(store, search="ADA@") == listed(store, user_id="ada")
    assert listed(store, search="b", course_id="knots") == [("knots", "abe")]
    with store.transaction("tide") as tx:
        abe = list_assignments(tx, "tide", Which(), now=NOW, limit=1).items[0]
    assert (abe.lessons, abe.lessons_completed, abe.completed, abe.overdue) == (3, 3, True, False)
    assert (abe.course_title, abe.user_name, abe.due_at) == ("Knots", "Abe", "2026-11-01T00:00:00.000Z")


def test_pages_join_to_the_whole_list(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        apply_assigned(tx, [assigned(1, "ada", "abe", "amy"), assigned(2, "ada", "abe", courseId="tides")])
    found, after = [], None
    with store.transaction("tide") as tx:
        while True:
            page = list_assignments(tx, "tide", Which(), now=NOW, limit=2, after=after)
            found.append([(each.course_id, each.user_id) for each in page.items])
            after = page.next
            if after is None:
                break
    assert [len(each) for each in found] == [2, 2, 1]
    assert list(chain.from_iterable(found)) == listed(store)


def test_an_after_of_another_making_is_refused(store: SqliteStore) -> None:
    with pytest.raises(Rejected, match="after"):
        listed(store, after="nonsense")
