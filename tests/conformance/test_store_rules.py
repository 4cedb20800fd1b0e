"""What the Store port says of errors, orgs and its own condition, held against every engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Executable, delete, func, insert, select, update

from holdfast.core.errors import HoldfastError, Rejected
from holdfast.store import schema
from holdfast.store.port import Params, Store, Tx
from holdfast.store.scope import OrgEscape
from tests.conformance.conftest import StoreEngine
from tests.conformance.units import MARKS, NOW, course, cursor, found, lanes, titles, two_orgs

# Errors name who must act


BREAKS: dict[str, Callable[[Tx], object]] = {
    "a second row with the key of another": lambda tx: (cursor(tx, "progress", 1), cursor(tx, "progress", 2)),
    "no value where one must be": lambda tx: tx.run(
        insert(schema.cursors), {"lane": "x", "position": None, "moved_at": NOW}
    ),
    "a value that a check refuses": lambda tx: tx.run(
        insert(schema.memberships),
        {"org_id": "o", "user_id": "u", "role": "king", "active": True, "created_at": NOW},
    ),
    "a row that refers to nothing": lambda tx: tx.run(
        insert(schema.courses), course("knots", org_id="nowhere")
    ),
    "a second row where one column is unique": lambda tx: [found(tx, org, "same") for org in ("a", "b")],
}


@pytest.mark.parametrize("breaks", BREAKS.values(), ids=BREAKS)
async def test_data_that_breaks_a_rule_is_rejected_as_poison(
    store: Store, breaks: Callable[[Tx], object]
) -> None:
    with pytest.raises(Rejected) as refused:
        await store.run(None, breaks)
    assert refused.value.code == "poison"
    assert await store.read(None, lanes) == {}


async def test_the_error_has_its_family_already_inside_the_unit(store: Store) -> None:
    """A batch must be able to tell an outage from bad data while it still can undo a part."""

    def work(tx: Tx) -> str:
        try:
            with tx.savepoint():
                cursor(tx, "progress", 1)
                cursor(tx, "progress", 2)
        except HoldfastError as known:
            return known.code
        return "nothing was raised"

    assert await store.run(None, work) == "poison"


# Bound to an org


async def test_a_bound_transaction_reads_its_own_rows_though_no_condition_says_so(store: Store) -> None:
    await store.run(None, two_orgs)
    assert await store.read("tidewater", titles) == [("tidewater", "knots")]
    assert await store.read("nobody's", titles) == []
    assert len(await store.read(None, titles)) == 2


async def test_a_bound_transaction_changes_its_own_rows_only(store: Store) -> None:
    await store.run(None, two_orgs)
    retitle = update(schema.courses).values(title="changed")
    assert await store.run("tidewater", lambda tx: tx.run(retitle)) == 1
    assert await store.read(None, titles) == [("highland", "knots"), ("tidewater", "changed")]
    assert await store.run("highland", lambda tx: tx.run(delete(schema.courses))) == 1
    assert await store.read(None, titles) == [("tidewater", "changed")]


async def test_rows_inserted_in_a_bound_transaction_get_its_org(store: Store) -> None:
    await store.run(None, two_orgs)
    await store.run("tidewater", lambda tx: tx.run(insert(schema.courses).values(**course("a"))))
    await store.run("tidewater", lambda tx: tx.run(insert(schema.courses), course("b")))
    await store.run("tidewater", lambda tx: tx.run(insert(schema.courses), [course("c"), course("d")]))
    await store.run(
        "tidewater",
        lambda tx: tx.run(tx.insert(schema.courses).values(**course("e")).on_conflict_do_nothing()),
    )
    counted = select(schema.courses.c.org_id, func.count()).group_by(schema.courses.c.org_id)
    rows = await store.read(None, lambda tx: tx.rows(counted))
    assert sorted(tuple(row) for row in rows) == [("highland", 1), ("tidewater", 6)]


def stated(tx: Tx, statement: Executable, params: Params | None) -> int:
    """Run a statement as it stands."""
    return tx.run(statement, params)


async def test_a_row_that_states_another_org_is_refused(store: Store) -> None:
    await store.run(None, two_orgs)
    attempts: list[tuple[Executable, Params | None]] = [
        (insert(schema.courses).values(**course("a", org_id="highland")), None),
        (insert(schema.courses), course("a", org_id="highland")),
        (insert(schema.courses), [course("a"), course("b", org_id="highland")]),
        (update(schema.courses).values(org_id="highland"), None),
        (update(schema.courses), {"org_id": "highland"}),
    ]
    for statement, params in attempts:
        with pytest.raises(OrgEscape):
            await store.run("tidewater", partial(stated, statement=statement, params=params))
    assert await store.read(None, titles) == [("highland", "knots"), ("tidewater", "knots")]


async def test_many_is_for_unbound_transactions(store: Store) -> None:
    with pytest.raises(OrgEscape):
        await store.run("tidewater", lambda tx: tx.many(MARKS, [("tidewater", "e1", 1, 1)]))


async def test_a_transaction_knows_its_org(store: Store) -> None:
    assert await store.run("tidewater", lambda tx: tx.org) == "tidewater"
    assert await store.read(None, lambda tx: tx.org) is None
    with store.transaction("highland") as tx:
        assert tx.org == "highland"


# Its condition


async def test_before_the_first_unit_nothing_is_claimed(stores: StoreEngine, tmp_path: Path) -> None:
    store = stores.open(tmp_path)
    assert store.stats().ok is None
    assert store.stats().engine
    store.close()


async def test_its_condition_is_what_the_last_unit_told(store: Store) -> None:
    before = time.time()
    await store.run(None, lambda tx: cursor(tx, "progress", 1))
    stats = store.stats()
    assert (stats.ok, stats.reason) == (True, None)
    assert before <= stats.observed_at_s <= time.time()
    assert stats.write_p95_ms is not None
    with pytest.raises(Rejected):
        await store.run(None, lambda tx: cursor(tx, "progress", 1))
    assert store.stats().ok is True, "bad data says nothing about the store"
