"""Analytics events: their body, the log of them and the counts."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from holdfast.core.errors import Rejected
from holdfast.learning.analytics import AnalyticsRecorded, apply_recorded
from holdfast.store.port import Tx
from holdfast.store.schema import activity, analytics_events
from tests.unit.learning.register import event, school, table


@pytest.fixture
def tx() -> Iterator[Tx]:
    with school() as store, store.transaction(None) as opened:
        yield opened


@pytest.mark.parametrize(
    "raw, reason",
    [
        (b'{"name":""}', "name"),
        (b'{"name":"1st"}', "name"),
        (b'{"name":"a b"}', "name"),
        (b'{"name":"a\\n"}', "name"),
        (b'{"name":"' + b"a" * 101 + b'"}', "name"),
        (b'{"name":"a","data":[]}', "data must be an object"),
        (b'{"name":"a","data":"{}"}', "data must be an object"),
        (b'{"name":"a","data":null}', "data must be an object"),
        (b'{"name":"a","courseId":""}', "courseId"),
        (b'{"name":"a","more":1}', "more"),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_its_field(raw: bytes, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.json.decode(raw, type=AnalyticsRecorded)


@pytest.mark.parametrize("raw", [b'{"name":"a"}', b'{"name":"a","data":  {} }'])
def test_data_left_out_is_an_empty_object(raw: bytes) -> None:
    assert bytes(msgspec.json.decode(raw, type=AnalyticsRecorded).data) == b"{}"


def test_data_is_kept_as_the_bytes_it_came_as(tx: Tx) -> None:
    one = event("analytics.recorded", "ada", 1, name="page.opened", courseId="knots")
    body = msgspec.json.decode('{"name":"x","data":{ "ö" : 1.50}}', type=AnalyticsRecorded)
    apply_recorded(tx, [one._replace(body=body)])
    assert table(tx, analytics_events) == [
        ("tide", one.id, "ada", "x", None, None, one.occurred_at, '{ "ö" : 1.50}')
    ]


def test_events_are_counted_per_learner_day_place_and_name(tx: Tx) -> None:
    here = {"name": "page.opened", "courseId": "knots", "lessonId": "one"}
    events = [
        event("analytics.recorded", "ada", 1, **here),
        event("analytics.recorded", "ada", 2, **here),
        event("analytics.recorded", "abe", 3, **here),
        event("analytics.recorded", "ada", 4, name="page.opened"),
        event("analytics.recorded", "ada", 5, **here)._replace(occurred_at="2026-11-20T08:00:00.000Z"),
    ]
    apply_recorded(tx, events[:3])
    apply_recorded(tx, events[3:])
    day = "2026-11-23"
    assert table(tx, activity) == [
        ("tide", "", "", day, "ada", "page.opened", 1, events[3].received_at),
        ("tide", "knots", "one", "2026-11-20", "ada", "page.opened", 1, events[4].received_at),
        ("tide", "knots", "one", day, "abe", "page.opened", 1, events[2].received_at),
        ("tide", "knots", "one", day, "ada", "page.opened", 2, events[1].received_at),
    ]


def test_a_course_nobody_knows_is_counted_all_the_same(tx: Tx) -> None:
    apply_recorded(tx, [event("analytics.recorded", "ada", 1, name="page.opened", courseId="long-gone")])
    assert [row[1] for row in table(tx, activity)] == ["long-gone"]


def test_a_user_of_another_org_is_refused_by_name(tx: Tx) -> None:
    stray = event("analytics.recorded", "cleo", 2, name="page.opened")
    with pytest.raises(Rejected, match="user cleo is not an active member of org tide") as caught:
        apply_recorded(tx, [event("analytics.recorded", "ada", 1, name="page.opened"), stray])
    assert caught.value.code == "not_a_member"
    assert table(tx, analytics_events) == []
