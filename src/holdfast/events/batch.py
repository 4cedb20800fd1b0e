"""Applying one batch of one lane: everything that happens inside the applier's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from sqlalchemy import and_, or_, select

from holdfast.core.errors import Corrupt, HoldfastError, Rejected, Unavailable
from holdfast.events import deadletters, marks
from holdfast.events.devices import Ranges, merge, union
from holdfast.events.kind import Applied, Kind
from holdfast.journal.record import Record
from holdfast.journal.segment import owner
from holdfast.store import schema
from holdfast.store.port import Tx

BREAKER_LEAST = 10
"""Fewer unexplained failures than this never stop a lane, however small the batch."""


class Envelope(msgspec.Struct, rename="camel"):
    """An event as the journal holds it."""

    id: str
    digest: str
    lane: str
    org_id: str
    user_id: str
    actor_id: str
    kind: str
    version: int
    occurred_at: str
    body: msgspec.Raw
    device_id: str | None = None
    generation: int = 1
    seq: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Entry(NamedTuple):
    """A record with its envelope read."""

    record: Record
    envelope: Envelope
    digest: int


class Parked(NamedTuple):
    """An entry that could not be applied, and why."""

    entry: Entry
    code: str
    reason: str


class Outcome(NamedTuple):
    """What one batch did: org -> (applied, duplicate, dead), and how far it went."""

    lane: str
    through: int
    counts: Mapping[str, tuple[int, int, int]]


class LaneStopped(Exception):
    """More than half a batch failed for no stated reason: a release bug, not the data's fault."""

    def __init__(self, lane: str, failed: int, size: int, example: str) -> None:
        """`example`: the first failure, in words."""
        super().__init__(f"{failed} of {size} events of lane {lane} failed, such as: {example}")


_envelope = msgspec.json.Decoder(Envelope)


class Kinds:
    """The known kinds with their decoders."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        """`kinds`: the catalog."""
        self._known: dict[tuple[str, int], tuple[Kind, msgspec.json.Decoder[msgspec.Struct]]] = {
            (kind.name, kind.version): (kind, msgspec.json.Decoder(kind.body)) for kind in kinds
        }

    def find(self, name: str, version: int) -> tuple[Kind, msgspec.json.Decoder[msgspec.Struct]] | None:
        """A kind and the decoder of its body."""
        return self._known.get((name, version))


def apply_batch(
    tx: Tx, kinds: Kinds, lane: str, records: Sequence[Record], through: int, epoch: int, now: str
) -> Outcome:
    """Marks, effects, dead letters, device numbers, ledger and cursor, or nothing at all.

    Raises LaneStopped when the breaker trips, Unavailable or Corrupt when the store is out; the
    transaction is rolled back and nothing has happened.
    """
    marks.require_lease(tx, epoch)
    entries, unreadable = _read(records)
    fresh, duplicates, conflicts = _sift(tx, entries)
    applied, parked = _apply(tx, kinds, fresh)
    unexplained = [each for each in [*unreadable, *parked] if each.code == "poison"]
    if len(unexplained) >= BREAKER_LEAST and 2 * len(unexplained) > len(records):
        raise LaneStopped(lane, len(unexplained), len(records), unexplained[0].reason)
    marks.put(tx, [(e.envelope.org_id, e.record.id, e.digest, e.record.position) for e in applied])
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for entry in applied:
        counts[entry.envelope.org_id][0] += 1
    for entry in duplicates:
        counts[entry.envelope.org_id][1] += 1
    for each in [*unreadable, *parked, *conflicts]:
        # The same letter again (a record sent twice) is one letter, and a duplicate.
        again = not deadletters.park(tx, each.entry.record, each.entry.envelope, each.code, each.reason, now)
        counts[each.entry.envelope.org_id][1 if again else 2] += 1
    _note_devices(tx, entries)
    tallies = {org: (number[0], number[1], number[2]) for org, number in counts.items()}
    marks.tally(tx, lane, tallies)
    marks.move_cursor(tx, lane, through, now)
    return Outcome(lane, through, tallies)


def read_record(record: Record) -> Entry | Parked:
    """A record's envelope; Parked when its shape is not one this version reads."""
    try:
        envelope = _envelope.decode(record.data)
    except msgspec.DecodeError as fault:
        # Its crc fits, so these are the bytes that were written.
        org, lane = owner(record.data)
        nobody = Envelope(
            record.id, "0", lane, org, "", "", "unreadable", 0, record.received_at, msgspec.Raw(b"{}")
        )
        return Parked(Entry(record, nobody, record.digest), "poison", str(fault))
    return Entry(record, envelope, int(envelope.digest, 16))


def try_one(tx: Tx, kinds: Kinds, entry: Entry | Parked) -> Parked | None:
    """Apply one entry in the caller's transaction; why not, when it can't be."""
    if isinstance(entry, Parked):
        return entry
    _, parked = _apply(tx, kinds, [entry])
    return parked[0] if parked else None


def _read(records: Sequence[Record]) -> tuple[list[Entry], list[Parked]]:
    entries: list[Entry] = []
    unreadable: list[Parked] = []
    for record in records:
        entry = read_record(record)
        if isinstance(entry, Parked):
            unreadable.append(entry)
        else:
            entries.append(entry)
    return entries, unreadable


def _sift(tx: Tx, entries: list[Entry]) -> tuple[list[Entry], list[Entry], list[Parked]]:
    """Tell new events from those that have a mark, and from those whose id has another body's."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        ids[entry.envelope.org_id].append(entry.envelope.id)
    known = marks.known(tx, ids)
    fresh: list[Entry] = []
    duplicates: list[Entry] = []
    conflicts: list[Parked] = []
    for entry in entries:
        key = (entry.envelope.org_id, entry.envelope.id)
        digest = known.get(key)
        if digest is None:
            known[key] = entry.digest
            fresh.append(entry)
        elif digest == entry.digest:
            duplicates.append(entry)
        else:
            conflicts.append(Parked(entry, "conflict", "this id was applied before with another body"))
    return fresh, duplicates, conflicts


def _apply(tx: Tx, kinds: Kinds, fresh: list[Entry]) -> tuple[list[Entry], list[Parked]]:
    groups: defaultdict[tuple[str, int], list[Entry]] = defaultdict(list)
    for entry in fresh:
        groups[entry.envelope.kind, entry.envelope.version].append(entry)
    applied: list[Entry] = []
    parked: list[Parked] = []
    for (name, version), group in groups.items():
        found = kinds.find(name, version)
        if found is None:
            why = f"kind {name!r} version {version} is not known here"
            parked += [Parked(entry, "unknown_kind", why) for entry in group]
            continue
        kind, decoder = found
        ready: list[tuple[Entry, Applied[Any]]] = []
        for entry in group:
            envelope = entry.envelope
            try:
                body = decoder.decode(envelope.body)
            except msgspec.DecodeError as fault:
                parked.append(Parked(entry, "invalid", str(fault)))
                continue
            record = entry.record
            ready.append(
                (
                    entry,
                    Applied(
                        envelope.id,
                        envelope.org_id,
                        envelope.user_id,
                        record.position,
                        record.received_at,
                        envelope.occurred_at,
                        body,
                    ),
                )
            )
        _bisect(tx, kind, ready, applied, parked)
    return applied, parked


def _bisect(
    tx: Tx, kind: Kind, ready: list[tuple[Entry, Applied[Any]]], applied: list[Entry], parked: list[Parked]
) -> None:
    """Apply all, or find the few that can't be: savepoints keep what is good."""
    if not ready:
        return
    try:
        with tx.savepoint():
            kind.apply(tx, [event for _, event in ready])
    except (Unavailable, Corrupt):
        raise
    except Exception as fault:
        if len(ready) == 1:
            parked.append(_park_one(ready[0][0], fault))
            return
        half = len(ready) // 2
        _bisect(tx, kind, ready[:half], applied, parked)
        _bisect(tx, kind, ready[half:], applied, parked)
    else:
        applied += [entry for entry, _ in ready]


def _park_one(entry: Entry, fault: Exception) -> Parked:
    if isinstance(fault, Rejected):
        return Parked(entry, fault.code, fault.message)
    if isinstance(fault, HoldfastError):
        return Parked(entry, "poison", fault.message)
    # The type and no text: a driver's message may quote the payload.
    return Parked(entry, "poison", f"applying it failed with {type(fault).__name__}")


def _note_devices(tx: Tx, entries: list[Entry]) -> None:
    """Fold the devices' sequence numbers into what the store knows of them."""
    heard: defaultdict[tuple[str, str, str, int], list[int]] = defaultdict(list)
    seen_at: dict[tuple[str, str, str, int], str] = {}
    for entry in entries:
        envelope = entry.envelope
        if envelope.device_id is not None and envelope.seq is not None:
            key = (envelope.org_id, envelope.actor_id, envelope.device_id, envelope.generation)
            heard[key].append(envelope.seq)
            seen_at[key] = max(seen_at.get(key, ""), entry.record.received_at)
    if not heard:
        return
    table = schema.devices
    keys = [table.c.org_id, table.c.user_id, table.c.device_id, table.c.generation]
    stored: dict[tuple[Any, ...], tuple[Ranges, str]] = {}
    wanted = list(heard)
    for at in range(0, len(wanted), 200):
        some = wanted[at : at + 200]
        match = or_(
            *(and_(*(column == value for column, value in zip(keys, key, strict=True))) for key in some)
        )
        for row in tx.rows(select(*keys, table.c.seqs, table.c.seen_at).where(match)):
            stored[tuple(row[:4])] = (row.seqs, row.seen_at)
    rows = []
    for key, seqs in heard.items():
        before, before_at = stored.get(key, ([], ""))
        names = ("org_id", "user_id", "device_id", "generation")
        ranges = union(before, merge([], seqs))
        rows.append(
            {**dict(zip(names, key, strict=True)), "seqs": ranges, "seen_at": max(before_at, seen_at[key])}
        )
    statement = tx.insert(table)
    tx.run(
        statement.on_conflict_do_update(
            index_elements=keys,
            set_={"seqs": statement.excluded.seqs, "seen_at": statement.excluded.seen_at},
        ),
        rows,
    )
