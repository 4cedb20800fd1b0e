"""Reading a SQLite store beside the portal that writes it, or without one: one snapshot, no lock.

Opened read-only, so it never checkpoints: only a second writer could harm a WAL file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from holdfast.core.errors import Corrupt, Unavailable
from holdfast.store import migrate
from holdfast.store.port import Tx
from holdfast.store.sqlite import BUSY_TIMEOUT_MS, SqliteTx
from holdfast.store.sqlite_faults import translate


@contextmanager
def reading(path: Path) -> Iterator[Tx]:
    """A transaction that only reads, bound to no org; everything it sees is of one moment.

    Raises Unavailable when the file is not there, Corrupt when it is no store, or of another version.
    """
    if not path.exists():
        raise Unavailable(f"there is no store at {path}", retry_s=None)
    source = f"file:{quote(str(path.resolve()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            source, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA query_only=ON")
        return connection

    engine = create_engine(
        "sqlite://", creator=connect, json_deserializer=msgspec.json.decode, poolclass=StaticPool
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    try:
        at = migrate.current(engine)
        if at != migrate.HEAD:
            raise Corrupt(
                f"the store is at step {at}, and this version works with {migrate.HEAD}",
                code="store_corrupt",
                hint="Start this version's portal on it once, or use the version that wrote it.",
            )
        with engine.connect() as connection, connection.begin():
            yield SqliteTx(connection, None)
    except DBAPIError as fault:
        raise translate(fault.orig) from fault
    except sqlite3.Error as fault:
        raise translate(fault) from fault
    finally:
        engine.dispose()


def copy(path: Path, to: Path) -> None:
    """Copy a store's file as it is at one moment, by SQLite's own backup. Raises Unavailable or Corrupt."""
    source = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        read = sqlite3.connect(source, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
        write = sqlite3.connect(to, isolation_level=None)
        try:
            read.execute("BEGIN")
            read.execute("SELECT count(*) FROM sqlite_master").fetchall()
            # All at once: between steps another's write would begin it anew.
            read.backup(write, pages=-1)
            write.execute("PRAGMA journal_mode=DELETE")
        finally:
            write.close()
            read.close()
    except sqlite3.Error as fault:
        raise translate(fault) from fault
    to.chmod(0o600)


def integrity(path: Path) -> list[str]:
    """What SQLite itself finds wrong with a file; empty when it is sound."""
    source = f"file:{quote(str(path.resolve()))}?mode=ro"
    try:
        connection = sqlite3.connect(source, uri=True)
        try:
            found: list[Any] = connection.execute("PRAGMA integrity_check(20)").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as fault:
        return [str(fault)]
    return [row[0] for row in found if row[0] != "ok"]
