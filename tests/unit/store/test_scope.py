"""A scoped transaction never shows or changes another org's row, also where the query forgot to say so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Executable,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    table,
    text,
    union,
    update,
    values,
)
from sqlalchemy import column as named
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from holdfast.store.port import Tx
from holdfast.store.schema import assignments, courses, lessons, metadata, orgs, progress, users
from holdfast.store.scope import OrgEscape
from holdfast.store.sqlite import SqliteStore

NOW = "2026-11-23T10:00:00.000Z"
MINE, OTHERS = "tidewater", "highland"


def row(org: str, its_id: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - a column's value
    """A course."""
    words = {"title": f"{org} {its_id}", "description": "", "licence": "", "archived": False}
    return {"org_id": org, "id": its_id, **words, "created_at": NOW, "updated_at": NOW, **more}


def lesson(org: str, course: str, its_id: str) -> dict[str, Any]:
    """A lesson of a course."""
    key = {"org_id": org, "course_id": course, "id": its_id}
    return {**key, "position": 1, "title": f"{org} {its_id}", "source": "", "html": "", "quiz": []}


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    """Two orgs with the same courses and lessons, by name."""
    opened = SqliteStore(None)
    with opened.transaction(None) as tx:
        for org in (MINE, OTHERS):
            tx.run(insert(orgs).values(id=org, slug=org, name=org, created_at=NOW))
            tx.run(insert(courses), [row(org, "knots"), row(org, "tides")])
            tx.run(insert(lessons), [lesson(org, "knots", "one"), lesson(org, "tides", "two")])
    yield opened
    opened.close()


@pytest.fixture
def mine(store: SqliteStore) -> Iterator[Tx]:
    """A transaction of one of them."""
    with store.transaction(MINE) as tx:
        yield tx


def everything(store: SqliteStore) -> list[tuple[Any, ...]]:
    """All rows of both orgs' courses and lessons."""
    with store.transaction(None) as tx:
        found = [tuple(each) for source in (courses, lessons) for each in tx.rows(select(source))]
    return sorted(found, key=str)


# Reading


SELECTS: dict[str, Executable] = {
    "a table": select(courses.c.org_id, courses.c.title),
    "a table, asked for the other org by name": select(courses.c.title).where(courses.c.org_id == OTHERS),
    "either org": select(courses.c.title).where((courses.c.org_id == OTHERS) | (courses.c.org_id == MINE)),
    "an alias": select(courses.alias("c").c.title),
    "an alias of the table beside it": select(courses.c.title, (c := courses.alias("c")).c.title).where(
        courses.c.id == c.c.id
    ),
    "a join": select(courses.c.title, lessons.c.title).join_from(
        courses, lessons, courses.c.id == lessons.c.course_id
    ),
    "a join of three": select(courses.c.title, lessons.c.title).select_from(
        courses.join(lessons, courses.c.id == lessons.c.course_id).join(
            d := courses.alias("d"), d.c.id == courses.c.id
        )
    ),
    "two tables, joined by a condition": select(courses.c.title, lessons.c.title).where(
        courses.c.id == lessons.c.course_id
    ),
    "an outer join that ties the orgs": select(courses.c.title, lessons.c.title).join_from(
        courses,
        lessons,
        and_(courses.c.org_id == lessons.c.org_id, courses.c.id == lessons.c.course_id),
        isouter=True,
    ),
    "a function over a table": select(func.group_concat(courses.c.title)),
    "a table named only in what is selected from": select(func.count()).select_from(courses),
    "an order and a limit": select(courses.c.title).order_by(courses.c.title).limit(10),
    "distinct": select(courses.c.title).distinct(),
}


@pytest.mark.parametrize("statement", SELECTS.values(), ids=SELECTS)
def test_no_select_shows_a_row_of_the_other_org(mine: Tx, statement: Executable) -> None:
    found = [str(each) for line in mine.rows(statement) for each in line]
    assert not any(OTHERS in each for each in found), found


def test_a_count_counts_ones_own(mine: Tx) -> None:
    assert mine.rows(select(func.count()).select_from(courses))[0][0] == 2


def test_a_subquery_that_names_its_org_is_run(mine: Tx) -> None:
    inner = select(lessons.c.course_id).where(lessons.c.org_id == MINE, lessons.c.id == "one")
    assert [each.id for each in mine.rows(select(courses.c.id).where(courses.c.id.in_(inner)))] == ["knots"]
    tied = exists().where(lessons.c.org_id == courses.c.org_id, lessons.c.course_id == courses.c.id)
    assert len(mine.rows(select(courses.c.id).where(tied))) == 2
    source = select(courses.c.title).where(courses.c.org_id == MINE).subquery()
    assert len(mine.rows(select(source))) == 2
    both = union(
        select(courses.c.title).where(courses.c.org_id == MINE),
        select(lessons.c.title).where(lessons.c.org_id == MINE),
    ).subquery()
    assert len(mine.rows(select(both))) == 4
    joined = (
        select(lessons.c.title)
        .join_from(
            courses, lessons, and_(lessons.c.org_id == courses.c.org_id, lessons.c.course_id == courses.c.id)
        )
        .where(courses.c.org_id == MINE)
        .subquery()
    )
    assert len(mine.rows(select(joined))) == 2


def test_tables_of_the_platform_are_read_as_they_are(mine: Tx) -> None:
    assert len(mine.rows(select(orgs))) == 2
    assert mine.rows(select(users)) == []


OPEN: dict[str, Executable] = {
    "raw text": text("select title from courses"),
    "raw text as a source": select(named("title")).select_from(text("courses")),
    "raw text as a column": select(text("title")).select_from(courses),
    "raw text as a condition": select(courses.c.title).where(text("1 = 1")),
    "a table that is only named": select(table("courses", named("title")).c.title),
    "a union": union(select(courses.c.title), select(lessons.c.title)),
    "a subquery in a condition": select(courses.c.id).where(courses.c.id.in_(select(lessons.c.course_id))),
    "a subquery as a column": select(
        courses.c.id, select(func.count()).select_from(lessons).scalar_subquery()
    ),
    "a subquery as a source": select(select(courses.c.title).subquery()),
    "a subquery in a subquery": select(select(select(courses.c.title).subquery().c.title).subquery()),
    "a common table expression": select(select(courses.c.title).cte("all_of_them")),
    "a union as a source": select(union(select(courses.c.title), select(lessons.c.title)).subquery()),
    "a subquery over a join": select(
        select(lessons.c.title).join_from(courses, lessons, courses.c.id == lessons.c.course_id).subquery()
    ),
    "a subquery over a join, narrowed on one side only": select(
        select(lessons.c.title)
        .join_from(courses, lessons, courses.c.id == lessons.c.course_id)
        .where(courses.c.org_id == MINE)
        .subquery()
    ),
    "exists": select(courses.c.id).where(exists().where(lessons.c.course_id == courses.c.id)),
    "an outer join that ties nothing": select(lessons.c.title).join_from(
        courses, lessons, courses.c.id == lessons.c.course_id, isouter=True
    ),
    "an outer join to a join": select(lessons.c.title).select_from(
        courses.outerjoin(
            lessons.join(
                progress, and_(progress.c.org_id == lessons.c.org_id, progress.c.lesson_id == lessons.c.id)
            ),
            courses.c.id == lessons.c.course_id,
        )
    ),
    "a full join": select(lessons.c.title).join_from(
        courses,
        lessons,
        and_(courses.c.org_id == lessons.c.org_id, courses.c.id == lessons.c.course_id),
        full=True,
    ),
    "values": select(values(named("x", courses.c.id.type), name="v").data([("a",)])),
}


@pytest.mark.parametrize("statement", OPEN.values(), ids=OPEN)
def test_a_select_that_can_not_be_narrowed_is_a_fault_in_the_code(mine: Tx, statement: Executable) -> None:
    with pytest.raises(OrgEscape):
        mine.rows(statement)


# Writing


WRITES: dict[str, Executable] = {
    "update all": update(courses).values(title="changed"),
    "update the other org's by name": update(courses)
    .where(courses.c.org_id == OTHERS)
    .values(title="changed"),
    "update by another column": update(courses).where(courses.c.id == "knots").values(title="changed"),
    "update by a subquery that names its org": update(lessons)
    .where(lessons.c.course_id.in_(select(courses.c.id).where(courses.c.org_id == OTHERS)))
    .values(title="changed"),
    "delete all": delete(lessons),
    "delete the other org's by name": delete(lessons).where(lessons.c.org_id == OTHERS),
    "insert": insert(courses).values({**row(MINE, "new"), "org_id": MINE}),
    "insert many": insert(courses).values([row(MINE, "new"), row(MINE, "newer")]),
    "insert or update": sqlite_insert(courses)
    .values(**row(MINE, "knots"))
    .on_conflict_do_update(index_elements=[courses.c.org_id, courses.c.id], set_={"title": "changed"}),
}


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES)
def test_no_write_touches_a_row_of_the_other_org(store: SqliteStore, statement: Executable) -> None:
    before = [each for each in everything(store) if each[0] == OTHERS]
    with store.transaction(MINE) as tx:
        tx.run(statement)
    assert [each for each in everything(store) if each[0] == OTHERS] == before


ESCAPES: dict[str, tuple[Executable, Any]] = {
    "insert for the other org": (insert(courses).values(**row(OTHERS, "new")), None),
    "insert for the other org, as a parameter": (insert(courses), row(OTHERS, "new")),
    "insert many, one for the other org": (insert(courses), [row(MINE, "a"), row(OTHERS, "b")]),
    "insert many in one statement": (insert(courses).values([row(MINE, "a"), row(OTHERS, "b")]), None),
    "insert, the org left to a parameter": (
        insert(courses).values(**{**row(OTHERS, "new"), "org_id": literal(OTHERS)}),
        None,
    ),
    "insert from select": (
        insert(courses).from_select(["org_id", "id"], select(courses.c.org_id, courses.c.id)),
        None,
    ),
    "insert what a subquery reads": (
        insert(courses).values(
            {**row(MINE, "new"), "title": select(func.max(courses.c.title)).scalar_subquery()}
        ),
        None,
    ),
    "insert, or move to the other org": (
        sqlite_insert(courses)
        .values(**row(MINE, "knots"))
        .on_conflict_do_update(index_elements=[courses.c.org_id, courses.c.id], set_={"org_id": OTHERS}),
        None,
    ),
    "insert, or write what a subquery reads": (
        sqlite_insert(courses)
        .values(**row(MINE, "knots"))
        .on_conflict_do_update(
            index_elements=[courses.c.org_id, courses.c.id],
            set_={"title": select(func.max(lessons.c.title)).scalar_subquery()},
        ),
        None,
    ),
    "move a row": (update(lessons).values(org_id=OTHERS), None),
    "move a row, in order": (update(lessons).ordered_values((lessons.c.org_id, OTHERS)), None),
    "move a row, as a parameter": (update(lessons), {"org_id": OTHERS}),
    "move a row to where a subquery says": (
        update(lessons).values(org_id=select(func.max(orgs.c.id)).scalar_subquery()),
        None,
    ),
    "update from a second table": (
        update(courses).values(title=lessons.c.title).where(lessons.c.course_id == courses.c.id),
        None,
    ),
    "update by a second table": (
        update(courses).values(title="x").where(lessons.c.course_id == courses.c.id),
        None,
    ),
    "update by an open subquery": (
        update(courses).values(title="x").where(courses.c.id.in_(select(lessons.c.course_id))),
        None,
    ),
    "update to what an open subquery reads": (
        update(courses).values(title=select(func.max(lessons.c.title)).scalar_subquery()),
        None,
    ),
    "delete by an open subquery": (
        delete(lessons).where(lessons.c.course_id.in_(select(assignments.c.course_id))),
        None,
    ),
    "raw text": (text("delete from lessons"), None),
}


@pytest.mark.parametrize("statement,params", ESCAPES.values(), ids=ESCAPES)
def test_a_write_that_could_reach_the_other_org_is_a_fault_in_the_code(
    store: SqliteStore,
    statement: Executable,
    params: Any,  # noqa: ANN401 - rows of any shape
) -> None:
    before = everything(store)
    with pytest.raises(OrgEscape), store.transaction(MINE) as tx:
        tx.run(statement, params)
    assert everything(store) == before


def test_rows_need_not_state_their_org(store: SqliteStore) -> None:
    bare = {name: value for name, value in row(MINE, "new").items() if name != "org_id"}
    with store.transaction(MINE) as tx:
        tx.run(insert(courses).values(**bare))
        tx.run(insert(courses), [{**bare, "id": "newer"}])
    assert len([each for each in everything(store) if each[0] == MINE]) == 6


def test_every_tenant_table_has_its_org_first_in_its_key() -> None:
    """The condition is then the beginning of an index, and no two orgs can share a key."""
    keyed = {
        each.name: next(iter(each.primary_key.columns), None)
        for each in metadata.sorted_tables
        if "org_id" in each.c
    }
    first = {name: column.name for name, column in keyed.items() if column is not None}
    # `audit` has acts on the platform too; `analytics_events` has no key on purpose.
    assert {name for name, column in first.items() if column != "org_id"} == {"audit"}
    assert {name for name, column in keyed.items() if column is None} == {"analytics_events"}
