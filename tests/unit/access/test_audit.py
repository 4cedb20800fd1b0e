from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from holdfast.access.audit import note, note_for, recent
from holdfast.store.schema import audit
from holdfast.store.scope import OrgEscape
from holdfast.store.sqlite import SqliteStore


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    store = SqliteStore(None)
    yield store
    store.close()


def test_a_note_belongs_to_the_org_of_its_transaction(store: SqliteStore) -> None:
    with store.transaction("o-1") as tx:
        note(tx, "u-1", "course.created", "c-1", {"title": "Tides"})
    with store.transaction("o-2") as tx:
        note(tx, "u-2", "course.created", "c-2", {})
        assert [one.subject for one in recent(tx, 10)] == ["c-2"]
    with store.transaction(None) as tx:
        note(tx, "u-3", "org.created", "o-3", {})
        assert [(one.org, one.subject) for one in recent(tx, 10)][::-1] == [
            ("o-1", "c-1"),
            ("o-2", "c-2"),
            (None, "o-3"),
        ]
        first = recent(tx, 10)[-1]
    assert (first.actor, first.act, first.details) == ("u-1", "course.created", {"title": "Tides"})
    assert len(first.at) == 24


def test_a_note_with_an_id_is_written_once_and_the_first_stays(store: SqliteStore) -> None:
    for act in ("first", "second"):
        with store.transaction(None) as tx:
            note_for(tx, "o-1", "u-1", act, "c-1", {}, id="e-1", at="2026-11-23T14:50:00.000Z")
    with store.transaction(None) as tx:
        assert [(one.act, one.at) for one in recent(tx, 10)] == [("first", "2026-11-23T14:50:00.000Z")]


def test_a_note_cannot_be_slipped_into_another_org(store: SqliteStore) -> None:
    with pytest.raises(OrgEscape), store.transaction("o-1") as tx:
        note_for(tx, "o-2", "u-1", "act", "s", {})


def test_a_note_goes_with_its_transaction_when_that_fails(store: SqliteStore) -> None:
    def act() -> None:
        with store.transaction("o-1") as tx:
            note(tx, "u-1", "course.created", "c-1", {})
            raise RuntimeError("the act failed")

    with pytest.raises(RuntimeError, match="the act failed"):
        act()
    with store.transaction(None) as tx:
        assert tx.rows(select(func.count()).select_from(audit))[0][0] == 0


def test_reading_on_misses_nothing_and_repeats_nothing(store: SqliteStore) -> None:
    with store.transaction("o-1") as tx:
        for n in range(25):  # five share each time
            note_for(tx, "o-1", "u-1", "act", str(n), {}, at=f"2026-11-23T14:50:0{n // 5}.000Z")
        seen: list[str] = []
        before: tuple[str, str] | None = None
        while page := recent(tx, 4, before):
            seen += [one.subject for one in page]
            before = (page[-1].at, page[-1].id)
    assert sorted(seen, key=int) == [str(n) for n in range(25)]
    assert [int(one) // 5 for one in seen] == sorted((int(one) // 5 for one in seen), reverse=True)
