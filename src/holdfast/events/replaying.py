"""One part of a replay, in the caller's transaction: the same apply functions, the same ids, the marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row, tuple_

from holdfast.core.errors import Conflict, Corrupt
from holdfast.events import deadletters, marks
from holdfast.events.batch import BREAKER_LEAST, LaneStopped
from holdfast.events.entry import UNREADABLE, Entry, Kinds, Parked, read_record, with_body
from holdfast.events.kind import Kind
from holdfast.events.redrive import redrive_one
from holdfast.events.replay import LETTER_ORDER, Request, Tally, letters
from holdfast.events.sift import apply_entries
from holdfast.journal.port import Journal
from holdfast.journal.record import Record
from holdfast.journal.segment import owner
from holdfast.store import schema
from holdfast.store.port import Change, Tx

CHUNK: Final = 2000
"""Most events in one part of a replay."""
READ: Final = 2000
"""Records read from the journal at a time."""
_NOT_WATCHED: Final = ("marks", "ledger", "dead_letters", "audit", "replay_jobs", "erasures", "assets")
_GROUND: Final = ("courses", "lessons", "memberships")
"""No event changes these, and to watch a table costs each part of a replay."""
WATCHED: Final = tuple(
    table
    for table in schema.metadata.sorted_tables
    if "org_id" in table.c and table.name not in (*_NOT_WATCHED, *_GROUND)
)
"""What events may change, and what tells if anything of another org came along."""


class Selected(NamedTuple):
    """The events of one part, and the last position that was looked at."""

    entries: list[Entry]
    through: int


def select_entries(
    journal: Journal, request: Request, lane: str | None, after: int, head: int, most: int
) -> Selected:
    """The next events in the journal that a request means, at most `most`. Thread-safe.

    Nothing of another org gets past here, whatever else the request says.
    """
    found: list[Entry] = []
    while after < head:
        read = journal.read(after, READ, lane)
        for record in read.records:
            if record.position > head:
                return Selected(found, head)
            entry = _meant(record, request)
            if entry is not None:
                found.append(entry)
                if len(found) == most:
                    return Selected(found, record.position)
        if read.through <= after:
            break
        after = read.through
    return Selected(found, head)


def _meant(record: Record, request: Request) -> Entry | None:
    if owner(record.data)[0] != request.org_id:
        return None
    if request.by == "received" and not request.from_ <= record.received_at < request.to:
        return None
    entry = read_record(record)
    if isinstance(entry, Parked):
        return None  # it stands among the dead letters, if anywhere
    its = entry.envelope
    meant = (
        its.org_id == request.org_id
        and (request.user_id is None or its.user_id == request.user_id)
        and (not request.kinds or its.kind in request.kinds)
        and (request.by == "received" or request.from_ <= its.occurred_at < request.to)
    )
    return entry if meant else None


def only_lane(catalog: Sequence[Kind], kinds: Sequence[str]) -> str | None:
    """The one lane that the named kinds go through, None where it takes more."""
    lanes = {kind.lane for kind in catalog if kind.name in kinds}
    return next(iter(lanes)) if len(lanes) == 1 else None


def replay_entries(
    tx: Tx, kinds: Kinds, entries: Sequence[Entry], tally: Tally, missing: Callable[[Tx], int], now: str
) -> None:
    """Apply events again, in an unbound transaction, and write what had no effect yet into the marks.

    `missing`: how many events the ledger lacks, asked only where one without a mark turns up. Raises
    LaneStopped where more than half fail unexplained: nothing of the part counts then.
    """
    counts = tally.counts
    counts.matched += len(entries)
    held = marks.cursors(tx)
    reached = [entry for entry in entries if entry.record.position <= held.get(entry.envelope.lane, 0)]
    counts.pending += len(entries) - len(reached)
    fresh, again = _sorted(tx, kinds, reached, tally)
    applied, failed = apply_entries(tx, kinds, [*again, *fresh])
    _require_explained(failed, len(reached))
    new = {id(entry) for entry in fresh}
    done = [entry for entry in applied if id(entry) in new] if new else []
    counts.repeated += len(applied) - len(done)
    counts.applied += len(done)
    lost = [each for each in failed if id(each.entry) in new]
    if fresh:
        marks.put(tx, [(e.envelope.org_id, e.envelope.id, e.digest, e.record.position) for e in done])
        for each in lost:
            deadletters.park(tx, each.entry.record, each.entry.envelope, each.code, each.reason, now)
        _balance(tx, done, [each.entry for each in lost], missing(tx))
    for each in failed:
        tally.problem(each.entry.envelope.id, each.entry.envelope.kind, each.code, each.reason)


def _sorted(tx: Tx, kinds: Kinds, entries: Sequence[Entry], tally: Tally) -> tuple[list[Entry], list[Entry]]:
    """Those without an effect yet, and those to apply again; the others are counted."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        ids[entry.envelope.org_id].append(entry.envelope.id)
    known = marks.known(tx, ids)
    mended = deadletters.corrections(tx, entries[0].envelope.org_id) if known else {}
    unmarked = [e for e in entries if (e.envelope.org_id, e.envelope.id) not in known]
    parked = deadletters.lettered(tx, unmarked)
    fresh: list[Entry] = []
    again: list[Entry] = []
    name, version, repeats = "", -1, True
    for entry in entries:
        _, envelope, its = entry
        key = (envelope.org_id, envelope.id)
        digest = known.get(key)
        if parked and (*key, its) in parked:
            tally.counts.parked += 1
        elif digest is None:
            known[key] = its
            fresh.append(entry)
        elif digest != its:
            tally.counts.conflicts += 1
        else:
            # Neighbours are nearly always of one kind: comparing costs a third of looking up.
            if envelope.kind != name or envelope.version != version:
                name, version = envelope.kind, envelope.version
                found = kinds.find(name, version)
                repeats = found is None or found[0].repeats
            if not repeats:
                tally.counts.already += 1
            else:
                body = mended.get((envelope.id, its)) if mended else None
                again.append(entry if body is None else with_body(entry, body))
    return fresh, again


def _require_explained(failed: Sequence[Parked], size: int) -> None:
    poison = [each for each in failed if each.code == "poison"]
    if len(poison) >= BREAKER_LEAST and 2 * len(poison) > size:
        raise LaneStopped("replay", len(poison), size, poison[0].reason)


def _balance(tx: Tx, done: Sequence[Entry], lost: Sequence[Entry], missing: int) -> None:
    """Count in the ledger what it lacks, and no more: a mark may be lost where the count is not."""
    columns = [(entry, 0) for entry in done] + [(entry, 2) for entry in lost]
    lanes: dict[str, dict[str, list[int]]] = {}
    for entry, column in columns[: max(0, missing)]:
        org = lanes.setdefault(entry.envelope.lane, {}).setdefault(entry.envelope.org_id, [0, 0, 0])
        org[column] += 1
    for lane, orgs in lanes.items():
        marks.tally(tx, lane, {org: (row[0], row[1], row[2]) for org, row in orgs.items()})


# Dead letters


def next_letters(tx: Tx, request: Request, created_at: str, place: str, most: int) -> list[Row[Any]]:
    """The next letters a request means, after the place of the last one."""
    statement = letters(request, created_at).limit(most)
    if place:
        parked_at, event_id, digest = place.split("|")
        statement = statement.where(tuple_(*LETTER_ORDER) > (parked_at, event_id, int(digest)))
    return list(tx.rows(statement))


def letter_place(row: Row[Any]) -> str:
    """Where a letter stands, for `next_letters`."""
    return f"{row.parked_at}|{row.event_id}|{row.digest}"


def replay_letters(  # noqa: PLR0917 - what a part is, in the order it is named everywhere
    tx: Tx, kinds: Kinds, rows: Sequence[Row[Any]], request: Request, tally: Tally, actor: str, now: str
) -> None:
    """Redrive each letter, in an unbound transaction; one that fails has one try less left.

    Raises LaneStopped where more than half fail unexplained: then no try is counted.
    """
    poison: list[str] = []
    for row in rows:
        if request.by == "occurred" and not request.from_ <= _occurred(row) < request.to:
            continue
        tally.counts.matched += 1
        try:
            letter = redrive_one(tx, kinds, f"{row.event_id}.{row.digest:08x}", actor, now, row.org_id)
        except Conflict as no:
            tally.counts.conflicts += 1
            tally.problem(row.event_id, row.kind, no.code, no.message)
            tally.counts.refused -= 1
            continue
        if letter.status == "redriven":
            name = "already" if letter.settled_why == "was applied already" else "applied"
            setattr(tally.counts, name, getattr(tally.counts, name) + 1)
        else:
            tally.problem(row.event_id, row.kind, letter.code, letter.reason)
            if letter.code == "poison":
                poison.append(letter.reason)
    if len(poison) >= BREAKER_LEAST and 2 * len(poison) > len(rows):
        raise LaneStopped("replay", len(poison), len(rows), poison[0])


class _Occurred(msgspec.Struct, rename="camel"):
    occurred_at: str


def _occurred(row: Row[Any]) -> str:
    try:
        return msgspec.json.decode(row.record, type=_Occurred).occurred_at
    except UNREADABLE:
        return str(row.received_at)


def require_own(changes: Sequence[Change], org: str) -> None:
    """Refuse a part that touched another org's rows. Raises Corrupt: the transaction must not commit."""
    for change in changes:
        row: Mapping[str, Any] = change.after or change.before or {}
        if row.get("org_id") != org:
            raise Corrupt(
                f"a replay of org {org} would have changed a row of another in {change.table}",
                code="internal",
                hint="Nothing was changed. This is a fault of the portal's: report it.",
            )
