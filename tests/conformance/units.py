"""Units of work that the store's conformance tests are made of."""

from __future__ import annotations

from sqlalchemy import insert, select

from holdfast.store import schema
from holdfast.store.port import Tx

NOW = "2026-11-23T10:00:00.000Z"
MARKS = insert(schema.marks).values(dict.fromkeys(schema.marks.c.keys()))


class Undone(Exception):
    """What a unit of work raises to be undone."""


def found(tx: Tx, org: str, slug: str | None = None) -> int:
    """Found an org."""
    return tx.run(insert(schema.orgs).values(id=org, slug=slug or org, name=org, created_at=NOW))


def cursor(tx: Tx, lane: str, position: int) -> int:
    """Write a cursor: a table of the platform's, with one row a lane."""
    return tx.run(insert(schema.cursors).values(lane=lane, position=position, moved_at=NOW))


def lanes(tx: Tx) -> dict[str, int]:
    """The cursors that are there."""
    return {row.lane: row.position for row in tx.rows(select(schema.cursors))}


def undone(tx: Tx) -> None:
    """Write, one way and the other, and raise."""
    cursor(tx, "undone", 1)
    tx.many(MARKS, [("tidewater", "e1", 1, 1)])
    raise Undone


def two_orgs(tx: Tx) -> None:
    """A course of the same name in two orgs."""
    for org in ("tidewater", "highland"):
        found(tx, org)
        tx.run(insert(schema.courses).values(**course("knots", org_id=org)))


def course(name: str, **more: str) -> dict[str, object]:
    """A course's row."""
    row = {"id": name, "title": name, "description": "", "licence": "", "archived": False}
    return {**row, "created_at": NOW, "updated_at": NOW, **more}


def titles(tx: Tx) -> list[tuple[str, str]]:
    """Org and title of each course that can be seen."""
    its = schema.courses.c
    return [(row.org_id, row.title) for row in tx.rows(select(its.org_id, its.title).order_by(its.org_id))]
