"""The spine by hand: records as a journal gives them back, and a school's tables to apply them to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Table, select

from holdfast.core.clock import Clock
from holdfast.core.errors import Unavailable
from holdfast.events import loss, marks
from holdfast.events.applier import Applier
from holdfast.events.backlog import Backlog
from holdfast.events.batch import Mixed, Outcome, apply_batch
from holdfast.events.entry import Kinds
from holdfast.events.kind import Applied, Kind, Lane
from holdfast.journal.port import Journal
from holdfast.journal.record import Record
from holdfast.learning.catalog import kinds
from holdfast.learning.scrub import Scrubber
from holdfast.store import schema
from holdfast.store.port import Store, StoreStats, Tx, UnitOutcome
from holdfast.store.sqlite import SqliteStore
from tests.records import event, record

T = TypeVar("T")
NOW = "2026-11-23T11:00:00.000Z"
SCHOOL_KINDS = (*kinds(Scrubber(b"salt of the tests")), loss.KIND)
KINDS = Kinds(SCHOOL_KINDS)


# Events of the school that `tests.unit.learning.register.school` founds


def progressed(number: int, percent: float = 50, **changed: Any) -> Record:  # noqa: ANN401 - facts of an event
    """Ada got so far in lesson one of knots; the record stands at the event's own number."""
    where = {"courseId": changed.pop("course", "knots"), "lessonId": changed.pop("lesson", "one")}
    body = where | {"percent": percent}
    return at(number, "lesson.progressed", body, **changed)


def at(number: int, kind: str, body: Any, **changed: Any) -> Record:  # noqa: ANN401 - as above
    """Any event as a record; `position` is its number unless it says another."""
    position = changed.pop("position", number)
    facts = {"org": "tide", "user": "ada"} | changed
    return record(event(number, kind=kind, body=body, **facts), position)


# Applying


def apply(
    tx: Tx,
    records: Sequence[Record],
    *,
    lane: str = "progress",
    known: Kinds = KINDS,
    epoch: int = 1,
    through: int | None = None,
    sifted: bool = False,
) -> Outcome:
    """One batch, as the applier hands it over; a savepoint stands for its first transaction.

    `sifted`: sift it at once.
    """
    last = max((each.position for each in records), default=0) if through is None else through
    try:
        with tx.savepoint():
            return apply_batch(tx, known, lane, records, last, epoch, NOW, sifted=sifted)
    except Mixed:
        return apply_batch(tx, known, lane, records, last, epoch, NOW, sifted=True)


def lease(store: SqliteStore, holder: str = "test") -> int:
    """Become the applier; the epoch."""
    with store.transaction(None) as tx:
        return marks.take_lease(tx, holder, NOW)


def table(tx: Tx, which: Table, *left_out: str) -> list[tuple[Any, ...]]:
    """All rows in an order of their own, without some columns."""
    columns = [column for column in which.c if column.name not in left_out]
    return sorted((tuple(row) for row in tx.rows(select(*columns))), key=repr)


def held(store: SqliteStore, which: Table, *left_out: str) -> list[tuple[Any, ...]]:
    """As `table`, in a transaction of its own."""
    with store.transaction(None) as tx:
        return table(tx, which, *left_out)


def tallied(store: SqliteStore, org: str = "tide") -> tuple[int, int, int]:
    """(applied, duplicate, dead) of an org over all lanes."""
    rows = [row for row in held(store, schema.ledger) if row[0] == org]
    return sum(row[2] for row in rows), sum(row[3] for row in rows), sum(row[4] for row in rows)


def emptied(store: SqliteStore) -> None:
    """Take the events' traces out of the tables; the school stays."""
    with store.transaction(None) as tx:
        for each in TRACES:
            tx.run(each.delete())


TRACES = (
    schema.marks,
    schema.cursors,
    schema.leases,
    schema.ledger,
    schema.dead_letters,
    schema.devices,
    schema.loss_receipts,
    schema.assignments,
    schema.assignment_results,
    schema.progress,
    schema.intervals,
    schema.answers,
    schema.analytics_events,
    schema.activity,
    schema.audit,
)


# Kinds whose apply functions do as their bodies say


class Sighting(msgspec.Struct, rename="camel"):
    """What a buoy saw, and what shall become of the batch that holds it."""

    what: str = "a seal"


class Sightings:
    """A kind that writes a row an event into `loss_receipts`, and fails for what `faults` holds."""

    def __init__(self, name: str = "buoy.sighted", lane: Lane = "progress") -> None:
        """Nothing fails yet."""
        self.faults: dict[str, Callable[[], Exception]] = {}
        self.sizes: list[int] = []
        """How many events each call got."""
        self.kind = Kind(name, 1, Sighting, lane, "progress", "event.send", self._apply)

    def _apply(self, tx: Tx, batch: Sequence[Applied[Any]]) -> None:
        self.sizes.append(len(batch))
        for each in batch:
            # Written first: what fails must be undone.
            row: dict[str, Any] = {
                "org_id": each.org,
                "event_id": each.id,
                "user_id": each.user,
                "device_id": "d",
            }
            row |= {"generation": 1, "missing": [], "cause": each.body.what, "received_at": each.received_at}
            tx.run(schema.loss_receipts.insert().values(row))
        for each in batch:
            if (fault := self.faults.get(each.body.what)) is not None:
                raise fault()


def sighting(number: int, what: str = "a seal", **changed: Any) -> Record:  # noqa: ANN401 - as `at`
    """A record of such a kind."""
    return at(number, changed.pop("kind", "buoy.sighted"), {"what": what}, **changed)


def sighted(store: SqliteStore) -> list[str]:
    """What was written, an entry an event."""
    return [row[6] for row in held(store, schema.loss_receipts)]


# A store that can be out, and the applier over it


class MoodyStore:
    """A store that is Unavailable while `out` says so."""

    def __init__(self, real: SqliteStore) -> None:
        """`real` does the work while it is in."""
        self.real = real
        self.out = False
        self.refused = 0
        self.after_work: Exception | None = None
        """Raised inside the next unit that writes, after its work."""

    async def run(self, org: str | None, work: Callable[[Tx], T]) -> T:
        """Write, or refuse."""
        self._ask()

        def inside(tx: Tx) -> T:
            result = work(tx)
            if (fault := self.after_work) is not None:
                self.after_work = None
                raise fault
            return result

        return await self.real.run(org, inside)

    async def read(self, org: str | None, work: Callable[[Tx], T]) -> T:
        """Read, or refuse."""
        self._ask()
        return await self.real.read(org, work)

    def _ask(self) -> None:
        if self.out:
            self.refused += 1
            raise Unavailable("the store is out for a walk")

    def transaction(self, org: str | None) -> AbstractContextManager[Tx]:
        """As it is."""
        return self.real.transaction(org)

    def outcomes(self) -> list[UnitOutcome]:
        """As they were."""
        return self.real.outcomes()

    async def touch(self, *, writes: bool) -> None:
        """As it is."""
        await self.real.touch(writes=writes)

    def stats(self) -> StoreStats:
        """As they are."""
        return self.real.stats()

    def close(self) -> None:
        """Close."""
        self.real.close()


def applier(
    journal: Journal, store: Store, clock: Clock, catalog: Iterable[Kind] = SCHOOL_KINDS
) -> tuple[Applier, Backlog]:
    """An applier and its backlog."""
    waiting = Backlog(journal, clock)
    return Applier(journal, store, list(catalog), waiting, clock=clock), waiting


@contextlib.asynccontextmanager
async def at_work(one: Applier) -> Any:  # noqa: ANN401 - an async iterator of nothing
    """The applier runs while the block lasts."""
    task = asyncio.create_task(one.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
