"""A store's file among others: other processes, folders that may not be written, damage, handles."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from holdfast.core.errors import Corrupt, Unavailable
from holdfast.store import sqlite
from holdfast.store.port import Tx
from holdfast.store.schema import marks, orgs
from holdfast.store.sqlite import SqliteStore

AT = "2026-11-23T10:00:00.000Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    opened = SqliteStore(path)
    put(opened, "tide")
    yield opened
    opened.close()


def put(store: SqliteStore, org: str) -> None:
    with store.transaction(None) as tx:
        tx.run(insert(orgs).values(id=org, slug=org, name=org, created_at=AT))


def names(tx: Tx) -> list[str]:
    return sorted(row.name for row in tx.rows(select(orgs.c.name)))


def there(store: SqliteStore) -> list[str]:
    with store.transaction(None) as tx:
        return names(tx)


# Other processes


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""
AGAIN = """
import sys
from pathlib import Path
from holdfast.store.schema import orgs
from holdfast.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
with store.transaction(None) as tx:
    print(len(tx.rows(orgs.select())), "alembic" in sys.modules)
"""


@contextlib.contextmanager
def held_by_another(path: Path) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield
        other.communicate("\n", timeout=30)


async def test_while_another_process_holds_the_file_writes_are_out_and_reads_go_on(
    store: SqliteStore, path: Path
) -> None:
    with held_by_another(path):
        with pytest.raises(Unavailable, match="locked"):
            put(store, "high")
        assert store.stats().ok is False
        assert await store.read(None, names) == ["tide"]
    put(store, "high")
    assert there(store) == ["high", "tide"]
    assert store.stats().reason is None


def test_a_store_at_the_newest_step_starts_without_loading_what_migrates(
    store: SqliteStore, path: Path
) -> None:
    store.close()
    told = subprocess.run(
        [sys.executable, "-c", AGAIN, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.split() == ["1", "False"]


# Folders and damage


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody may write in the folder, the superuser neither."""
    user = os.geteuid()
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_is_an_outage_that_ends() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        store = SqliteStore(folder / "store.sqlite3")
        with read_only(folder):
            with pytest.raises(Unavailable), store.transaction(None):
                pass
            assert store.stats().ok is False
        put(store, "tide")
        assert there(store) == ["tide"]
        store.close()


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = b"\x5a" * (len(data) - half)
    path.write_bytes(data)


async def test_damage_that_a_read_meets_is_the_operators(store: SqliteStore, path: Path) -> None:
    with store.transaction(None) as tx:
        tx.many(
            insert(marks).values(dict.fromkeys(marks.c.keys())),
            [("tide", f"{number:036d}", number, number) for number in range(2000)],
        )
    store.close()
    damaged(path)
    again = SqliteStore(path)
    with pytest.raises(Corrupt) as refused:
        await again.read(None, lambda tx: tx.rows(select(marks)))
    assert refused.value.code == "store_corrupt"
    assert "docs/runbooks/store-out.md" in refused.value.hint
    assert again.stats().ok is False
    again.close()


# Handles


def test_a_handle_opened_anew_after_a_failure_keeps_the_same_promises(store: SqliteStore) -> None:
    driver: Any = store._write_engine.raw_connection().driver_connection
    for broken in ("query_only=ON", "synchronous=OFF", "foreign_keys=OFF"):
        driver.execute(f"PRAGMA {broken}")
    with pytest.raises(Unavailable, match="readonly"):
        put(store, "high")
    put(store, "high")
    with store._write_engine.connect() as connection:
        now = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert now == ["wal", 2, 1]


@pytest.mark.parametrize("where", ["file", "memory"])
async def test_a_unit_that_reads_cannot_write_in_either_store(path: Path, where: str) -> None:
    store = SqliteStore(path if where == "file" else None)
    put(store, "tide")
    with pytest.raises(Unavailable, match="readonly"):
        await store.read(None, lambda tx: tx.run(update(orgs).values(name="changed")))
    assert there(store) == ["tide"]
    assert await store.read(None, names) == ["tide"]
    put(store, "high")  # the handle may write again
    assert store.stats().read_p95_ms is not None
    store.close()


def test_closing_twice_lets_go_of_nobody_elses_file(store: SqliteStore, tmp_path: Path) -> None:
    store.close()
    with (tmp_path / "others").open("w") as others:
        # The number of the lock's descriptor is free again, so this file has it.
        store.close()
        others.write("still open")
    assert (tmp_path / "others").read_text() == "still open"
