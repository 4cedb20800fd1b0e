"""Folding the journal once more into a store of its own, and holding the rows against those there are.

Only what has a mark is folded, and nothing that was refused: what comes out is what the tables should
hold. Reads the store in one snapshot and the journal's files; writes the shadow and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Row, Table, func, select

from holdfast.core.codec import canonical
from holdfast.core.errors import Corrupt, HoldfastError, Unavailable
from holdfast.events import deadletters, marks, numbers
from holdfast.events.entry import UNREADABLE, Entry, Kinds, Parked, read_record, with_body
from holdfast.events.kind import Applied, Kind
from holdfast.journal.port import Slice
from holdfast.journal.record import Record
from holdfast.journal.segment import owner
from holdfast.store import schema
from holdfast.store.port import Store, Tx

CHUNK: Final = 1000
SHOWN: Final = 20
"""Most events, and most rows of a table, that are named one by one."""

Read = Callable[[int, int], Slice]
"""(after, limit) -> records of all lanes, as a journal's `read`."""


class Fold(NamedTuple):
    """A table that events make, and its columns that something else decides as well."""

    table: Table
    without: tuple[str, ...] = ()


class Wrong(msgspec.Struct, rename="camel"):
    """One event whose trace in the store is not what the journal says."""

    org_id: str
    event_id: str
    position: str
    kind: str
    what: str


class Compared(msgspec.Struct, rename="camel"):
    """One table of the store against the same one, folded anew."""

    table: str
    org_id: str
    rows: int
    rows_folded: int
    digest: str
    digest_folded: str
    missing: list[dict[str, Any]]
    """Rows that the journal makes and the store lacks; the first few."""
    extra: list[dict[str, Any]]
    """Rows that the store holds and the journal does not make; the first few."""

    @property
    def same(self) -> bool:
        """Whether they hold the same rows."""
        return self.digest == self.digest_folded


class Traces(msgspec.Struct, rename="camel"):
    """What became of the journal's events in the store, up to its cursors."""

    events: int = 0
    marked: int = 0
    duplicates: int = 0
    dead: int = 0
    waiting: int = 0
    unprovable: int = 0
    """Had their effect, and can't be folded again: what they need is no longer there."""
    wrong: list[Wrong] = []
    """Events without a trace, or with another's; the first few."""
    number_wrong: int = 0


class Refold:
    """Reads the journal once and looks each event up in the store; folds those with a mark."""

    def __init__(self, live: Tx, kinds: Kinds, shadow: Store | None, org: str | None = None) -> None:
        """`shadow`: where to fold, its ground laid; None looks the traces up and folds nothing."""
        self._live = live
        self._kinds = kinds
        self._shadow = shadow
        self._org = org
        self._held = marks.cursors(live)
        self._mended: dict[str, dict[tuple[str, int], bytes]] = {}
        self.traces = Traces()
        self.partial: set[str] = set()
        """Orgs of which something could not be folded, so that their rows may rightly differ."""

    def run(self, read: Read, told: Callable[[int], None] = lambda _: None) -> Traces:
        """Go through the whole journal; `told` hears of each position reached."""
        after = 0
        while True:
            found = read(after, CHUNK)
            wanted = [each for each in found.records if self._org in (None, owner(each.data)[0])]
            if wanted:
                self._chunk(wanted)
            if found.through <= after:
                return self.traces
            after = found.through
            told(after)

    def _chunk(self, records: Sequence[Record]) -> None:
        entries: list[Entry] = []
        for record in records:
            read = read_record(record)
            entry = read.entry if isinstance(read, Parked) else read
            self.traces.events += 1
            if record.position > self._held.get(entry.envelope.lane, 0):
                self.traces.waiting += 1
            else:
                entries.append(entry)
        if entries:
            fold = self._looked_up(entries)
            if self._shadow is not None:
                self._fold(entries, fold)

    def _looked_up(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that their mark stands for; the same event at another place came again."""
        ids: defaultdict[str, list[str]] = defaultdict(list)
        for entry in entries:
            ids[entry.envelope.org_id].append(entry.record.id)
        known = marks.placed(self._live, ids)
        nothing = (None, 0)
        rest = [e for e in entries if known.get(_key(e), nothing)[0] != e.record.digest]
        parked = deadletters.lettered(self._live, rest)
        fold: list[Entry] = []
        for entry in entries:
            key = _key(entry)
            digest, position = known.get(key, nothing)
            if digest == entry.record.digest:
                if position == entry.record.position:
                    self.traces.marked += 1
                    fold.append(self._as_applied(entry))
                else:
                    self.traces.duplicates += 1
            elif (*key, entry.record.digest) in parked:
                self.traces.dead += 1
            elif digest is None:
                self._is_wrong(entry, "was passed by the applier, and has neither a mark nor a dead letter")
            else:
                self._is_wrong(entry, "another body with its id was applied, and it is no dead letter")
        return fold

    def _as_applied(self, entry: Entry) -> Entry:
        org = entry.envelope.org_id
        if org not in self._mended:
            self._mended[org] = deadletters.corrections(self._live, org)
        body = self._mended[org].get((entry.record.id, entry.digest))
        return entry if body is None else with_body(entry, body)

    def _is_wrong(self, entry: Entry, what: str) -> None:
        self.traces.number_wrong += 1
        if len(self.traces.wrong) < SHOWN:
            record, envelope = entry.record, entry.envelope
            place = f"{record.position:016d}"
            self.traces.wrong.append(Wrong(envelope.org_id, record.id, place, envelope.kind, what))

    # Folding

    def _fold(self, entries: Sequence[Entry], fold: Sequence[Entry]) -> None:
        assert self._shadow is not None  # noqa: S101 - the caller looked
        heard = numbers.Hearing()
        for entry in entries:
            heard.hear(entry.envelope, entry.record.received_at)
        groups: defaultdict[tuple[str, int], list[Entry]] = defaultdict(list)
        for entry in fold:
            groups[entry.envelope.kind, entry.envelope.version].append(entry)
        with self._shadow.transaction(None) as tx:
            for key, group in groups.items():
                found = self._kinds.find(*key)
                if found is None:
                    self._unprovable(*(each.envelope.org_id for each in group))
                else:
                    self._bisect(tx, found[0], self._applied(found, group))
            numbers.note(tx, heard.devices, numbers.Remembered())

    def _applied(
        self, found: tuple[Kind, msgspec.json.Decoder[msgspec.Struct]], group: Sequence[Entry]
    ) -> list[Applied[Any]]:
        kind, decoder = found
        ready = []
        for record, envelope, _ in group:
            try:
                body = decoder.decode(envelope.body)
            except UNREADABLE:
                self._unprovable(envelope.org_id)
                continue
            facts = (envelope.id, envelope.org_id, envelope.user_id, record.position, record.received_at)
            event = Applied(*facts, envelope.occurred_at, body)
            ready.append(event if kind.recast is None else kind.recast(self._live, event))
        return ready

    def _bisect(self, tx: Tx, kind: Kind, ready: Sequence[Applied[Any]]) -> None:
        if not ready:
            return
        try:
            with tx.savepoint():
                kind.apply(tx, ready)
        except (Unavailable, Corrupt):
            raise
        except HoldfastError:
            if len(ready) == 1:
                self._unprovable(ready[0].org)
                return
            half = len(ready) // 2
            self._bisect(tx, kind, ready[:half])
            self._bisect(tx, kind, ready[half:])

    def _unprovable(self, *orgs: str) -> None:
        self.traces.unprovable += len(orgs)
        self.partial.update(orgs)


def _key(entry: Entry) -> tuple[str, str]:
    return entry.envelope.org_id, entry.record.id


def stray_marks(live: Tx, traces: Traces, org: str | None = None) -> int:
    """How many marks stand for events that the journal does not hold."""
    asked = select(func.count()).select_from(schema.marks)
    if org is not None:
        asked = asked.where(schema.marks.c.org_id == org)
    return int(live.rows(asked)[0][0]) - traces.marked


# Comparing


def orgs_of(tx: Tx) -> list[str]:
    """Every org's id."""
    return [row.id for row in tx.rows(select(schema.orgs.c.id).order_by(schema.orgs.c.id))]


def compare(live: Tx, shadow: Tx, fold: Fold, org: str) -> Compared:
    """One org's rows of a table in both stores, by digest; and the first that differ."""
    (number, digest), (number_folded, digest_folded) = (_digest(tx, fold, org) for tx in (live, shadow))
    found = Compared(str(fold.table.name), org, number, number_folded, digest, digest_folded, [], [])
    if digest != digest_folded:
        mine, theirs = ({_text(row): row for row in _rows(tx, fold, org)} for tx in (live, shadow))
        found.missing = [_named(theirs[key]) for key in islice(theirs.keys() - mine.keys(), SHOWN)]
        found.extra = [_named(mine[key]) for key in islice(mine.keys() - theirs.keys(), SHOWN)]
    return found


def _rows(tx: Tx, fold: Fold, org: str) -> Sequence[Row[Any]]:
    table = fold.table
    columns = [column for column in table.c if column.name not in fold.without]
    key = list(table.primary_key) or columns
    return tx.rows(select(*columns).where(table.c.org_id == org).order_by(*key))


def _digest(tx: Tx, fold: Fold, org: str) -> tuple[int, str]:
    """How many rows, and sha256 over their texts in order of their keys."""
    digest = sha256()
    rows = _rows(tx, fold, org)
    for row in rows:
        digest.update(_text(row))
    return len(rows), digest.hexdigest()


def _named(row: Row[Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row._mapping.items()}  # noqa: SLF001 - the public name


def _text(row: Row[Any]) -> bytes:
    return canonical(list(row)) + b"\n"
