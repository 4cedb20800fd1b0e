"""`holdfast verify`: the journal's files, the store against them, the ledger, the devices' gaps.

It reads the files as they lie, beside a running portal or without one: a proof must not depend on
what it proves. The journal is looked at after the store's snapshot was taken, so it is never behind it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from holdfast import __version__
from holdfast.cli.desk import desk
from holdfast.core.clock import SystemClock, rfc3339
from holdfast.core.errors import Corrupt, HoldfastError
from holdfast.events import ledger, marks
from holdfast.events.devices import merge, state, union
from holdfast.events.entry import Kinds
from holdfast.events.erasure import erased_frames
from holdfast.events.refold import Compared, Refold, Traces, compare, orgs_of, stray_marks
from holdfast.journal import segment
from holdfast.journal.port import Finding, Slice
from holdfast.journal.reader import Reader
from holdfast.journal.recovery import look
from holdfast.learning.catalog import every_kind
from holdfast.learning.folds import FOLDS, lay_ground
from holdfast.learning.scrub import Scrubber
from holdfast.settings import Settings
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.wiring import file_store, read_store, sound

Told = Callable[[str, float], None]
"""Hears what is being done, and how far it is, from 0 to 1."""


class Gap(msgspec.Struct, rename="camel"):
    """Numbers of a device that never arrived; `reported` are those that it has reported as lost."""

    org_id: str
    user_id: str
    device_id: str
    generation: int
    missing: list[tuple[int, int]]
    reported: list[tuple[int, int]]


class StoreProof(msgspec.Struct, rename="camel"):
    """The store against the journal."""

    faults: list[str]
    """What the engine finds wrong with the file, and what keeps the proof from being made."""
    traces: Traces = msgspec.field(default_factory=Traces)
    stray_marks: int = 0
    partial: str | None = None
    """Why rows could not be compared, or not all; None when all were."""
    partial_orgs: list[str] = []
    """Orgs whose rows may rightly differ, because something of them could not be folded again."""
    tables: list[Compared] = []

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        rows = all(table.same or table.org_id in self.partial_orgs for table in self.tables)
        return not self.faults and not self.traces.number_wrong and not self.stray_marks and rows


class Report(msgspec.Struct, rename="camel"):
    """What a proof came to."""

    good: bool
    made_at: str
    version: str
    segments: int
    events: int
    findings: list[Finding]
    ledger: list[dict[str, Any]]
    store: StoreProof | None = None
    gaps: list[Gap] = []
    ledger_only: bool = False
    """Asked at an address, where neither journal nor store can be looked at."""


async def verify(
    settings: Settings, url: str | None, token: str | None, *, quick: bool, told: Told
) -> Report:
    """The proof of a data directory, or (an address alone) what the portal there says of itself.

    `quick`: leave out folding the journal anew.
    """
    if url is not None:
        return await _asked(url, token)
    return await asyncio.to_thread(_proved, settings, quick, told)


async def _asked(url: str, token: str | None) -> Report:
    async with desk(url=url, token=token) as at:
        said = await at.call("GET", "/api/admin/offline/ledger")
    report = _empty(good=bool(said["balanced"]), rows=said["items"])
    report.ledger_only = True
    return report


def _empty(*, good: bool, rows: list[dict[str, Any]]) -> Report:
    now = rfc3339(SystemClock().now_s())
    return Report(good=good, made_at=now, version=__version__, segments=0, events=0, findings=[], ledger=rows)


def _proved(settings: Settings, quick: bool, told: Told) -> Report:  # noqa: FBT001 - handed to a thread
    path = settings.folder / "store.sqlite3"
    report = _empty(good=False, rows=[])
    told("store", 0.0)
    if not path.exists():
        reader = _reader(settings)
        _prove_files(reader, report, {}, told)
        report.good = not report.findings and not report.events
        if report.events:
            report.store = StoreProof([f"there is no {path.name}, and the journal holds events"])
        return report
    proof = report.store = StoreProof(sound(settings))
    try:
        with read_store(settings) as live:
            held = marks.cursors(live)
            reader = _reader(settings)
            _prove_files(reader, report, held, told)
            report.ledger = _ledger(live, reader, held)
            _prove_store(live, reader, proof, quick=quick or bool(report.findings), told=told)
            report.gaps = _gaps(live)
    except HoldfastError as fault:
        proof.faults.append(fault.message)
    balanced = all(_unaccounted(row) == 0 for row in report.ledger)
    report.good = not report.findings and balanced and proof.good
    return report


def _reader(settings: Settings) -> Reader:
    return Reader(settings.folder / "logs", look(settings.folder / "logs"))


def _prove_files(reader: Reader, report: Report, held: dict[str, int], told: Told) -> None:
    told("journal", 0.0)
    report.segments = reader.number
    report.events = sum(sum(lanes.values()) for place in reader.places for lanes in place.counts.values())
    erased = erased_frames(lambda after, limit: _at_hand(reader, after, limit))
    report.findings += [*_beginning(reader), *reader.verify(erased)]
    for lane, position in sorted(held.items()):
        if position > reader.head:
            what = f"the journal ends at {reader.head}, and the store has come to {position} in lane {lane}"
            report.findings.append(Finding(segment.ACTIVE, 0, what))
    told("journal", 1.0)


def _at_hand(reader: Reader, after: int, limit: int) -> Slice:
    """Records of lane admin; an archived segment that is away is passed over, which a finding says."""
    try:
        return reader.read(after, limit, "admin")
    except Corrupt:
        return Slice([], next(each.last for each in reader.places if each.last > after))


def _beginning(reader: Reader) -> Sequence[Finding]:
    """Whether segments are missing before the first."""
    if not reader.places:
        return ()
    first = reader.places[0]
    header = first.header
    if header is None:
        with first.path.open("rb") as file:
            header = segment.parse_header(file.readline(4096).rstrip(b"\n"))
    if header is None or header.prev == segment.GENESIS:
        return ()
    return (Finding(first.path.name, 1, f"the segments before position {header.first} are not here"),)


def _prove_store(live: Tx, reader: Reader, proof: StoreProof, *, quick: bool, told: Told) -> None:
    kinds = Kinds(every_kind(Scrubber(b"nothing new is scrubbed by this")))
    head = max(reader.head, 1)
    with tempfile.TemporaryDirectory(prefix="holdfast-verify-") as folder:
        shadow = None if quick else file_store(Path(folder) / "folded.sqlite3")
        try:
            if shadow is not None:
                with shadow.transaction(None) as tx:
                    lay_ground(live, tx, None)
            fold = Refold(live, kinds, shadow)
            proof.traces = fold.run(reader.read, lambda position: told("events", position / head))
            proof.stray_marks = stray_marks(live, proof.traces)
            if shadow is None:
                proof.partial = "rows were not compared"
                return
            with shadow.transaction(None) as tx:
                found = [compare(live, tx, each, org) for org in orgs_of(live) for each in FOLDS]
            proof.tables = [each for each in found if each.rows or each.rows_folded]
            proof.partial_orgs = sorted(fold.partial)
            if fold.partial:
                proof.partial = (
                    f"{proof.traces.unprovable} events of {', '.join(proof.partial_orgs)} had their effect "
                    "and can't be folded again: what they need is no longer there"
                )
        finally:
            if shadow is not None:
                shadow.close()


def _ledger(live: Tx, reader: Reader, held: dict[str, int]) -> list[dict[str, Any]]:
    counts = ledger.stored(live)
    accepted: dict[str, int] = {}
    for place in reader.places:
        for org, lanes in place.counts.items():
            accepted[org] = accepted.get(org, 0) + sum(lanes.values())
    done: dict[str, int] = {}
    for lane, position in held.items():
        for org, lanes in reader.counts(position).items():
            done[org] = done.get(org, 0) + lanes.get(lane, 0)
    rows = []
    for org in sorted({*accepted, *counts}):
        number = accepted.get(org, 0)
        row = ledger.Row(org, number, *counts.get(org, (0, 0, 0)), number - done.get(org, 0))
        rows.append(msgspec.to_builtins(row))
    return rows


def _unaccounted(row: dict[str, Any]) -> int:
    return int(row["accepted"] - row["applied"] - row["duplicate"] - row["dead"] - row["pending"])


def _gaps(live: Tx) -> list[Gap]:
    """Devices with holes in their numbers. A hole may still be on its way: it is told, and is no fault."""
    lost: dict[tuple[str, str, str, int], list[list[int]]] = {}
    for row in live.rows(select(schema.loss_receipts)):
        key = (row.org_id, row.user_id, row.device_id, row.generation)
        lost[key] = union(lost.get(key, merge([], ())), [list(span) for span in row.missing])
    found = []
    for row in live.rows(select(schema.devices).order_by(*schema.devices.primary_key)):
        missing = state(row.seqs).missing
        if missing:
            key = (row.org_id, row.user_id, row.device_id, row.generation)
            reported = [(span[0], span[1]) for span in lost.get(key, [])]
            found.append(Gap(*key, missing, reported))
    return found
