"""Sending one dead letter through again: the same apply function, the same id, one transaction."""

from __future__ import annotations

from holdfast.core.errors import Conflict, Rejected
from holdfast.events import deadletters, marks
from holdfast.events.deadletters import DeadLetter
from holdfast.events.entry import UNREADABLE, Entry, Kinds, Parked, read_record, with_body
from holdfast.events.sift import try_one
from holdfast.journal.record import Record
from holdfast.store.port import Tx


def redrive_one(  # noqa: PLR0917 - what a redrive is, in the order it is named everywhere
    tx: Tx,
    kinds: Kinds,
    letter_id: str,
    actor: str,
    now: str,
    org: str | None = None,
    body: bytes | None = None,
) -> DeadLetter:
    """Apply a parked record now: settled as `redriven` when it goes through or already had its effect.

    `body`: what to apply in the place of the record's own body. Once applied it is kept beside the record,
    and the mark stays that of the record: the device that sends it again hears `duplicate`. A failure
    counts one redrive and leaves the new reason, and no body. Raises Rejected `not_found`, and `invalid`
    for a body that its kind can't be; Conflict `settled` or `exhausted`. A conflict of bodies can only be
    discarded.
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
        deadletters.correct(tx, row, None)
        deadletters.settle(tx, row, "redriven", actor, "was applied already", now)
        return deadletters.show(tx, letter_id, row.org_id)
    entry = read_record(record)
    if body is not None:
        body, entry = _corrected(kinds, entry, body)
    failed = try_one(tx, kinds, entry)
    if failed is not None:
        deadletters.count_redrive(tx, row, failed.code, failed.reason)
    else:
        marks.put(tx, [(row.org_id, row.event_id, row.digest, row.position)])
        marks.tally(tx, row.lane, {row.org_id: (1, 0, -1)})
        # Replays and proofs take what stands there for what was applied: one that failed must not.
        deadletters.correct(tx, row, body)
        why = "applied" if body is None else "applied with a corrected body"
        deadletters.settle(tx, row, "redriven", actor, why, now)
    return deadletters.show(tx, letter_id, row.org_id)


def _corrected(kinds: Kinds, entry: Entry | Parked, body: bytes) -> tuple[bytes, Entry]:
    """The entry with another body, as the journal would have taken it in. Raises Rejected."""
    if isinstance(entry, Parked):
        raise Conflict(
            "the record's envelope can't be read, so no body helps it",
            hint="Discard it with a reason.",
        )
    found = kinds.find(entry.envelope.kind, entry.envelope.version)
    if found is None:
        raise Rejected(
            f"kind {entry.envelope.kind!r} version {entry.envelope.version} is not known here",
            code="unknown_kind",
        )
    kind, decoder = found
    if len(body) > kind.limit_bytes:
        raise Rejected(
            f"the body has {len(body)} bytes, {kind.limit_bytes} are allowed", code="event_too_large"
        )
    try:
        decoder.decode(body)
    except UNREADABLE as fault:
        raise Rejected(str(fault).replace("`$", "`body"), code="invalid") from None
    if kind.scrub is not None:
        body = kind.scrub(body, entry.envelope.org_id)
    return body, with_body(entry, body)
