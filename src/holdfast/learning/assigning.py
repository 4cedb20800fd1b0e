"""What became of the events that assign courses and take them away: for whoever asks later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Row, and_, select

from holdfast.learning.assigned import Refused, named_refusals
from holdfast.store.port import Tx
from holdfast.store.schema import assignment_results, audit, courses, dead_letters, users

ACTS: Final = ("course.assigned", "course.unassigned")


class Assigning(msgspec.Struct, rename="camel", kw_only=True):
    """One event and its outcome; times RFC 3339 UTC.

    `state`: `applied`; `waiting`, durable and not yet applied; or `parked`, among the dead letters with a
    reason, also when it was discarded there.
    What an event is about stands in the journal until it is applied: all but `id` and `state` is
    empty while it waits, and of a parked one only the reason is known.
    """

    id: str
    state: Literal["applied", "waiting", "parked"]
    kind: str | None = None
    course_id: str | None = None
    course_title: str | None = None
    by_id: str | None = None
    by_name: str | None = None
    at: str | None = None
    """When the event was received."""
    changed: int | None = None
    """Learners who got the course, or lost it."""
    already: int | None = None
    refused: list[Refused] = []
    code: str | None = None
    reason: str | None = None


class AssigningList(msgspec.Struct, rename="camel", kw_only=True):
    """The latest applied events, newest first."""

    items: list[Assigning]


def recent_assigning(tx: Tx, org: str, limit: int) -> AssigningList:
    """The org's latest applied events, in a transaction scoped to it."""
    notes = _notes().order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    return AssigningList(items=_worded(tx, org, tx.rows(notes)))


def assigning_of(tx: Tx, org: str, event_id: str) -> Assigning | None:
    """One event, in a transaction scoped to its org; None while it is neither applied nor parked."""
    found = tx.rows(_notes().where(assignment_results.c.event_id == event_id))
    if found:
        return _worded(tx, org, found)[0]
    # However often it was redriven, and after it was discarded too: it is here, and it did nothing.
    # Another body under the same id is a letter of its own, and came later.
    letter = dead_letters.c
    letters = tx.rows(
        select(dead_letters)
        .where(letter.event_id == event_id, letter.status != "redriven")
        .order_by(letter.position)
        .limit(1)
    )
    if not letters:
        return None
    row = letters[0]
    reason = f"{row.reason}; discarded: {row.settled_why}" if row.status == "discarded" else row.reason
    said = {"kind": row.kind, "by_id": row.user_id, "at": row.received_at}
    return Assigning(id=event_id, state="parked", **said, code=row.code, reason=reason)


def _notes() -> Any:  # noqa: ANN401 - a select of several tables' columns
    """Each result beside the note that its event left."""
    result = assignment_results.c
    note_id = result.org_id.concat("/").concat(result.event_id)
    return (
        select(audit.c.at, audit.c.act, audit.c.subject, audit.c.actor_id)
        .add_columns(result.event_id, result.assigned, result.already, result.refused)
        .join_from(assignment_results, audit, and_(audit.c.org_id == result.org_id, audit.c.id == note_id))
        .where(audit.c.act.in_(ACTS))
    )


def _worded(tx: Tx, org: str, rows: Sequence[Row[Any]]) -> list[Assigning]:
    actors = {row.actor_id for row in rows}
    names = dict(map(tuple, tx.rows(select(users.c.id, users.c.name).where(users.c.id.in_(actors)))))
    ids = {row.subject for row in rows}
    titles = dict(map(tuple, tx.rows(select(courses.c.id, courses.c.title).where(courses.c.id.in_(ids)))))
    return [
        Assigning(
            id=row.event_id,
            state="applied",
            kind=row.act,
            course_id=row.subject,
            course_title=titles.get(row.subject),
            by_id=row.actor_id,
            by_name=names.get(row.actor_id),
            at=row.at,
            changed=row.assigned,
            already=row.already,
            refused=named_refusals(tx, org, row.refused),
        )
        for row in rows
    ]
