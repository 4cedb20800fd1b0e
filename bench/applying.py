"""Applying: batches of a thousand into SQLite, against the same rows through a bare executemany."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Executable, Insert, Row, Table, event

from bench.figure import Figure, Scale, alternate, say
from bench.folder import work_folder
from bench.portal import RECEIVED_AT, judged, records, store_in
from bench.school import Frame, frames, oulad_folder, oulad_frames, put_learners, put_school, read_oulad
from holdfast.events import loss, marks
from holdfast.events.batch import apply_batch
from holdfast.events.entry import Kinds
from holdfast.events.kind import Kind
from holdfast.events.numbers import Remembered
from holdfast.journal.record import Record
from holdfast.learning.catalog import kinds
from holdfast.learning.scrub import Scrubber
from holdfast.store.port import Params, Store, Tx
from holdfast.store.sqlite import SqliteStore
from holdfast.web.server import settle_memory

BATCH: Final = 1000
Written = tuple[str, Sequence[Any]]
"""A statement's text and the rows it was executed with."""


class Load(NamedTuple):
    """Records to apply, and a store that knows their people and lessons."""

    name: str
    lane: str
    records: list[Record]
    seeded: Path
    """A store's file, closed."""


def run(scale: Scale) -> list[Figure]:
    """One figure a kind of load."""
    with work_folder() as folder:
        return [_measure(folder, load, scale) for load in _loads(folder, scale)]


def _loads(folder: Path, scale: Scale) -> Iterator[Load]:
    number = scale.size(60_000, 3_000)
    seeded = folder / "learners"
    with store_in(seeded) as store:
        put_learners(store)
    ten = "10 events a device"
    for kind, lane, per_device, name in (
        ("lesson.progressed", "progress", 10, f"lesson.progressed, {ten}"),
        ("lesson.progressed", "progress", 1, "lesson.progressed, 1 event a device"),
        ("analytics.recorded", "analytics", 10, f"analytics.recorded, {ten}"),
    ):
        made = islice(frames(kind, per_device), number // per_device)
        yield Load(name, lane, _records(folder, made, lane), seeded / "store.sqlite3")
    if (there := oulad_folder()) is None:
        say("  OULAD is not measured: it is not here, and HOLDFAST_SHARED_DATA names no folder that holds it")
        return
    data = read_oulad(there)
    seeded = folder / "oulad"
    with store_in(seeded) as store:
        put_school(store, data.users, data.lessons, "oulad-aaa-2013j")
    made = islice(oulad_frames(data), scale.size(600, 30))
    yield Load("OULAD's own mix", "analytics", _records(folder, made, "analytics"), seeded / "store.sqlite3")


def _records(folder: Path, made: Iterable[Frame], door: str) -> list[Record]:
    return records(judged(folder, made, door))


def _catalog() -> tuple[Kind, ...]:
    return (*kinds(Scrubber(b"bench")), loss.KIND)


def _measure(folder: Path, load: Load, scale: Scale) -> Figure:
    known = Kinds(_catalog())
    written: list[list[Written]] = []
    with _store(folder, load) as store:
        remembered = Remembered()
        # Once beside the rounds: what is written is taken down, and both sides' code is warm.
        for batch in _batches(load.records):
            with _noting(store) as noted:
                _apply(store, known, load.lane, batch, remembered, noted)
            written.append(noted.written)

    # As a portal does once it has started: else the collector walks over all the records held here.
    settle_memory()

    def ours() -> float:
        with _store(folder, load) as store:
            remembered = Remembered()
            began = time.perf_counter()
            for batch in _batches(load.records):
                _apply(store, known, load.lane, batch, remembered)
            return len(load.records) / (time.perf_counter() - began)

    def bare() -> float:
        with _connection(folder, load) as connection:
            began = time.perf_counter()
            for statements in written:
                connection.execute("BEGIN IMMEDIATE")
                for text, rows in statements:
                    connection.executemany(text, rows)
                connection.execute("COMMIT")
            return len(load.records) / (time.perf_counter() - began)

    mine, peers = alternate(scale.rounds, ours, bare)
    rows = sum(len(rows) for statements in written for _, rows in statements)
    return Figure(
        bench="apply",
        name=load.name,
        unit="events/s",
        how=f"{len(load.records):,} events through `apply_batch`, {BATCH:,} a transaction, with marks, "
        "ledger, devices and cursor, into a SQLite file that knows their people and lessons.",
        ours=mine,
        peer_is="The very statements and rows the applier wrote, through sqlite3's `executemany`, in one "
        "transaction a batch, WAL and synchronous FULL.",
        peer=peers,
        least_ratio=0.5,
        facts={"rowsPerEvent": round(rows / len(load.records), 3)},
    )


def _batches(found: list[Record]) -> Iterator[list[Record]]:
    for at in range(0, len(found), BATCH):
        yield found[at : at + BATCH]


def _apply(
    store: Store,
    known: Kinds,
    lane: str,
    batch: list[Record],
    remembered: Remembered,
    noted: Noted | None = None,
) -> None:
    with store.transaction(None) as tx:
        through = batch[-1].position
        target = tx if noted is None else noted.on(tx)
        outcome = apply_batch(target, known, lane, batch, through, 1, RECEIVED_AT, remembered, sifted=False)
    applied = sum(counts[0] for counts in outcome.counts.values())
    if applied != len(batch):
        raise RuntimeError(f"{applied} of {len(batch)} events were applied: {outcome.counts}")


@contextmanager
def _store(folder: Path, load: Load) -> Iterator[SqliteStore]:
    """A store on a copy of the seeded file, with the lease taken."""
    at = folder / "round"
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir()
    shutil.copy(load.seeded, at / "store.sqlite3")
    with store_in(at) as store:
        with store.transaction(None) as tx:
            marks.take_lease(tx, "bench", RECEIVED_AT)
        yield store


@contextmanager
def _connection(folder: Path, load: Load) -> Iterator[sqlite3.Connection]:
    """A bare connection to such a copy, set up as the store sets up its own."""
    at = folder / "bare"
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir()
    shutil.copy(load.seeded, at / "store.sqlite3")
    connection = sqlite3.connect(at / "store.sqlite3", isolation_level=None)
    for pragma in (
        "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL", "cache_size=-16000",
        "wal_autocheckpoint=4000",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")
    try:
        yield connection
    finally:
        connection.close()


class Noted:
    """A transaction that takes down every statement that writes, with its rows."""

    def __init__(self) -> None:
        """Nothing written yet."""
        self.written: list[Written] = []
        self.org: str | None = None
        self._tx: Tx | None = None

    def on(self, tx: Tx) -> Noted:
        """Note what is written to this one."""
        self._tx = tx
        return self

    @property
    def _its(self) -> Tx:
        assert self._tx is not None  # noqa: S101 - `on` comes first
        return self._tx

    def rows(self, statement: Executable, params: Params | None = None) -> Sequence[Row[Any]]:
        """Read."""
        return self._its.rows(statement, params)

    def run(self, statement: Executable, params: Params | None = None) -> int:
        """Execute; the engine's event takes it down."""
        return self._its.run(statement, params)

    def insert(self, table: Table) -> Any:  # noqa: ANN401 - as the port has it
        """The engine's insert."""
        return self._its.insert(table)

    def many(self, statement: Insert, rows: Iterable[Sequence[Any]]) -> None:
        """Insert many, and take them down."""
        kept = [tuple(row) for row in rows]
        self.written.append((_text(statement), kept))
        self._its.many(statement, kept)

    def on_commit(self, done: Any) -> None:  # noqa: ANN401 - handed on
        """Hand on."""
        self._its.on_commit(done)

    def savepoint(self) -> Any:  # noqa: ANN401 - handed on
        """Hand on."""
        return self._its.savepoint()

    def watching(self, tables: Iterable[Table]) -> Any:  # noqa: ANN401 - handed on
        """Hand on."""
        return self._its.watching(tables)


def _text(statement: Insert) -> str:
    from holdfast.store import sqlite  # noqa: PLC0415 - its statement cache is looked into

    return sqlite._compiled(statement)  # noqa: SLF001


@contextmanager
def _noting(store: SqliteStore) -> Iterator[Noted]:
    """Take down what goes through SQLAlchemy too."""
    noted = Noted()

    def before(
        _connection: Connection,
        _cursor: object,
        text: str,
        params: Any,  # noqa: ANN401 - the driver's
        _context: object,
        many: bool,  # noqa: FBT001 - SQLAlchemy's own shape
    ) -> None:
        if text.lstrip()[:6].upper() in ("INSERT", "UPDATE"):
            noted.written.append((text, list(params) if many else [params]))

    engine = store._write_engine  # noqa: SLF001 - the store has no ear for this, and should not
    event.listen(engine, "before_cursor_execute", before)
    try:
        yield noted
    finally:
        event.remove(engine, "before_cursor_execute", before)
