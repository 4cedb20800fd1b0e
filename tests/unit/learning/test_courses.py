from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select

from holdfast.core.errors import Conflict, Rejected
from holdfast.learning import courses
from holdfast.learning.courses import change_course, course_detail, course_rows, create_course, put_course
from holdfast.learning.importing import MAX_ID, demo_course, is_course_id
from holdfast.learning.lessons import my_courses
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.store.sqlite import SqliteStore
from tests.unit.learning.classroom import ADA, LATER, NOW, assign, course, school


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with school() as made:
        yield made


def rows_of(tx: Tx) -> dict[str, list[Any]]:
    """Everything an import writes."""
    tables = (schema.courses, schema.lessons, schema.assets)
    return {table.name: [tuple(row) for row in tx.rows(select(table))] for table in tables}


def complete(tx: Tx, lesson_id: str) -> None:
    row = {
        "user_id": "ada",
        "course_id": "knots",
        "lesson_id": lesson_id,
        "percent": 100.0,
        "completed": True,
    }
    row |= {"completed_at": NOW, "position_s": 0.0, "position_key": "", "last_at": NOW}
    tx.run(insert(schema.progress).values(**row))


def test_a_course_is_put_whole_and_told(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        report = put_course(tx, course(), "tidewater", NOW)
        row = course_rows(tx)[0]
    assert (report.course_id, report.lessons, report.figures) == ("knots", 2, 1)
    assert (report.replaced, report.unchanged) == (False, False)
    assert (row.id, row.lesson_count, row.created_at, row.archived) == ("knots", 2, NOW, False)


def test_the_same_course_again_writes_nothing(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
        before = rows_of(tx)
        report = put_course(tx, course(), "tidewater", LATER)
        assert rows_of(tx) == before
    assert (report.replaced, report.unchanged) == (False, True)


def test_a_changed_course_replaces_lessons_and_figures_and_keeps_progress(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
        assign(tx, "ada", "knots")
        complete(tx, "01-one")
        complete(tx, "02-two")
        changed = {
            "course.yaml": "id: knots\ntitle: More knots\nlessons: [03-new.md, 01-one.md]\n",
            "03-new.md": "New. ![](fig/new.png)",
            "fig/new.png": "new",
            "fig/rope.png": "another rope",
        }
        report = put_course(tx, course(**changed), "tidewater", LATER)
        held = rows_of(tx)
        card = my_courses(tx, ADA)[0]
    assert (report.replaced, report.unchanged, report.lessons, report.figures) == (True, False, 2, 2)
    assert [row[2:4] for row in sorted(held["lessons"], key=lambda row: row[3])] == [
        ("03-new", 0),
        ("01-one", 1),
    ]
    assert {row[2]: row[5] for row in held["assets"]} == {
        "fig/new.png": b"new",
        "fig/rope.png": b"another rope",
    }
    assert (card.title, card.lesson_count, card.completed_lessons, card.percent) == ("More knots", 2, 1, 50.0)


def test_a_new_figure_alone_counts_as_a_change(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
        report = put_course(tx, course(**{"fig/rope.png": "other"}), "tidewater", LATER)
        assert course_rows(tx)[0].updated_at == LATER
    assert report.replaced


def test_an_import_that_breaks_in_the_middle_leaves_what_was_there(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
        before = rows_of(tx)

    def breaks(*_: object) -> bool:
        raise OSError("the disk went away")

    monkeypatch.setattr(courses, "_put_assets", breaks)
    changed = course(**{"01-one.md": "Changed."})
    with pytest.raises(OSError, match="the disk went away"), store.transaction("tidewater") as tx:
        put_course(tx, changed, "tidewater", LATER)
    with store.transaction("tidewater") as tx:
        assert rows_of(tx) == before


def test_a_course_stays_in_the_org_it_was_put_into(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
    with store.transaction("highland") as tx:
        assert course_rows(tx) == []
        put_course(tx, course(**{"01-one.md": "Highland's own."}), "highland", NOW)
        with pytest.raises(ValueError, match="bound to"):
            put_course(tx, course(), "tidewater", NOW)
    with store.transaction("tidewater") as tx:
        assert put_course(tx, course(), "tidewater", NOW).unchanged


def test_a_new_course_does_not_take_the_place_of_another(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        create_course(tx, course(), "tidewater", NOW)
        with pytest.raises(Conflict, match="'knots' exists already") as caught:
            create_course(tx, course(**{"01-one.md": "Changed."}), "tidewater", NOW)
    assert caught.value.code == "already_exists"


def test_whoever_wants_to_be_asked_replaces_nothing_and_learns_a_free_id(store: SqliteStore) -> None:
    changed = course(**{"01-one.md": "Changed."})
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
        before = rows_of(tx)
        assert put_course(tx, changed, "tidewater", LATER, replace=False).free_id == "knots-2"
        figure = course(**{"fig/rope.png": "another rope"})
        assert put_course(tx, figure, "tidewater", LATER, replace=False).free_id == "knots-2"
        assert rows_of(tx) == before
        again = put_course(tx, course(), "tidewater", LATER, replace=False)
        assert (again.unchanged, again.free_id) == (True, None)
        both = put_course(tx, changed._replace(id="knots-2"), "tidewater", LATER, replace=False)
        assert (both.replaced, both.free_id) == (False, None)
        assert put_course(tx, changed, "tidewater", LATER, replace=False).free_id == "knots-3"
        assert [row.id for row in course_rows(tx)] == ["knots", "knots-2"]


def test_a_free_id_is_no_longer_than_an_id_may_be(store: SqliteStore) -> None:
    long = "a" * MAX_ID
    with store.transaction("tidewater") as tx:
        put_course(tx, course()._replace(id=long), "tidewater", NOW)
        free = put_course(tx, course()._replace(id=long, title="x"), "tidewater", NOW, replace=False).free_id
    assert free is not None
    assert is_course_id(free)
    assert free != long


def test_an_admin_sees_a_course_with_its_lessons_in_order_archived_or_not(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
        change_course(tx, "knots", {"archived": True}, LATER)
        found = course_detail(tx, "knots")
    assert (found.course.id, found.course.archived, found.course.lesson_count) == ("knots", True, 2)
    assert [(each.id, each.title, each.questions) for each in found.lessons] == [
        ("01-one", "One", 0),
        ("02-two", "Two", 1),
    ]
    with store.transaction("highland") as tx, pytest.raises(Rejected):
        course_detail(tx, "knots")


def test_a_course_is_changed_by_what_is_named_alone(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
        row = change_course(tx, "knots", {"archived": True}, LATER)
        assert (row.title, row.description, row.archived, row.updated_at) == ("Knots", "Ropes.", True, LATER)
        assert put_course(tx, course(**{"01-one.md": "x"}), "tidewater", LATER).replaced
        assert course_rows(tx)[0].archived


def test_another_orgs_course_cannot_be_changed(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        put_course(tx, course(), "tidewater", NOW)
    with store.transaction("highland") as tx, pytest.raises(Rejected) as caught:
        change_course(tx, "knots", {"title": "Mine"}, NOW)
    assert caught.value.code == "not_found"


def test_the_demo_course_goes_in_twice_without_a_change(store: SqliteStore) -> None:
    with store.transaction("tidewater") as tx:
        assert not put_course(tx, demo_course(), "tidewater", NOW).unchanged
        assert put_course(tx, demo_course(), "tidewater", LATER).unchanged
