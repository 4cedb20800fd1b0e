"""Sending one dead letter through again: the same apply function, the same id, one transaction."""

from __future__ import annotations

from holdfast.core.errors import Conflict
from holdfast.events import deadletters, marks
from holdfast.events.deadletters import DeadLetter
from holdfast.events.entry import Kinds, read_record
from holdfast.events.sift import try_one
from holdfast.journal.record import Record
from holdfast.store.port import Tx


def redrive_one(
    tx: Tx, kinds: Kinds, letter_id: str, actor: str, now: str, org: str | None = None
) -> DeadLetter:
    """Apply a parked record now: settled as `redriven` when it goes through or already had its effect.

    A failure counts one redrive and leaves the new reason. Raises Rejected `not_found`, Conflict
    `settled` or `exhausted`; a conflict of bodies can't be redriven, only discarded.
    """
    row = deadletters.find(tx, letter_id, org)
    deadletters.require_open(row)
    mark = marks.known(tx, {row.org_id: [row.event_id]}).get((row.org_id, row.event_id))
    if row.code == "conflict" or mark not in (None, row.digest):
        raise Conflict(
            "another body with this id was applied; sending this one through would undo it",
            hint="Discard it with a reason, or have the sender send it under a new id.",
        )
    record = Record(row.position, row.received_at, row.record)
    if mark is not None:
        # It came again by itself in the meantime and was applied.
        marks.tally(tx, row.lane, {row.org_id: (0, 1, -1)})
        deadletters.settle(tx, row, "redriven", actor, "was applied already", now)
    elif (failed := try_one(tx, kinds, read_record(record))) is not None:
        deadletters.count_redrive(tx, row, failed.code, failed.reason)
    else:
        marks.put(tx, [(row.org_id, row.event_id, row.digest, row.position)])
        marks.tally(tx, row.lane, {row.org_id: (1, 0, -1)})
        deadletters.settle(tx, row, "redriven", actor, "applied", now)
    return deadletters.show(tx, letter_id, row.org_id)
