"""Who did what: rows that are written in the same transaction as the act, or not at all."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import select, tuple_

from holdfast.core.clock import SystemClock, rfc3339
from holdfast.core.ids import uuid7
from holdfast.store.port import Tx
from holdfast.store.schema import audit


class Note(NamedTuple):
    """One act. `at` is RFC 3339 UTC; `org` is None for an act on the platform."""

    id: str
    at: str
    org: str | None
    actor: str
    act: str
    subject: str
    details: dict[str, Any]


def note(tx: Tx, actor: str, act: str, subject: str, details: dict[str, Any]) -> None:
    """Write down an act in the transaction's own org.

    `actor` is a user id, `act` a dotted past-tense name (`course.created`), `subject` what it was done
    to, `details` JSON without secrets.
    """
    note_for(tx, tx.org, actor, act, subject, details)


def note_for(
    tx: Tx,
    org: str | None,
    actor: str,
    act: str,
    subject: str,
    details: dict[str, Any],
    *,
    id: str | None = None,  # noqa: A002 - it is the row's id
    at: str | None = None,
) -> None:
    """Write down an act in an org, or (None) on the platform, from an unbound transaction.

    With an `id` it may be called again: the first note stays and nothing is added. `at`: RFC 3339
    UTC, now if left out; an apply function gives its event's `received_at`, so that a replay writes
    what was written before.
    """
    row = {
        "id": id or uuid7(),
        "at": at or rfc3339(SystemClock().now_s()),
        "org_id": org,
        "actor_id": actor,
        "act": act,
        "subject": subject,
        "details": details,
    }
    tx.run(tx.insert(audit).values(**row).on_conflict_do_nothing(index_elements=["id"]))


def recent(tx: Tx, limit: int, before: tuple[str, str] | None = None) -> list[Note]:
    """The latest acts, newest first: the transaction's org's, or everybody's where it has none.

    `before`: `(at, id)` of the last note already seen, to read on from there.
    """
    found = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    if before is not None:
        found = found.where(tuple_(audit.c.at, audit.c.id) < before)
    return [
        Note(row.id, row.at, row.org_id, row.actor_id, row.act, row.subject, row.details)
        for row in tx.rows(found)
    ]
