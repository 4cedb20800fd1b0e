"""Finding the few entries of a batch that are known already, or that can't be applied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from holdfast.core.errors import Corrupt, HoldfastError, Rejected, Unavailable
from holdfast.events import marks
from holdfast.events.entry import UNREADABLE, Entry, Kinds, Parked, read_record
from holdfast.events.kind import Applied, Kind
from holdfast.journal.record import Record
from holdfast.store.port import Tx


class Sifted(NamedTuple):
    """What became of each entry of a batch."""

    applied: list[Entry]
    duplicates: list[Entry]
    parked: list[Parked]
    unexplained: list[Parked]
    """Those of the parked that failed for no stated reason."""
    entries: list[Entry]
    """All that could be read."""


def sift(tx: Tx, kinds: Kinds, records: Sequence[Record]) -> Sifted:
    """Write effects and marks of all that can be applied, and say what became of the others."""
    read = [read_record(record) for record in records]
    entries = [each for each in read if isinstance(each, Entry)]
    unreadable = [each for each in read if isinstance(each, Parked)]
    fresh, duplicates, conflicts = _known(tx, entries)
    applied, failed = apply_entries(tx, kinds, fresh)
    marks.put(tx, [(e.envelope.org_id, e.envelope.id, e.digest, e.record.position) for e in applied])
    unexplained = [each for each in [*unreadable, *failed] if each.code == "poison"]
    return Sifted(applied, duplicates, [*unreadable, *failed, *conflicts], unexplained, entries)


def try_one(tx: Tx, kinds: Kinds, entry: Entry | Parked) -> Parked | None:
    """Apply one entry in the caller's transaction; why not, when it can't be."""
    if isinstance(entry, Parked):
        return entry
    _, parked = apply_entries(tx, kinds, [entry])
    return parked[0] if parked else None


def _known(tx: Tx, entries: list[Entry]) -> tuple[list[Entry], list[Entry], list[Parked]]:
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


def apply_entries(tx: Tx, kinds: Kinds, fresh: list[Entry]) -> tuple[list[Entry], list[Parked]]:
    """Write the effects of all that can be applied; those that were, and why not the others. No marks."""
    groups: defaultdict[tuple[str, int], list[Entry]] = defaultdict(list)
    for entry in fresh:
        groups[entry.envelope.kind, entry.envelope.version].append(entry)
    new = tuple.__new__  # half the price of a NamedTuple's own constructor
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
            record, envelope, _ = entry
            try:
                body = decoder.decode(envelope.body)
            except UNREADABLE as fault:
                parked.append(Parked(entry, "invalid", str(fault)))
                continue
            position, received_at, _ = record
            facts = (
                envelope.id, envelope.org_id, envelope.user_id, position, received_at,
                envelope.occurred_at, body,
            )  # fmt: skip
            ready.append((entry, new(Applied, facts)))
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
    except Exception as fault:  # noqa: BLE001 - a fault in an apply function parks its event, not the lane
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
