"""The SQLite engine: WAL, synchronous FULL, one writer.

One connection writes, in one thread, and owns the checkpoints: two that write and checkpoint at
once can corrupt a WAL database before SQLite 3.51.3 (sqlite.org/wal.html, "WAL-reset bug"), and
Debian 12 carries 3.40. Readers have a connection each per thread and see snapshots.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec
from sqlalchemy import Connection, Engine, Executable, Insert, Row, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from holdfast.core.errors import Conflict, HoldfastError, Unavailable
from holdfast.store import migrate, schema
from holdfast.store.port import Params, StoreStats, Taken, Tx, UnitOutcome
from holdfast.store.scope import OrgEscape, check_rows, narrow
from holdfast.store.sqlite_changes import watching
from holdfast.store.sqlite_faults import translate
from holdfast.store.sqlite_seen import HeldFile, Seen, reason_of

T = TypeVar("T")

READERS: Final = 2
BUSY_TIMEOUT_MS: Final = 2_000
"""How long to wait for another process's lock before the store counts as unavailable."""


class SqliteTx:
    """A transaction on one connection; see the port."""

    def __init__(self, connection: Connection, org: str | None) -> None:
        """Use `SqliteStore.run`, `read` or `transaction` to get one."""
        self._connection = connection
        self.org = org
        self.committed: list[Callable[[], None]] = []

    def rows(self, statement: Executable, params: Params | None = None) -> Sequence[Row[Any]]:
        """All rows a statement gives."""
        with _worded():
            found: Sequence[Row[Any]] = self._execute(statement, params).all()
        return found

    def run(self, statement: Executable, params: Params | None = None) -> int:
        """Execute; how many rows it touched."""
        with _worded():
            return int(self._execute(statement, params).rowcount)

    def _execute(self, statement: Executable, params: Params | None) -> Any:  # noqa: ANN401
        if self.org is not None:
            check_rows(statement, params, self.org)
            statement = narrow(statement, self.org)
            if isinstance(statement, Insert) and isinstance(params, list | tuple):
                tenant = "org_id" in statement.table.c
                params = [{**row, "org_id": self.org} for row in params] if tenant else params
        return self._connection.execute(statement, params)

    def insert(self, table: Table) -> Any:  # noqa: ANN401
        """SQLite's own insert."""
        return sqlite_insert(table)

    def many(self, statement: Insert, rows: Iterable[Sequence[Any]]) -> None:
        """One insert for many rows, straight to sqlite3."""
        if self.org is not None:
            raise OrgEscape("`many` runs in an unbound transaction only")
        raw: Any = self._connection.connection.driver_connection
        with _worded():
            raw.executemany(_compiled(statement), rows)

    def on_commit(self, done: Callable[[], None]) -> None:
        """Call `done` right after the commit."""
        self.committed.append(done)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only what is inside when it raises."""
        # Also around its own end: a full disk rolls the whole transaction back, and the savepoint is gone.
        with _worded(), self._connection.begin_nested():
            yield

    @contextmanager
    def watching(self, tables: Iterable[Table]) -> Iterator[Taken]:
        """Note which rows change; see the port."""
        if self.org is not None:
            raise OrgEscape("`watching` runs in an unbound transaction only")
        driver: Any = self._connection.connection.driver_connection
        with _worded(), watching(driver, tables) as taken:
            yield taken

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Refuse to write meanwhile."""
        driver: Any = self._connection.connection.driver_connection
        driver.execute("PRAGMA query_only=ON")
        try:
            yield
        finally:
            driver.execute("PRAGMA query_only=OFF")


@contextmanager
def _worded() -> Iterator[None]:
    """Turn the driver's errors into who must act at once: a batch must not take an outage for bad data."""
    try:
        yield
    except DBAPIError as fault:
        raise translate(fault.orig) from fault
    except (sqlite3.Error, OverflowError, UnicodeEncodeError) as fault:
        # The driver itself refuses numbers beyond 64 bits, and text that is no Unicode.
        raise translate(fault) from fault


_MOST_STATEMENTS: Final = 1000
_sql: dict[int, tuple[Insert, str]] = {}


def _compiled(statement: Insert) -> str:
    """The statement's text with `?` in the order of its columns; the statement object is kept."""
    known = _sql.get(id(statement))
    if known is None or known[0] is not statement:
        text = str(statement.compile(dialect=_DIALECT))
        known = _sql[id(statement)] = (statement, text)
        if len(_sql) > _MOST_STATEMENTS:
            raise OrgEscape("insert statements must be built once, not once a batch")
    return known[1]


_DIALECT = create_engine("sqlite://").dialect


class SqliteStore:
    """A store in one SQLite file, or in memory for tests (path None)."""

    def __init__(self, path: Path | None) -> None:
        """Take the file's lock; the tables are brought to this version by the first unit of work.

        So a portal starts, and takes events in, while its store is out. Raises Conflict
        `store_in_use` when another process writes to the file.
        """
        self._path = path
        self._lock_fd = None if path is None else _lock(path)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = self._writer
        if path is not None:
            self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._toucher = ThreadPoolExecutor(1, thread_name_prefix="store-touch")
        self._file = HeldFile(path)
        self._write_engine = self._engine(read_only=False)
        self._read_engine = self._write_engine if path is None else self._engine(read_only=True)
        self._serial = threading.RLock()
        self._seen = Seen()
        self._migrated = False

    def _engine(self, *, read_only: bool) -> Engine:
        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                self._file.target(),
                timeout=BUSY_TIMEOUT_MS / 1000,
                isolation_level=None,
                check_same_thread=False,
                uri=True,
            )
            connection.execute("PRAGMA foreign_keys=ON")
            if self._path is not None and not read_only:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA cache_size=-16000")
                connection.execute("PRAGMA wal_autocheckpoint=4000")
                # What a savepoint needs to undo itself goes into memory, not into a file of its own.
                connection.execute("PRAGMA temp_store=MEMORY")
                # What is deleted is overwritten where it stood: somebody may have asked for that.
                connection.execute("PRAGMA secure_delete=ON")
            if read_only:
                connection.execute("PRAGMA query_only=ON")
            return connection

        # A connection a thread of ours: the writer has one thread, so it has one connection.
        shared = self._path is None or not read_only
        engine = create_engine(
            "sqlite://",
            creator=connect,
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
            json_deserializer=msgspec.json.decode,
            **({"poolclass": StaticPool} if shared else {"poolclass": QueuePool, "pool_size": READERS}),
        )
        begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    def _ready(self) -> None:
        if self._migrated:
            return
        with self._serial, self._translated(self._write_engine):
            if not self._migrated:
                migrate.to_head(self._write_engine)
                self._file.hold()
                self._migrated = True

    # The port's verbs

    async def run(self, org: str | None, work: Callable[[Tx], T]) -> T:
        """A unit of work that writes."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._write, org, work)

    async def read(self, org: str | None, work: Callable[[Tx], T]) -> T:
        """A unit of work that only reads."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, org, work)

    @contextmanager
    def transaction(self, org: str | None) -> Iterator[Tx]:
        """A writing transaction in the caller's thread."""
        self._ready()
        with self._serial:
            self._same_file(writes=True)
            self._seen.begins_s = time.monotonic()
            try:
                with self._translated(self._write_engine), self._write_engine.begin() as connection:
                    self._seen.began_s, self._seen.begins_s = time.monotonic(), None
                    tx = SqliteTx(connection, org)
                    yield tx
            finally:
                self._seen.begins_s = self._seen.began_s = None
            for done in tx.committed:
                done()

    def stats(self) -> StoreStats:
        """What the last units told."""
        return self._seen.stats()

    def outcomes(self) -> list[UnitOutcome]:
        """How the last units went."""
        return self._seen.outcomes()

    async def touch(self, *, writes: bool) -> None:
        """See whether it can. What writes goes by the one writer: see the top of this file."""
        executor = self._writer if writes or self._path is None else self._toucher
        work = self._touch_writing if writes else self._touch_reading
        await asyncio.get_running_loop().run_in_executor(executor, work)

    async def overwritten(self) -> None:
        """Return when what was deleted stands in none of the store's files any more.

        The writer overwrites it in the one; the write-ahead file, where it may stand still, is emptied.
        Raises Unavailable while somebody reads the store as it was before.
        """
        await asyncio.get_running_loop().run_in_executor(self._writer, self._empty_wal)

    def close(self) -> None:
        """Finish what runs, checkpoint, let go; the second time, do nothing."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._toucher.shutdown(wait=True)
        if self._read_engine is not self._write_engine:
            self._read_engine.dispose()
        if self._lock_fd is not None:
            with contextlib.suppress(Exception), self._write_engine.connect() as connection:
                # A checkpoint that fails loses nothing: the next start replays the WAL.
                connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        self._write_engine.dispose()
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None  # its number may be another file's from now on

    # Inside

    def _write(self, org: str | None, work: Callable[[Tx], T]) -> T:
        began = time.perf_counter()
        with self.transaction(org) as tx:
            result = work(tx)
        self._seen.write_ms.append((time.perf_counter() - began) * 1000)
        return result

    def _read(self, org: str | None, work: Callable[[Tx], T]) -> T:
        self._ready()
        began = time.perf_counter()
        if self._read_engine is self._write_engine:
            # In memory there is one connection: for a read it may do what a reader's own could.
            with self.transaction(org) as tx, cast("SqliteTx", tx).reading():
                result = work(tx)
        else:
            self._same_file(writes=False)
            with self._translated(self._read_engine), self._read_engine.begin() as connection:
                result = work(SqliteTx(connection, org))
        self._seen.read_ms.append((time.perf_counter() - began) * 1000)
        return result

    def _empty_wal(self) -> None:
        if self._path is None:
            return
        self._ready()
        with self._serial:
            self._same_file(writes=True)
            with self._translated(self._write_engine), self._write_engine.connect() as connection:
                raw: Any = connection.connection.driver_connection
                busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise Unavailable("somebody still reads the store as it was before what was deleted")

    def _same_file(self, *, writes: bool) -> None:
        try:
            self._file.check()
        except Unavailable as lost:
            # Not by `_saw`, which lets go of the connections.
            self._seen.note(lost.message, writes=writes)
            raise

    def _touch_writing(self) -> None:
        self._wait_for_locks(0)
        try:
            with self.transaction(None) as tx:
                row = {"name": "probe", "epoch": time.time_ns(), "holder": "probe", "taken_at": ""}
                put = tx.insert(schema.leases).values(**row)
                tx.run(put.on_conflict_do_update(index_elements=["name"], set_={"epoch": row["epoch"]}))
        finally:
            self._wait_for_locks(BUSY_TIMEOUT_MS)

    def _wait_for_locks(self, most_ms: int) -> None:
        with contextlib.suppress(DBAPIError, sqlite3.Error), self._write_engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.execute(f"PRAGMA busy_timeout={most_ms}")

    def _touch_reading(self) -> None:
        self._ready()
        if self._path is None:
            return
        self._file.check()
        try:
            with contextlib.closing(sqlite3.connect(self._file.looking(), timeout=0, uri=True)) as anew:
                anew.execute("SELECT lane FROM cursors LIMIT 1").fetchall()
        except sqlite3.Error as fault:
            raise translate(fault) from fault

    @contextmanager
    def _translated(self, engine: Engine) -> Iterator[None]:
        """Turn the driver's errors into who must act, and remember how it went."""
        try:
            yield
        except HoldfastError as known:
            self._saw(reason_of(known, known.__cause__), engine)
            raise
        except (DBAPIError, sqlite3.Error) as fault:
            error = translate(fault.orig if isinstance(fault, DBAPIError) else fault)
            self._saw(reason_of(error, fault), engine)
            raise error from fault
        self._saw(None, engine)

    def _saw(self, reason: str | None, engine: Engine) -> None:
        if reason is not None and self._path is not None:
            # A handle that failed may point at a file that is gone or replaced: begin anew.
            engine.dispose()
        self._seen.note(reason, writes=engine is self._write_engine)


def _lock(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Conflict(
            f"another process writes the store {path.name} in {path.parent}",
            code="store_in_use",
            hint="Stop the portal that runs on this data directory, or use its API.",
        ) from None
    return fd
