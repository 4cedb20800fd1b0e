"""A store that answers with an error in the middle of a batch: at every statement, and inside of them.

Partial writes cannot exist: after each failure every table is as it was, and the same batch then goes
through as if nothing had been.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Executable, Insert, Row, Table

from holdfast.core.errors import Unavailable
from holdfast.events import deadletters, marks
from holdfast.events.redrive import redrive_one
from holdfast.journal.record import Record
from holdfast.store import schema
from holdfast.store.port import Params, Tx
from holdfast.store.sqlite import SqliteStore
from tests.unit.events.spine import KINDS, NOW, SCHOOL_KINDS, apply, at, emptied, progressed, table
from tests.unit.learning.register import add_course, school

EVERY = schema.metadata.sorted_tables
TIMES = ("applied_at",)
"""What says when, by the machine's own clock: not the same in two runs."""


class Failing:
    """A transaction whose nth call fails: `before` it has its effect, or (else) after."""

    def __init__(self, tx: Tx, nth: int, *, before: bool) -> None:
        self._tx = tx
        self._nth = nth
        self._before = before
        self.calls = 0
        self.org = tx.org

    def _due(self) -> bool:
        self.calls += 1
        return self.calls == self._nth

    def _do(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401
        due = self._due()
        if due and self._before:
            raise Unavailable("the store answered 500")
        try:
            return work()
        finally:
            if due:
                raise Unavailable("the store answered 500, whatever became of it")

    def rows(self, statement: Executable, params: Params | None = None) -> Sequence[Row[Any]]:
        found: Sequence[Row[Any]] = self._do(lambda: self._tx.rows(statement, params))
        return found

    def run(self, statement: Executable, params: Params | None = None) -> int:
        return int(self._do(lambda: self._tx.run(statement, params)))

    def many(self, statement: Insert, rows: Iterable[Sequence[Any]]) -> None:
        self._do(lambda: self._tx.many(statement, rows))

    def insert(self, table: Table) -> Any:  # noqa: ANN401
        return self._tx.insert(table)

    def on_commit(self, done: Callable[[], None]) -> None:
        self._tx.on_commit(done)

    def watching(self, tables: Iterable[Table]) -> Any:  # noqa: ANN401
        return self._tx.watching(tables)

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        with self._tx.savepoint():
            self._do(lambda: None)
            yield
            self._do(lambda: None)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with school() as opened:
        emptied(opened)
        with opened.transaction(None) as tx:
            marks.take_lease(tx, "test", NOW)
        yield opened


def everything(store: SqliteStore) -> dict[str, list[tuple[Any, ...]]]:
    with store.transaction(None) as tx:
        return {each.name: table(tx, each, *TIMES) for each in EVERY}


def mixed() -> list[Record]:
    """Good ones of every kind in the lane, one again, one with another body, one that can't be."""
    device = {"deviceId": "d", "seq": 1}
    answer = {"courseId": "knots", "lessonId": "one", "questionId": "q1", "choiceIds": ["a"]}
    span = {"sessionId": "s", "fromS": 0, "toS": 5}
    return [
        progressed(1, 40, **device),
        at(2, "lesson.progressed", {"courseId": "knots", "lessonId": "two", "percent": 9, "interval": span}),
        at(3, "lesson.completed", {"courseId": "tides", "lessonId": "one"}, user="abe"),
        at(4, "quiz.answered", answer),
        progressed(1, 40, position=5),
        progressed(2, 99, position=6),
        progressed(7, 10, course="nowhere"),
        progressed(8, 55, user="amy", org="high"),
    ]


def good() -> list[Record]:
    return [each for each in mixed() if each.position in (1, 2, 3, 4)]


def assigned() -> list[Record]:
    body = {"courseId": "knots", "userIds": ["ada", "abe", "cleo"]}
    gone = {"courseId": "knots", "userIds": ["abe"]}
    return [
        at(1, "course.assigned", body, user="ben", lane="admin"),
        at(2, "course.unassigned", gone, user="ben", lane="admin"),
    ]


def clicked() -> list[Record]:
    return [at(n, "analytics.recorded", {"name": "page.opened"}, lane="analytics") for n in range(1, 20)]


LOADS = {
    "good": (good, "progress"),
    "mixed": (mixed, "progress"),
    "assigned": (assigned, "admin"),
    "clicked": (clicked, "analytics"),
}


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("name", LOADS)
def test_whichever_statement_fails_nothing_of_the_batch_is_there(
    store: SqliteStore, name: str, *, before: bool
) -> None:
    made, lane = LOADS[name]
    untouched = everything(store)
    failed = 0
    while True:
        try:
            with store.transaction(None) as tx:
                apply(Failing(tx, failed + 1, before=before), made(), lane=lane)
        except Unavailable:
            failed += 1
            assert everything(store) == untouched, f"after its call {failed}"
        else:
            break
    assert failed >= 6, "lease, marks, effects, ledger, cursor"
    applied = everything(store)
    with school() as other:
        emptied(other)
        with other.transaction(None) as tx:
            marks.take_lease(tx, "test", NOW)
            apply(tx, made(), lane=lane)
        assert applied == everything(other), "as if nothing had failed"


@pytest.mark.parametrize("name", LOADS)
def test_wherever_inside_a_statement_it_breaks_off_nothing_of_the_batch_is_there(
    store: SqliteStore, name: str
) -> None:
    made, lane = LOADS[name]
    untouched = everything(store)
    raw = store._write_engine.raw_connection().driver_connection
    assert raw is not None
    broken = 0
    for steps in (3, 10, 40, 150, 400, 1000, 3000):
        raw.set_progress_handler(lambda: 1, steps)
        with contextlib.suppress(Unavailable):
            with store.transaction(None) as tx:
                apply(tx, made(), lane=lane)
            break
        raw.set_progress_handler(None, 0)
        broken += 1
        assert everything(store) == untouched
    raw.set_progress_handler(None, 0)
    assert broken >= 2


def test_a_commit_that_fails_leaves_nothing(store: SqliteStore) -> None:
    def broken() -> None:
        with store.transaction(None) as tx:
            apply(tx, mixed())
            raise Unavailable("the connection broke at the commit")

    untouched = everything(store)
    with pytest.raises(Unavailable, match="at the commit"):
        broken()
    assert everything(store) == untouched


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_whichever_statement_of_a_redrive_fails_the_letter_is_as_it_was(
    store: SqliteStore, *, before: bool
) -> None:
    with store.transaction(None) as tx:
        apply(tx, [progressed(7, 10, course="nowhere")])
        add_course(tx, "tide", "nowhere")
        (letter,) = deadletters.letters(tx)
    parked = everything(store)
    failed = 0
    while True:
        try:
            with store.transaction(None) as tx:
                redrive_one(Failing(tx, failed + 1, before=before), KINDS, letter.id, "olga", NOW)
        except Unavailable:
            failed += 1
            assert everything(store) == parked, f"after its call {failed}"
        else:
            break
    assert failed >= 6
    with store.transaction(None) as tx:
        assert deadletters.show(tx, letter.id).status == "redriven"


def test_every_kind_there_is_was_in_a_batch() -> None:
    sent = {b'"kind":"' + kind.name.encode() for kind in SCHOOL_KINDS} - {b'"kind":"loss.reported'}
    texts = b"".join(record.data for made, _ in LOADS.values() for record in made())
    assert all(each in texts for each in sent)
