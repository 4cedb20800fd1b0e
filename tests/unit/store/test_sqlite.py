"""What is SQLite's own: who must act for each of its errors, one writer a file, outages and their end."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, text
from sqlalchemy.exc import DBAPIError

from holdfast.core.errors import Conflict, Corrupt, HoldfastError, Rejected, Unavailable
from holdfast.events.marks import require_lease, take_lease
from holdfast.store import sqlite
from holdfast.store.port import Tx
from holdfast.store.schema import cursors, marks
from holdfast.store.scope import OrgEscape
from holdfast.store.sqlite import SqliteStore
from holdfast.store.sqlite_faults import translate

NOW = "2026-11-23T10:00:00.000Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 50)
    opened = SqliteStore(path)
    yield opened
    opened.close()


def cursor(tx: Tx, lane: str, position: int = 1) -> int:
    return tx.run(insert(cursors).values(lane=lane, position=position, moved_at=NOW))


def lanes(tx: Tx) -> set[str]:
    return {row.lane for row in tx.rows(select(cursors.c.lane))}


# Errors


CODES: dict[int, type[HoldfastError]] = {
    sqlite3.SQLITE_CORRUPT: Corrupt,
    sqlite3.SQLITE_CORRUPT_INDEX: Corrupt,
    sqlite3.SQLITE_NOTADB: Corrupt,
    sqlite3.SQLITE_CONSTRAINT: Rejected,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: Rejected,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Rejected,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: Rejected,
    sqlite3.SQLITE_CONSTRAINT_CHECK: Rejected,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: Rejected,
    sqlite3.SQLITE_MISMATCH: Rejected,
    sqlite3.SQLITE_TOOBIG: Rejected,
    sqlite3.SQLITE_BUSY: Unavailable,
    sqlite3.SQLITE_BUSY_SNAPSHOT: Unavailable,
    sqlite3.SQLITE_LOCKED: Unavailable,
    sqlite3.SQLITE_READONLY: Unavailable,
    sqlite3.SQLITE_READONLY_DBMOVED: Unavailable,
    sqlite3.SQLITE_IOERR: Unavailable,
    sqlite3.SQLITE_IOERR_FSYNC: Unavailable,
    sqlite3.SQLITE_FULL: Unavailable,
    sqlite3.SQLITE_CANTOPEN: Unavailable,
    sqlite3.SQLITE_NOMEM: Unavailable,
    sqlite3.SQLITE_ERROR: Unavailable,
}


@pytest.mark.parametrize("code", CODES, ids=str)
def test_each_result_code_names_who_must_act(code: int) -> None:
    fault = sqlite3.OperationalError("words")
    fault.sqlite_errorcode = code
    error = translate(fault)
    assert type(error) is CODES[code]
    if isinstance(error, Unavailable):
        assert error.retry_s is not None
    if isinstance(error, Rejected):
        assert error.code == "poison"
    if isinstance(error, Corrupt):
        assert error.code == "store_corrupt"
        assert error.hint


WRONG = (
    "SELECT lane FROM no_such_table",
    "SELECT no_such_column FROM cursors",
    "INSERT INTO cursors (lane, no_such_column) VALUES ('a', 1)",
    "SELEKT lane FROM cursors",
    "SELECT lane FROM",
    "SELECT no_such_function(lane) FROM cursors",
    "SELECT abs(1, 2, 3)",
    "INSERT INTO cursors VALUES ('a')",
    "INSERT INTO cursors (lane, position) VALUES ('a')",
    "INSERT INTO cursors VALUES ('a', 1, 'b') ON CONFLICT (moved_at) DO NOTHING",
)


@pytest.mark.parametrize("statement", WRONG)
async def test_a_statement_that_is_wrong_is_a_fault_of_ours_and_no_outage(
    store: SqliteStore, statement: str
) -> None:
    with pytest.raises(HoldfastError, match=r"statement of the portal's own .* \(SQLITE_ERROR\)") as wrong:
        await store.run(None, lambda tx: tx.run(text(statement)))
    assert (type(wrong.value), wrong.value.code) == (HoldfastError, "internal")
    assert {each.reason for each in store.outcomes()} == {None}, "the store itself is well"


async def test_too_few_values_for_a_statement_are_a_fault_of_ours(store: SqliteStore) -> None:
    put = insert(marks).values(dict.fromkeys(marks.c.keys()))
    with pytest.raises(HoldfastError) as wrong:
        await store.run(None, lambda tx: tx.many(put, [("o", "e")]))
    assert (type(wrong.value), wrong.value.code) == (HoldfastError, "internal")


@pytest.mark.parametrize("statement", ["ROLLBACK TO gone", "RELEASE gone", "BEGIN"])
async def test_what_an_undone_transaction_leaves_behind_counts_as_the_outage_that_undid_it(
    store: SqliteStore, statement: str
) -> None:
    with pytest.raises(Unavailable):
        await store.run(None, lambda tx: tx.run(text(statement)))


async def test_text_that_is_no_unicode_is_bad_data(store: SqliteStore) -> None:
    with pytest.raises(Rejected):
        await store.run(None, lambda tx: cursor(tx, "\ud800"))
    put = insert(marks).values(dict.fromkeys(marks.c.keys()))
    with pytest.raises(Rejected):
        await store.run(None, lambda tx: tx.many(put, [("o", "\ud800", 1, 1)]))
    assert await store.read(None, lanes) == set()


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**200])
async def test_a_number_too_large_for_a_column_is_bad_data(store: SqliteStore, number: int) -> None:
    with pytest.raises(Rejected):
        await store.run(None, lambda tx: cursor(tx, "progress", number))
    put = insert(marks).values(dict.fromkeys(marks.c.keys()))
    with pytest.raises(Rejected):
        await store.run(None, lambda tx: tx.many(put, [("o", "e", number, 1)]))


async def test_the_drivers_own_error_stays_behind_ours(store: SqliteStore) -> None:
    with pytest.raises(Rejected) as refused:
        await store.run(None, lambda tx: [cursor(tx, "progress") for _ in range(2)])
    assert isinstance(refused.value.__cause__, DBAPIError)


# Outages


async def test_a_file_that_another_program_holds_is_an_outage_that_ends(
    store: SqliteStore, path: Path
) -> None:
    await store.run(None, lambda tx: cursor(tx, "progress"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as out:
        await store.run(None, lambda tx: cursor(tx, "admin"))
    assert out.value.code == "store_unavailable"
    assert store.stats().ok is False
    assert store.stats().reason
    assert await store.read(None, lanes) == {"progress"}, "readers need no lock"
    other.execute("ROLLBACK")
    other.close()
    await store.run(None, lambda tx: cursor(tx, "admin"))
    assert store.stats().ok is True
    assert await store.read(None, lanes) == {"progress", "admin"}


async def test_a_disk_that_is_full_is_an_outage_and_half_a_unit_is_none(store: SqliteStore) -> None:
    await store.run(None, lambda tx: cursor(tx, "progress"))

    def fill(tx: Tx) -> None:
        cursor(tx, "admin")
        connection = tx._connection  # type: ignore[attr-defined]
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
        for number in range(1000):
            cursor(tx, f"lane {number} " + "x" * 4000)

    with pytest.raises(Unavailable):
        await store.run(None, fill)
    assert await store.read(None, lanes) == {"progress"}
    # The next one gets a new connection, whose limit is gone as a full disk's would be.
    await store.run(None, lambda tx: cursor(tx, "admin"))
    assert await store.read(None, lanes) == {"progress", "admin"}


def test_a_file_that_is_no_store_is_the_operators(path: Path) -> None:
    before = b"this was a store once, and something wrote over it\n" * 200
    path.write_bytes(before)
    store = SqliteStore(path)
    for _ in range(2):
        with pytest.raises(Corrupt) as damaged, store.transaction(None):
            pass
        assert damaged.value.code == "store_corrupt"
    assert store.stats().ok is False
    store.close()
    assert path.read_bytes() == before, "nobody made it worse"


OURS = (
    Unavailable("the applier holds no lease"),
    Corrupt("an archived part of the journal is away", code="archive_away"),
    Corrupt("the journal holds lines that nobody can read"),
)


@pytest.mark.parametrize("word", OURS, ids=str)
async def test_a_word_of_ours_inside_a_unit_of_work_is_no_outage_of_the_store(
    store: SqliteStore, word: HoldfastError
) -> None:
    def work(_: Tx) -> None:
        raise word

    for unit in (store.run, store.read):
        with pytest.raises(type(word)):
            await unit(None, work)
    assert {each.reason for each in store.outcomes()} == {None}


async def test_a_lease_that_another_has_taken_is_no_outage_of_the_store(store: SqliteStore) -> None:
    epoch = await store.run(None, lambda tx: take_lease(tx, "this one", NOW))
    await store.run(None, lambda tx: take_lease(tx, "an erasure", NOW))
    with pytest.raises(Unavailable, match="another applier"):
        await store.run(None, lambda tx: require_lease(tx, epoch))
    assert store.stats().ok is True
    assert {each.reason for each in store.outcomes()} == {None}


def gone(path: Path) -> Path:
    """The folder goes, and where the file was nothing can be opened; where it went."""
    away = path.parent.rename(path.parent.with_name("away"))
    path.mkdir(parents=True)
    return away


async def test_a_volume_that_was_away_is_found_again(store: SqliteStore, path: Path) -> None:
    """What is open points at a file that is gone: the next try opens anew."""
    await store.run(None, lambda tx: cursor(tx, "progress"))
    away = gone(path)
    store._write_engine.dispose()
    store._read_engine.dispose()
    with pytest.raises(Unavailable):
        await store.run(None, lambda tx: cursor(tx, "admin"))
    with pytest.raises(Unavailable):
        await store.read(None, lanes)
    shutil.rmtree(path.parent)
    away.rename(path.parent)
    await store.run(None, lambda tx: cursor(tx, "admin"))
    assert await store.read(None, lanes) == {"progress", "admin"}


async def test_a_portal_may_start_while_its_store_can_not_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    path.mkdir()
    store = SqliteStore(path)
    assert store.stats().ok is None
    with pytest.raises(Unavailable):
        await store.read(None, lanes)
    path.rmdir()
    assert await store.read(None, lanes) == set()
    store.close()


# One writer


def test_a_second_writer_is_refused(store: SqliteStore, path: Path) -> None:
    with pytest.raises(Conflict) as refused:
        SqliteStore(path)
    assert refused.value.code == "store_in_use"
    assert refused.value.hint
    program = (
        "import sys, pathlib\n"
        "from holdfast.core.errors import Conflict\n"
        "from holdfast.store.sqlite import SqliteStore\n"
        "try:\n"
        "    SqliteStore(pathlib.Path(sys.argv[1]))\n"
        "except Conflict as refused:\n"
        "    print(refused.code)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "store_in_use\n"
    assert store.stats().engine == "sqlite"


def test_the_file_is_free_again_after_close(path: Path) -> None:
    for _ in range(3):
        SqliteStore(path).close()


async def test_after_close_the_file_holds_everything_by_itself(path: Path) -> None:
    store = SqliteStore(path)
    await store.run(None, lambda tx: cursor(tx, "progress"))
    store.close()
    assert not path.with_name(path.name + "-wal").exists()
    alone = sqlite3.connect(path)
    assert alone.execute("select lane from cursors").fetchall() == [("progress",)]
    alone.close()


async def test_what_was_deleted_stands_in_no_file_any_more_once_nobody_reads_it(
    store: SqliteStore, path: Path
) -> None:
    def names() -> list[str]:
        return sorted(each.name for each in path.parent.iterdir() if b"a lane to forget" in each.read_bytes())

    await store.run(None, lambda tx: [cursor(tx, f"a lane to forget {number}") for number in range(2000)])
    await store.overwritten()
    assert names() == ["store.sqlite3"]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM cursors").fetchall()
    await store.run(None, lambda tx: tx.run(delete(cursors)))
    with pytest.raises(Unavailable, match="still reads"):
        await store.overwritten()
    assert await store.read(None, lanes) == set(), "that was no outage"
    assert store.stats().ok is True
    other.close()
    await store.overwritten()
    assert names() == []


def test_a_unit_is_on_disk_before_it_counts_as_done(store: SqliteStore) -> None:
    with store.transaction(None) as tx:
        connection = tx._connection  # type: ignore[attr-defined]
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


async def test_a_unit_that_reads_can_not_write(store: SqliteStore) -> None:
    with pytest.raises(Unavailable):
        await store.read(None, lambda tx: cursor(tx, "progress"))
    assert await store.read(None, lanes) == set()


# Statements that are built once


def test_statements_for_many_rows_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_MOST_STATEMENTS", 3)
    monkeypatch.setattr(sqlite, "_sql", {})
    store = SqliteStore(None)
    put = insert(marks).values(dict.fromkeys(marks.c.keys()))
    with store.transaction(None) as tx:
        for number in range(10):
            tx.many(put, [("o", f"e{number}", 1, number)])
    with pytest.raises(OrgEscape, match="built once"), store.transaction(None) as tx:
        many_statements(tx)
    store.close()


def many_statements(tx: Tx) -> None:
    for number in range(10):
        tx.many(insert(marks).values(dict.fromkeys(marks.c.keys())), [("o", f"f{number}", 1, number)])


# Readers


async def test_readers_do_not_wait_for_one_another(store: SqliteStore) -> None:
    both = threading.Barrier(sqlite.READERS)

    def meet(tx: Tx) -> int:
        both.wait(10)
        return len(lanes(tx))

    assert await asyncio.gather(*(store.read(None, meet) for _ in range(sqlite.READERS))) == [0, 0]
