"""What the Store port says of units of work and their statements, held against every engine."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from holdfast.core.errors import Rejected
from holdfast.store import schema
from holdfast.store.port import Store, Tx
from tests.conformance.conftest import StoreEngine
from tests.conformance.units import MARKS, NOW, Undone, cursor, lanes, undone

# A unit of work


async def test_a_store_makes_its_tables_by_itself(store: Store) -> None:
    assert await store.read(None, lanes) == {}


async def test_a_unit_gives_back_what_it_found(store: Store) -> None:
    assert await store.run(None, lambda tx: (cursor(tx, "progress", 7), lanes(tx))) == (1, {"progress": 7})


async def test_a_unit_that_raises_did_nothing_and_raises_its_own_error(store: Store) -> None:
    def work(tx: Tx) -> None:
        cursor(tx, "progress", 1)
        raise Undone

    with pytest.raises(Undone):
        await store.run(None, work)
    assert await store.read(None, lanes) == {}


async def test_when_run_returns_others_see_its_effect(store: Store) -> None:
    await store.run(None, lambda tx: cursor(tx, "progress", 1))
    assert await store.read(None, lanes) == {"progress": 1}
    with store.transaction(None) as tx:
        assert lanes(tx) == {"progress": 1}


async def test_when_run_returns_its_effect_outlives_the_store(stores: StoreEngine, tmp_path: Path) -> None:
    if not stores.survives:
        pytest.skip(f"{stores.name} promises nothing beyond its own life")
    one = stores.open(tmp_path)
    await one.run(None, lambda tx: cursor(tx, "progress", 1))
    one.close()
    again = stores.open(tmp_path)
    assert await again.read(None, lanes) == {"progress": 1}
    again.close()


async def test_units_that_write_happen_one_after_another(store: Store) -> None:
    await store.run(None, lambda tx: cursor(tx, "progress", 0))

    def count_up(tx: Tx) -> None:
        before = lanes(tx)["progress"]
        time.sleep(0.001)
        tx.run(update(schema.cursors).values(position=before + 1))

    await asyncio.gather(*(store.run(None, count_up) for _ in range(40)))
    assert await store.read(None, lanes) == {"progress": 40}


async def test_a_transaction_in_another_thread_waits_its_turn_too(store: Store) -> None:
    await store.run(None, lambda tx: cursor(tx, "progress", 0))

    def here() -> None:
        for _ in range(20):
            with store.transaction(None) as tx:
                before = lanes(tx)["progress"]
                tx.run(update(schema.cursors).values(position=before + 1))

    def count_up(tx: Tx) -> None:
        before = lanes(tx)["progress"]
        tx.run(update(schema.cursors).values(position=before + 1))

    await asyncio.gather(
        *(asyncio.to_thread(here) for _ in range(3)), *(store.run(None, count_up) for _ in range(20))
    )
    assert await store.read(None, lanes) == {"progress": 80}


async def test_a_read_sees_finished_units_only(stores: StoreEngine, store: Store) -> None:
    if not stores.reads_beside_a_write:
        pytest.skip(f"{stores.name} reads between its writes")
    half, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        cursor(tx, "progress", 1)
        half.set()
        assert go_on.wait(10)
        cursor(tx, "admin", 1)

    writing = asyncio.ensure_future(store.run(None, slow))
    assert await asyncio.to_thread(half.wait, 10)
    assert await store.read(None, lanes) == {}
    go_on.set()
    await writing
    assert await store.read(None, lanes) == {"progress": 1, "admin": 1}


async def test_a_read_sees_one_moment_however_long_it_takes(stores: StoreEngine, store: Store) -> None:
    if not stores.reads_beside_a_write:
        pytest.skip(f"{stores.name} reads between its writes")
    await store.run(None, lambda tx: cursor(tx, "progress", 1))
    looked, go_on = threading.Event(), threading.Event()

    def slow(tx: Tx) -> tuple[dict[str, int], dict[str, int]]:
        first = lanes(tx)
        looked.set()
        assert go_on.wait(10)
        return first, lanes(tx)

    reading = asyncio.ensure_future(store.read(None, slow))
    assert await asyncio.to_thread(looked.wait, 10)
    await store.run(None, lambda tx: cursor(tx, "admin", 1))
    go_on.set()
    first, second = await reading
    assert first == second == {"progress": 1}


async def test_a_unit_runs_in_a_thread_of_the_stores(store: Store) -> None:
    here = threading.get_ident()
    assert await store.run(None, lambda _: threading.get_ident()) != here
    assert await store.read(None, lambda _: threading.get_ident()) != here
    with store.transaction(None):
        pass  # in the caller's own


async def test_a_transaction_here_and_now_commits_or_leaves_nothing(store: Store) -> None:
    with store.transaction(None) as tx:
        cursor(tx, "progress", 1)
    with pytest.raises(Undone), store.transaction(None) as tx:
        undone(tx)
    assert await store.read(None, lanes) == {"progress": 1}


async def test_close_finishes_what_runs(stores: StoreEngine, tmp_path: Path) -> None:
    store = stores.open(tmp_path)
    begun = threading.Event()

    def slow(tx: Tx) -> int:
        begun.set()
        time.sleep(0.05)
        return cursor(tx, "progress", 1)

    running = asyncio.ensure_future(store.run(None, slow))
    assert await asyncio.to_thread(begun.wait, 10)
    await asyncio.to_thread(store.close)
    assert await running == 1


# Statements


async def test_run_tells_how_many_rows_it_touched(store: Store) -> None:
    def work(tx: Tx) -> tuple[int, int, int]:
        cursor(tx, "progress", 1)
        cursor(tx, "admin", 2)
        return (
            tx.run(update(schema.cursors).values(position=5)),
            tx.run(delete(schema.cursors).where(schema.cursors.c.lane == "admin")),
            tx.run(delete(schema.cursors).where(schema.cursors.c.lane == "nobody's")),
        )

    assert await store.run(None, work) == (2, 1, 0)


async def test_a_statement_takes_one_row_or_many(store: Store) -> None:
    statement = insert(schema.cursors)

    def work(tx: Tx) -> None:
        tx.run(statement, {"lane": "one", "position": 1, "moved_at": NOW})
        tx.run(statement, [{"lane": lane, "position": 2, "moved_at": NOW} for lane in ("two", "three")])

    await store.run(None, work)
    assert await store.read(None, lanes) == {"one": 1, "two": 2, "three": 2}


async def test_the_engines_own_insert_knows_what_to_do_on_conflict(store: Store) -> None:
    def work(tx: Tx) -> list[int]:
        cursor(tx, "progress", 1)
        row = {"lane": "progress", "position": 9, "moved_at": NOW}
        statement = tx.insert(schema.cursors).values(**row)
        touched = [tx.run(statement.on_conflict_do_nothing())]
        on_lane = [schema.cursors.c.lane]
        touched.append(
            tx.run(
                statement.on_conflict_do_update(
                    index_elements=on_lane, set_={"position": statement.excluded.position}
                )
            )
        )
        return touched

    assert await store.run(None, work) == [0, 1]
    assert await store.read(None, lanes) == {"progress": 9}


async def test_many_puts_rows_in_the_tables_order(store: Store) -> None:
    rows = [("tidewater", f"e{number}", number, number * 10) for number in range(500)]
    await store.run(None, lambda tx: tx.many(MARKS, rows))
    its = schema.marks.c
    back = await store.read(
        None, lambda tx: tx.rows(select(its.org_id, its.event_id, its.digest, its.position))
    )
    assert sorted(tuple(row) for row in back) == sorted(rows)


async def test_many_is_undone_with_its_unit(store: Store) -> None:
    def work(tx: Tx) -> None:
        tx.many(MARKS, [("tidewater", "e1", 1, 1)])
        raise Undone

    with pytest.raises(Undone):
        await store.run(None, work)
    assert await store.read(None, lambda tx: tx.rows(select(schema.marks))) == []


async def test_many_with_a_row_that_breaks_a_rule_is_bad_data(store: Store) -> None:
    rows = [("tidewater", "e1", 1, 1), ("tidewater", "e1", 1, 2)]
    with pytest.raises(Rejected) as refused:
        await store.run(None, lambda tx: tx.many(MARKS, rows))
    assert refused.value.code == "poison"


async def test_json_and_bytes_come_back_as_they_went_in(store: Store) -> None:
    seqs = [[1, 3], [5, 2**53 - 1]]
    row = {"org_id": "o", "user_id": "u", "device_id": "d", "generation": 1, "seqs": seqs, "seen_at": NOW}
    await store.run(None, lambda tx: tx.run(insert(schema.devices).values(**row)))
    (back,) = await store.read(None, lambda tx: tx.rows(select(schema.devices)))
    assert back.seqs == seqs


# Savepoints and what follows a commit


async def test_a_savepoint_undoes_what_is_inside_and_no_more(store: Store) -> None:
    def work(tx: Tx) -> None:
        cursor(tx, "before", 1)
        with pytest.raises(Undone), tx.savepoint():
            undone(tx)
        with tx.savepoint():
            cursor(tx, "kept", 1)
        cursor(tx, "after", 1)

    await store.run(None, work)
    assert set(await store.read(None, lanes)) == {"before", "kept", "after"}
    assert await store.read(None, lambda tx: tx.rows(select(schema.marks))) == []


async def test_savepoints_stand_in_one_another(store: Store) -> None:
    def work(tx: Tx) -> None:
        with tx.savepoint():
            cursor(tx, "outer", 1)
            with pytest.raises(Undone), tx.savepoint():
                undone(tx)

    await store.run(None, work)
    assert set(await store.read(None, lanes)) == {"outer"}


async def test_a_savepoint_takes_bad_data_and_the_unit_goes_on(store: Store) -> None:
    def work(tx: Tx) -> None:
        cursor(tx, "progress", 1)
        with pytest.raises(Rejected), tx.savepoint():
            cursor(tx, "progress", 2)
        cursor(tx, "admin", 3)

    await store.run(None, work)
    assert await store.read(None, lanes) == {"progress": 1, "admin": 3}


async def test_what_follows_a_commit_comes_before_any_other_unit(store: Store) -> None:
    order: list[str] = []

    def first(tx: Tx) -> None:
        tx.on_commit(lambda: order.append("told"))
        order.append("worked")

    def second(_: Tx) -> None:
        order.append("the next unit")

    await asyncio.gather(store.run(None, first), store.run(None, second))
    assert order == ["worked", "told", "the next unit"]


async def test_what_follows_a_commit_sees_it_done(store: Store) -> None:
    heard: list[str] = []

    def work(tx: Tx) -> None:
        tx.on_commit(lambda: heard.append("one"))
        tx.on_commit(lambda: heard.append("two"))
        assert heard == []

    await store.run(None, work)
    assert heard == ["one", "two"]


async def test_nothing_follows_a_unit_that_was_undone(store: Store) -> None:
    heard: list[str] = []

    def work(tx: Tx) -> None:
        tx.on_commit(lambda: heard.append("told"))
        raise Undone

    with pytest.raises(Undone):
        await store.run(None, work)
    assert heard == []
