"""A person's data in the store: all of it given out, or all of it taken out, in one org."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Table, delete, select, update

from holdfast.events.replay import cancelled_by
from holdfast.store.port import Tx
from holdfast.store.schema import (
    activity,
    analytics_events,
    answers,
    assignment_results,
    assignments,
    audit,
    dead_letters,
    devices,
    intervals,
    loss_receipts,
    memberships,
    progress,
    replay_jobs,
    users,
)

THEIRS: Final = (
    progress, intervals, answers, analytics_events, activity, assignments, loss_receipts, devices,
    memberships,
)  # fmt: skip
"""Tables whose rows are one person's each."""


def export(tx: Tx, org: str, user: str) -> dict[str, Any]:
    """Everything the org's tables hold of a person, in an unbound transaction; empty lists left out."""
    said: dict[str, Any] = {}
    them = select(users.c.id, users.c.email, users.c.name, users.c.active, users.c.created_at)
    said["user"] = _dicts(tx.rows(them.where(users.c.id == user)))
    for table in THEIRS:
        asked = select(table).where(table.c.org_id == org, table.c.user_id == user)
        said[str(table.name)] = _dicts(tx.rows(asked))
    letters = select(dead_letters).where(dead_letters.c.org_id == org, dead_letters.c.user_id == user)
    said["dead_letters"] = _dicts(tx.rows(letters))
    acts = select(audit).where(audit.c.org_id == org, audit.c.actor_id == user)
    said["audit"] = _dicts(tx.rows(acts))
    return {name: rows for name, rows in said.items() if rows}


def _dicts(rows: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Rows by the names of their columns; the bytes of letters as text."""
    return [
        {
            str(name): value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for name, value in row._mapping.items()  # noqa: SLF001 - the public name
        }
        for row in rows
    ]


def is_known(tx: Tx, org: str, user: str) -> bool:
    """Whether the person is, or was, of the org, or a letter is theirs."""
    return any(
        tx.rows(select(table.c.user_id).where(table.c.org_id == org, table.c.user_id == user).limit(1))
        for table in (memberships, dead_letters)
    )


def close_membership(tx: Tx, org: str, user: str) -> None:
    """Let nothing new of the person in."""
    theirs = (memberships.c.org_id == org) & (memberships.c.user_id == user)
    tx.run(update(memberships).where(theirs).values(active=False))


def forget(tx: Tx, org: str, user: str) -> dict[str, int]:
    """Take a person out of an org's tables, in an unbound transaction; table -> rows.

    What others' rows say of them goes too. Rows that keep the ledger balanced stay, without the person.
    The account goes with its last membership.
    """
    counts: dict[str, int] = {}
    for table in THEIRS:
        gone = delete(table).where(table.c.org_id == org, table.c.user_id == user)
        _note(counts, table, tx.run(gone))
    letters = dead_letters
    mine = (letters.c.org_id == org) & (letters.c.user_id == user)
    blank = {"user_id": "", "record": b"{}", "corrected": None, "reason": "erased", "status": "discarded"}
    _note(counts, letters, tx.run(update(letters).where(mine).values(**blank)))
    for column, said in (
        (assignments.c.assigned_by, user),
        (letters.c.settled_by, user),
        (replay_jobs.c.asked_by, user),
        (replay_jobs.c.why, cancelled_by(user)),
    ):
        by = (column.table.c.org_id == org) & (column == said)
        tx.run(update(column.table).where(by).values(**{column.name: ""}))
    _forget_refusals(tx, org, user, counts)
    for column in (audit.c.actor_id, audit.c.subject):
        named = (audit.c.org_id == org) & (column == user)
        _note(counts, audit, tx.run(update(audit).where(named).values(**{column.name: ""})))
    _forget_details(tx, org, user, counts)
    _forget_samples(tx, org, user, counts)
    if not tx.rows(select(memberships.c.org_id).where(memberships.c.user_id == user).limit(1)):
        gone = delete(users).where(users.c.id == user, users.c.operator.is_(False))
        _note(counts, users, tx.run(gone))
    return {name: number for name, number in counts.items() if number}


def _forget_refusals(tx: Tx, org: str, user: str, counts: dict[str, int]) -> None:
    table = assignment_results
    asked = select(table.c.event_id, table.c.refused).where(table.c.org_id == org)
    for row in tx.rows(asked):
        left = [each for each in row.refused if each["userId"] != user]
        if len(left) < len(row.refused):
            this = (table.c.org_id == org) & (table.c.event_id == row.event_id)
            _note(counts, table, tx.run(update(table).where(this).values(refused=left)))


def _forget_details(tx: Tx, org: str, user: str, counts: dict[str, int]) -> None:
    """Acts of others that name the person, such as a replay of theirs."""
    for row in tx.rows(select(audit.c.id, audit.c.details).where(audit.c.org_id == org)):
        left = _unnamed(row.details, user)
        if left != row.details:
            _note(counts, audit, tx.run(update(audit).where(audit.c.id == row.id).values(details=left)))


def _unnamed(said: Any, user: str) -> Any:  # noqa: ANN401 - JSON is anything
    """The same with nobody where the person is named."""
    if isinstance(said, dict):
        return {name: _unnamed(value, user) for name, value in said.items()}
    if isinstance(said, list):
        return [_unnamed(value, user) for value in said]
    return "" if said == user else said


def _forget_samples(tx: Tx, org: str, user: str, counts: dict[str, int]) -> None:
    """Replays keep whose they are, and a few rows to show."""
    table = replay_jobs
    for row in tx.rows(select(table).where(table.c.org_id == org)):
        if f'"{user}"'.encode() in msgspec.json.encode([row.request, row.sample, row.problems]):
            this = (table.c.org_id == org) & (table.c.id == row.id)
            # Nobody, and not None: that would be a replay of everybody.
            request = {**row.request, "userId": ""} if row.request.get("userId") == user else row.request
            change = update(table).where(this).values(request=request, sample=[], problems=[])
            _note(counts, table, tx.run(change))


def _note(counts: dict[str, int], table: Table, number: int) -> None:
    counts[str(table.name)] = counts.get(str(table.name), 0) + number
