"""Records the applier gave up on: park, list, explain, redrive, discard. Nothing is ever deleted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Row, select, tuple_, update

from holdfast.core.errors import CODES, Conflict, Rejected
from holdfast.events.entry import Entry, as_json
from holdfast.journal.record import Record
from holdfast.store import schema
from holdfast.store.port import Tx

MAX_REDRIVES: Final = 2
"""After so many tries by a person a letter is `exhausted`: something else must be mended first."""

_IN_LIST: Final = 300
"""Keys in one statement: three values each, and engines have a limit."""
_DIGEST = re.compile(r"[0-9a-f]{8}\Z")
_letters = schema.dead_letters


class Stated(Protocol):
    """What a record's envelope states of itself, as far as a letter keeps it."""

    org_id: str
    lane: str
    kind: str
    user_id: str


class DeadLetter(msgspec.Struct, rename="camel"):
    """One dead letter, as operators see it. `id` names it in addresses: `<event id>.<digest>`."""

    id: str
    org_id: str
    event_id: str
    kind: str
    lane: str
    user_id: str
    position: str
    received_at: str
    code: str
    reason: str
    status: str
    redrives: int
    parked_at: str
    settled_at: str | None
    settled_by: str | None
    settled_why: str | None
    rule: str = ""
    """What the code means, and so which rule the record breaks."""
    hint: str = ""
    """What to do about it."""
    corrected: msgspec.Raw | None = None
    """The body that was applied in the place of the record's own."""
    record: msgspec.Raw | None = None
    """As it stands in the journal; a text where it can't be read as JSON, and the hint says so then."""


HINTS: Final = {
    "course_unknown": "Import the course or lesson, then redrive; or redrive with a body that names "
    "the right one; or discard.",
    "not_a_member": "Make the person an active member again and redrive; or discard.",
    "forbidden": "Give the sender the role back and redrive; or let another do it, and discard.",
    "conflict": "Discard it with a reason: another body with this id had its effect.",
    "unknown_kind": "Bring the portal up to the version that knows this kind, then redrive.",
    "invalid": "Redrive with a corrected body; or discard.",
    "poison": "Report it with the record; redrive after the mend, or with a corrected body.",
}
"""code -> what an operator does about a letter."""
_OTHERWISE: Final = "Mend what the reason names, then redrive; or discard with a reason."


_AS_TEXT: Final = (
    "Not everybody could read the record as JSON: it is shown as text, with U+FFFD for what is no UTF-8."
)


def park(tx: Tx, record: Record, envelope: Stated, code: str, reason: str, now: str) -> bool:
    """Keep a record with its reason; whether it is a new letter."""
    statement = tx.insert(_letters).values(
        org_id=envelope.org_id,
        event_id=record.id,
        digest=record.digest,
        lane=envelope.lane,
        kind=envelope.kind,
        user_id=envelope.user_id,
        position=record.position,
        received_at=record.received_at,
        code=code,
        reason=reason[:2000],
        record=record.data,
        status="parked",
        redrives=0,
        parked_at=now,
    )
    return tx.run(statement.on_conflict_do_nothing()) == 1


def letters(  # noqa: PLR0913 - each narrows the listing by one thing
    tx: Tx,
    *,
    status: str | None = None,
    code: str | None = None,
    kind: str | None = None,
    user: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> list[DeadLetter]:
    """Letters, the oldest first, without their records. `after`: the `place` of the last one seen.

    `since` and `until`: when their records were received, RFC 3339 UTC; `since` is in, `until` is not.

    Raises Rejected for an `after` that is no letter's place.
    """
    statement = select(_letters).order_by(*_ORDER).limit(limit)
    for column, value in (("status", status), ("code", code), ("kind", kind), ("user_id", user)):
        if value is not None:
            statement = statement.where(_letters.c[column] == value)
    if since is not None:
        statement = statement.where(_letters.c.received_at >= since)
    if until is not None:
        statement = statement.where(_letters.c.received_at < until)
    if after is not None:
        statement = statement.where(tuple_(*_ORDER) > _read_place(after))
    return [_letter(row) for row in tx.rows(statement)]


_ORDER = (_letters.c.parked_at, _letters.c.event_id, _letters.c.digest, _letters.c.org_id)
"""A batch parks all of its letters at one time, and an event may have one a body and one an org."""


def place(letter: DeadLetter) -> str:
    """Where a letter stands in a listing, for `letters(after=)`."""
    event_id, _, digest = letter.id.partition(".")
    return f"{letter.parked_at}|{event_id}|{digest}|{letter.org_id}"


def _read_place(text: str) -> tuple[str, str, int, str]:
    parts = text.split("|")
    if len(parts) != len(_ORDER) or not _DIGEST.match(parts[2]):
        raise Rejected("after is not one of a page's next", hint="Leave it out to begin anew.")
    return parts[0], parts[1], int(parts[2], 16), parts[3]


def show(tx: Tx, letter_id: str, org: str | None = None) -> DeadLetter:
    """One letter with its record, of one org or of any. Raises Rejected `not_found`."""
    row = find(tx, letter_id, org)
    letter = _letter(row)
    letter.corrected = as_json(row.corrected) if row.corrected is not None else None
    letter.record = as_json(row.record)
    if bytes(letter.record) != row.record:
        letter.hint = f"{_AS_TEXT} {letter.hint}"
    return letter


def find(tx: Tx, letter_id: str, org: str | None = None) -> Row[Any]:
    """A letter's row, by its id or by its event's where that names only one, of one org or of any.

    Ids are minted by devices: whoever knows one can have a letter of the same id in an org of
    their own, and it must not stand in the way of the first.
    """
    event_id, _, digest = letter_id.lower().partition(".")
    statement = select(_letters).where(_letters.c.event_id == event_id)
    if digest:
        if not _DIGEST.match(digest):
            raise unknown(letter_id)
        statement = statement.where(_letters.c.digest == int(digest, 16))
    if org is not None:
        statement = statement.where(_letters.c.org_id == org)
    rows: Sequence[Row[Any]] = tx.rows(statement)
    if len(rows) > 1:
        raise Rejected(
            f"more than one dead letter is called {letter_id!r}",
            code="not_found",
            hint="Name it as <event id>.<digest>, and the org it is of.",
        )
    if not rows:
        raise unknown(letter_id)
    return rows[0]


def discard(tx: Tx, letter_id: str, actor: str, why: str, now: str) -> DeadLetter:
    """Settle a letter without applying it; its row and reason stay. Raises Conflict `settled`."""
    row = find(tx, letter_id)
    if row.status not in ("parked", "exhausted"):
        raise Conflict(f"this dead letter is {row.status}", code="settled")
    settle(tx, row, "discarded", actor, why, now)
    return show(tx, letter_id)


def settle(tx: Tx, row: Row[Any], status: str, actor: str, why: str, now: str) -> None:
    """Write how a letter ended."""
    tx.run(
        _this(row).values(status=status, settled_at=now, settled_by=actor, settled_why=why),
    )


def count_redrive(tx: Tx, row: Row[Any], code: str, reason: str) -> None:
    """Note a redrive that failed; the last allowed one leaves the letter `exhausted`."""
    tries = row.redrives + 1
    status = "exhausted" if tries >= MAX_REDRIVES else "parked"
    tx.run(_this(row).values(redrives=tries, status=status, code=code, reason=reason[:2000]))


def lettered(tx: Tx, entries: Sequence[Entry]) -> set[tuple[str, str, int]]:
    """(org, event, digest) of those entries that stand among the letters, however they ended."""
    key = (_letters.c.org_id, _letters.c.event_id, _letters.c.digest)
    found: set[tuple[str, str, int]] = set()
    for at in range(0, len(entries), _IN_LIST):
        some = [(e.envelope.org_id, e.record.id, e.record.digest) for e in entries[at : at + _IN_LIST]]
        rows = tx.rows(select(*key).where(tuple_(*key).in_(some)))
        found.update((row.org_id, row.event_id, row.digest) for row in rows)
    return found


def correct(tx: Tx, row: Row[Any], body: bytes | None) -> None:
    """Keep beside the original record what was applied in its body's place; None when it was its own."""
    tx.run(_this(row).values(corrected=body))


def corrections(tx: Tx, org: str) -> dict[tuple[str, int], bytes]:
    """(event id, digest) -> the body that was applied in the place of the record's own."""
    wanted = (_letters.c.event_id, _letters.c.digest, _letters.c.corrected)
    statement = select(*wanted).where(
        _letters.c.org_id == org, _letters.c.status == "redriven", _letters.c.corrected.is_not(None)
    )
    return {(row.event_id, row.digest): row.corrected for row in tx.rows(statement)}


def require_open(row: Row[Any]) -> None:
    """Refuse to redrive what is settled or exhausted. Raises Conflict."""
    if row.status == "exhausted":
        raise Conflict(
            f"this dead letter was redriven {row.redrives} times",
            code="exhausted",
            hint="Mend what its reason names, or discard it with a reason.",
        )
    if row.status != "parked":
        raise Conflict(f"this dead letter is {row.status}", code="settled")


def _this(row: Row[Any]) -> Any:  # noqa: ANN401 - an update statement
    return update(_letters).where(
        _letters.c.org_id == row.org_id,
        _letters.c.event_id == row.event_id,
        _letters.c.digest == row.digest,
    )


def unknown(letter_id: str) -> Rejected:
    """The error for a letter that isn't there, or isn't the asker's to see."""
    return Rejected(f"no dead letter {letter_id!r} is known here", code="not_found")


def _letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        id=f"{row.event_id}.{row.digest:08x}",
        org_id=row.org_id,
        event_id=row.event_id,
        kind=row.kind,
        lane=row.lane,
        user_id=row.user_id,
        position=f"{row.position:016d}",
        received_at=row.received_at,
        code=row.code,
        reason=row.reason,
        status=row.status,
        redrives=row.redrives,
        parked_at=row.parked_at,
        settled_at=row.settled_at,
        settled_by=row.settled_by,
        settled_why=row.settled_why,
        rule=CODES[row.code][1] if row.code in CODES else "",
        hint=HINTS.get(row.code, _OTHERWISE),
    )
