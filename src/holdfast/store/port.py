"""The Store port: units of work, and the transaction they run in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from sqlalchemy import Executable, Insert, Row, Table

T = TypeVar("T")
Params = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Act = Literal["added", "changed", "removed"]


class Change(NamedTuple):
    """One row that a transaction changed: its columns before and after, None where there was none."""

    table: str
    act: Act
    before: dict[str, Any] | None
    after: dict[str, Any] | None


Taken = Callable[[], list[Change]]
"""Gives the changes since it was last asked, in the order they happened."""


class Tx(Protocol):
    """One transaction, bound to one org or (org None) to none.

    Bound to an org, every statement is narrowed to it: reads, updates and deletes get the
    condition on each tenant table, inserted rows get the org and may not state another. Unbound
    transactions are for the applier, membership reads, operators, and nothing else.

    Errors: Unavailable `store_unavailable` when the store can't be reached or written (nothing
    of the transaction happened, waiting helps); Rejected `poison` when the data breaks a rule of
    the tables; Corrupt `store_corrupt` when the file is no store.
    """

    org: str | None

    def rows(self, statement: Executable, params: Params | None = None) -> Sequence[Row[Any]]:
        """All rows a statement gives."""
        ...

    def run(self, statement: Executable, params: Params | None = None) -> int:
        """Execute a statement; how many rows it touched."""
        ...

    def insert(self, table: Table) -> Any:  # noqa: ANN401 - each dialect has a class of its own
        """The engine's own insert, which knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
        ...

    def many(self, statement: Insert, rows: Iterable[Sequence[Any]]) -> None:
        """One insert for many rows, straight to the driver: for the applier's set statements.

        The statement names its columns by `insert(table).values(a=None, b=None)` and is built once;
        each row gives their values in the table's order. JSON columns take text. Not narrowed to an
        org: unbound transactions only.
        """
        ...

    def on_commit(self, done: Callable[[], None]) -> None:
        """Call `done` right after the commit, before any other unit runs; never if it rolls back."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo only what is inside when it raises."""
        ...

    def watching(self, tables: Iterable[Table]) -> AbstractContextManager[Taken]:
        """Note which rows of the tables change while the block lasts, whoever writes them.

        For tables without binary columns, in unbound transactions. What is undone is not noted, and
        a row that is written as it stood is no change.
        """
        ...


class UnitOutcome(NamedTuple):
    """How a unit of work went, as far as the store is concerned."""

    writes: bool
    reason: str | None
    """Why the store could not do it; None when it could, whatever the unit itself came to."""


class StoreStats(NamedTuple):
    """A store's condition, from memory."""

    engine: str
    ok: bool | None
    """What the last unit of work told: True, False, or None when there was none yet."""
    observed_at_s: float
    """When that was, seconds since 1970."""
    reason: str | None
    write_p95_ms: float | None
    read_p95_ms: float | None
    read_p50_ms: float | None = None
    locked_s: float | None = None
    """How long a unit that writes has been waiting to begin; None while none does."""
    working_s: float | None = None
    """How long the unit that writes now has been at it; None while none does."""


class Store(Protocol):
    """Tables, by units of work.

    Durability: when `run` returns, its effect is on disk. Isolation: units of `run` happen one
    after another; `read` sees a snapshot of finished ones. Every unit is all or nothing, and is
    plain synchronous code that runs in a thread of the store's: it must not touch the loop.
    """

    async def run(self, org: str | None, work: Callable[[Tx], T]) -> T:
        """Do a unit of work that writes, in one transaction."""
        ...

    async def read(self, org: str | None, work: Callable[[Tx], T]) -> T:
        """Do a unit of work that only reads."""
        ...

    def transaction(self, org: str | None) -> AbstractContextManager[Tx]:
        """A writing transaction here and now, in the caller's thread: for commands and tests."""
        ...

    def stats(self) -> StoreStats:
        """The store's condition."""
        ...

    def outcomes(self) -> list[UnitOutcome]:
        """How the last units went, at most 64, since the last call; oldest first. For health."""
        ...

    async def touch(self, *, writes: bool) -> None:
        """The smallest unit of the store's own, to see whether it can. For health.

        One that reads goes by a connection of its own, opened for it, as somebody would who comes
        anew; one that writes commits a row nobody reads. Neither waits for another program's lock.
        Raises as units do.
        """
        ...

    def close(self) -> None:
        """Finish what runs, let go."""
        ...
