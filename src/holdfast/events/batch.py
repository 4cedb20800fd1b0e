"""Applying one batch of one lane: everything that happens inside the applier's transaction.

Nearly always every event of a batch is new and good. That way is taken first, in one pass; when
anything is refused on it, its transaction is rolled back, and in another `sift` finds out which events
it was. Not by a savepoint in one transaction: for that the engine copies every page it changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from holdfast.core.errors import Corrupt, Unavailable
from holdfast.events import deadletters, marks, numbers
from holdfast.events.entry import Envelope, Kinds, decode
from holdfast.events.kind import Applied, Kind
from holdfast.events.sift import sift
from holdfast.journal.record import Record
from holdfast.store.port import Tx

BREAKER_LEAST = 10
"""Fewer unexplained failures than this never stop a lane, however small the batch."""

Tallies = dict[str, tuple[int, int, int]]
"""org -> (applied, duplicate, dead)"""


class Outcome(NamedTuple):
    """What one batch did: org -> (applied, duplicate, dead), and how far it went."""

    lane: str
    through: int
    counts: Mapping[str, tuple[int, int, int]]


class Mixed(Exception):
    """Not all of a batch is new and good: roll the transaction back, and sift the batch in another."""


class LaneStopped(Exception):
    """More than half a batch failed for no stated reason: a release bug, not the data's fault."""

    def __init__(self, lane: str, failed: int, size: int, example: str) -> None:
        """`example`: the first failure, in words."""
        super().__init__(f"{failed} of {size} events of lane {lane} failed, such as: {example}")


def apply_batch(  # noqa: PLR0913, PLR0917 - what a batch is, in the order it is named everywhere
    tx: Tx,
    kinds: Kinds,
    lane: str,
    records: Sequence[Record],
    through: int,
    epoch: int,
    now: str,
    remembered: numbers.Remembered | None = None,
    *,
    sifted: bool,
) -> Outcome:
    """Marks, effects, dead letters, device numbers, ledger and cursor, or nothing at all.

    `remembered`: device rows of the batches before, under the same lease. `sifted`: whether to find
    out what is known already or can't be applied. Both ways leave the same rows where all of it is
    new and good; what is not sifted costs half.
    Raises Mixed when it was not sifted and must be; LaneStopped when the breaker trips, Unavailable or
    Corrupt when the store is out. The transaction is rolled back then, and nothing has happened.
    """
    marks.require_lease(tx, epoch)
    tallies, heard = _some(tx, kinds, lane, records, now) if sifted else _all(tx, kinds, records)
    numbers.note(tx, heard, remembered or numbers.Remembered())
    marks.tally(tx, lane, tallies)
    marks.move_cursor(tx, lane, through, now)
    return Outcome(lane, through, tallies)


_Done = tuple[Tallies, dict[numbers.Device, numbers.Heard]]


class _Group(NamedTuple):
    """A batch's events of one kind."""

    kind: Kind
    read: Callable[[msgspec.Raw], object]
    events: list[Applied[Any]]


def _all(tx: Tx, kinds: Kinds, records: Sequence[Record]) -> _Done:
    """Apply the whole batch. Raises Mixed when any of it is known already or not good."""
    try:
        groups, rows, heard = _read(kinds, records)
        marks.put(tx, rows)
        for kind, _, events in groups:
            kind.apply(tx, events)
    except (Unavailable, Corrupt):
        raise
    except Exception as refused:
        # Whatever it was, sifting finds the event and its reason.
        raise Mixed from refused
    counts = Counter([row[0] for row in rows])
    return {org: (number, 0, 0) for org, number in counts.items()}, heard


_Read = tuple[Iterable[_Group], list[tuple[str, str, int, int]], dict[numbers.Device, numbers.Heard]]
"""Events by kind, their marks, and the devices that numbered them."""


def _read(kinds: Kinds, records: Sequence[Record]) -> _Read:
    """All of a batch read. Raises Mixed for a kind nobody knows, and whatever a decoder does."""
    groups: dict[tuple[str, int], _Group] = {}
    rows: list[tuple[str, str, int, int]] = []
    heard = numbers.Hearing()
    hear = heard.hear
    new = tuple.__new__  # half the price of a NamedTuple's own constructor
    name, version = "", -1
    read: Callable[[msgspec.Raw], object] = bytes
    add: Callable[[Any], None] = [].append
    # One pass, so that a record's bytes and strings are still in the processor's cache.
    for position, received_at, data in records:
        envelope = decode(data)
        # Neighbours are nearly always of one kind: comparing costs a third of looking up.
        if envelope.kind != name or envelope.version != version:
            name, version = key = envelope.kind, envelope.version
            group = groups.get(key)
            if group is None:
                found = kinds.find(name, version)
                if found is None:
                    raise Mixed
                group = groups[key] = _Group(found[0], found[1].decode, [])
            read, add = group.read, group.events.append
        org, event_id = envelope.org_id, envelope.id
        body = read(envelope.body)
        facts = (event_id, org, envelope.user_id, position, received_at, envelope.occurred_at, body)
        add(new(Applied, facts))
        rows.append((org, event_id, int(envelope.digest, 16), position))
        if envelope.seq is not None:
            hear(envelope, received_at)
    return groups.values(), rows, heard.devices


def _some(tx: Tx, kinds: Kinds, lane: str, records: Sequence[Record], now: str) -> _Done:
    """Apply what can be applied; the others are duplicates, or parked with their reason."""
    sifted = sift(tx, kinds, records)
    unexplained = sifted.unexplained
    if len(unexplained) >= BREAKER_LEAST and 2 * len(unexplained) > len(records):
        raise LaneStopped(lane, len(unexplained), len(records), unexplained[0].reason)
    counts: dict[str, list[int]] = {}

    def count(envelope: Envelope, column: int) -> None:
        counts.setdefault(envelope.org_id, [0, 0, 0])[column] += 1

    for entry in sifted.applied:
        count(entry.envelope, 0)
    for entry in sifted.duplicates:
        count(entry.envelope, 1)
    for each in sifted.parked:
        # The same letter again (a record sent twice) is one letter, and a duplicate.
        again = not deadletters.park(tx, each.entry.record, each.entry.envelope, each.code, each.reason, now)
        count(each.entry.envelope, 1 if again else 2)
    heard = numbers.Hearing()
    for entry in sifted.entries:
        heard.hear(entry.envelope, entry.record.received_at)
    return {org: (number[0], number[1], number[2]) for org, number in counts.items()}, heard.devices
