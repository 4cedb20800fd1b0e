import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from sqlalchemy import func, insert, select

from holdfast.core.errors import Rejected, Unavailable
from holdfast.core.ids import uuid7
from holdfast.events import marks
from holdfast.events.batch import apply_batch
from holdfast.events.entry import Kinds
from holdfast.journal.record import Record, envelope_head
from holdfast.learning.catalog import kinds
from holdfast.learning.scrub import Scrubber
from holdfast.store import schema
from holdfast.store.sqlite import SqliteStore

AT = "2026-01-01T00:00:00.000Z"
KINDS = Kinds(kinds(Scrubber(b"salt")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.sqlite3")
    with opened.transaction(None) as tx:
        tx.run(insert(schema.orgs).values(id="reef", slug="reef", name="Reef", created_at=AT))
        tx.run(
            insert(schema.users).values(
                id="ida", email="ida@reef.example", name="Ida", password_hash=None, operator=False,
                active=True, demo=False, created_at=AT,
            )
        )  # fmt: skip
        tx.run(
            insert(schema.memberships).values(
                org_id="reef", user_id="ida", role="learner", active=True, created_at=AT
            )
        )
        assert marks.take_lease(tx, "test", AT) == 1
    yield opened
    opened.close()


def clicks(number: int) -> list[Record]:
    found = []
    for at in range(1, number + 1):
        event_id = uuid7(1_767_225_600_000 + at)
        body = json.dumps({"name": "page.opened", "data": {"filler": "x" * 2000}}).encode()
        facts = f',"userId":"ida","actorId":"ida","kind":"analytics.recorded","version":1,"occurredAt":"{AT}"'
        head = envelope_head(event_id, crc32(body), "analytics", "reef")
        found.append(Record(at, AT, head + facts.encode() + b',"body":' + body + b"}"))
    return found


def rows_in(store: SqliteStore) -> dict[str, Any]:
    tables = (schema.analytics_events, schema.activity, schema.marks, schema.dead_letters, schema.ledger)
    with store.transaction(None) as tx:
        return {
            table.name: tx.rows(select(func.count().label("number")).select_from(table))[0].number
            for table in tables
        }


def leave_pages(store: SqliteStore, number: int) -> None:
    with store._write_engine.connect() as connection:
        now = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={now + number}")


def test_a_disk_that_fills_inside_a_batch_is_an_outage_and_leaves_nothing_of_it(store: SqliteStore) -> None:
    records = clicks(200)
    leave_pages(store, 20)
    with pytest.raises(Unavailable), store.transaction(None) as tx:
        apply_batch(tx, KINDS, "analytics", records, 200, 1, AT, sifted=False)
    assert set(rows_in(store).values()) == {0}
    # The failed handle was let go, and the limit with it: the same batch goes through, once.
    with store.transaction(None) as tx:
        outcome = apply_batch(tx, KINDS, "analytics", records, 200, 1, AT, sifted=False)
    assert outcome.counts == {"reef": (200, 0, 0)}
    assert rows_in(store)["analytics_events"] == 200


def test_the_driver_s_errors_have_a_family_inside_the_transaction_already(store: SqliteStore) -> None:
    twice = ("reef", "an-id", 1, 1)
    with store.transaction(None) as tx:
        with pytest.raises(Rejected, match="UNIQUE") as by_driver, tx.savepoint():
            marks.put(tx, [twice, twice])
        assert by_driver.value.code == "poison"
        marks.put(tx, [twice])
        with pytest.raises(Rejected, match="UNIQUE"), tx.savepoint():
            tx.run(insert(schema.marks).values(org_id="reef", event_id="an-id", digest=1, position=1))
    assert rows_in(store)["marks"] == 1
