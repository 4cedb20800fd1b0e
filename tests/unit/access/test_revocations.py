from collections.abc import Iterator
from functools import partial

import pytest

from holdfast.access.keys import Keys
from holdfast.access.principal import Principal
from holdfast.access.sessions import TTL_S, Revoked, Sessions, read_revoked, write_revoked
from holdfast.core.clock import ManualClock
from holdfast.core.errors import Rejected
from holdfast.store.sqlite import SqliteStore
from tests.unit.access.failing import FailingStore

KEYS = Keys.from_secret(b"a secret for tests, of 32 bytes or more")
ADA = Principal("u-ada", "Ada", "ada@tidewater.example", ())


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    store = SqliteStore(None)
    yield store
    store.close()


async def test_an_ended_session_stays_ended_after_a_restart(store: SqliteStore) -> None:
    clock = ManualClock()
    before = Sessions(KEYS, clock)
    token, other = before.issue(ADA), before.issue(ADA)
    before.revoke(before.verify(token).session_id)
    assert before.unwritten == 1
    assert await before.flush_revocations(store)
    assert before.unwritten == 0

    after = Sessions(KEYS, clock)
    after.verify(token)  # nobody told it yet
    after.load(await store.read(None, partial(read_revoked, now_s=clock.now_s())))
    with pytest.raises(Rejected, match="ended"):
        after.verify(token)
    after.verify(other)
    assert after.unwritten == 0


async def test_while_the_store_is_down_the_ending_is_kept_and_written_later(store: SqliteStore) -> None:
    clock = ManualClock()
    sessions = Sessions(KEYS, clock)
    token = sessions.issue(ADA)
    session_id = sessions.verify(token).session_id
    sessions.revoke(session_id)
    failing = FailingStore(store)
    failing.down = True
    assert not await sessions.flush_revocations(failing)
    with pytest.raises(Rejected, match="ended"):
        sessions.verify(token)
    assert sessions.unwritten == 1
    failing.down = False
    assert await sessions.flush_revocations(failing)
    assert [one.session_id for one in await store.read(None, partial(read_revoked, now_s=0.0))] == [
        session_id
    ]


async def test_writing_twice_is_writing_once_and_what_is_past_goes(store: SqliteStore) -> None:
    ended = [Revoked("s-1", 2_000_000_000.0), Revoked("s-2", 1_000_000_000.0)]
    for _ in range(2):
        await store.run(None, partial(write_revoked, ended=ended, now_s=0.0))
    assert sorted(await store.read(None, partial(read_revoked, now_s=0.0))) == sorted(ended)
    assert await store.read(None, partial(read_revoked, now_s=1_500_000_000.0)) == ended[:1]
    await store.run(None, partial(write_revoked, ended=[], now_s=1_500_000_000.0))
    assert await store.read(None, partial(read_revoked, now_s=0.0)) == ended[:1]


async def test_nothing_to_write_asks_the_store_for_nothing(store: SqliteStore) -> None:
    failing = FailingStore(store)
    failing.down = True
    assert await Sessions(KEYS, ManualClock()).flush_revocations(failing)
    assert failing.asked == 0


async def test_the_table_outlasts_every_cookie_of_the_session(store: SqliteStore) -> None:
    clock = ManualClock()
    sessions = Sessions(KEYS, clock)
    token = sessions.issue(ADA)
    sessions.revoke(sessions.verify(token).session_id)
    await sessions.flush_revocations(store)
    clock.advance(TTL_S)
    assert len(await store.read(None, partial(read_revoked, now_s=clock.now_s()))) == 1
