"""What was ended stays ended: at once, over restarts, with the store and without it."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from holdfast.access import endings
from holdfast.access.endings import NAME, Ending, Endings
from holdfast.access.keys import Keys
from holdfast.access.principal import Membership, Principal
from holdfast.access.sessions import TTL_S, Sessions
from holdfast.access.tokens import MAX_TTL_S, Tokens
from holdfast.core.clock import ManualClock
from holdfast.core.errors import HoldfastError, Rejected
from holdfast.store.port import Store, Tx
from holdfast.store.sqlite import SqliteStore
from tests.unit.access.failing import OUT, FailingStore

KEYS = Keys.from_secret(b"a secret for tests, of 32 bytes or more")
TIDE, HIGH = Membership("o-tide", "Tidewater", ("admin",)), Membership("o-high", "Highland", ("learner",))
ADA = Principal("u-ada", "Ada", "ada@tidewater.example", (TIDE,), org="o-tide")
BOTH = Principal("u-bea", "Bea", "bea@tidewater.example", (TIDE, HIGH), org="o-tide")


class Process:
    """One run of a portal, as far as it ends things: with the file in a folder if one is given."""

    def __init__(self, clock: ManualClock, folder: Path | None = None) -> None:
        self.clock = clock
        self.ended = Endings(clock, folder / NAME if folder else None)
        self.sessions = Sessions(KEYS, clock, self.ended)
        self.tokens = Tokens(KEYS, clock, ended=self.ended)

    async def hear(self, store: Store) -> None:
        """Learn what the store knows."""
        self.ended.load(await store.read(None, partial(endings.read, now_s=self.clock.now_s())))

    def refused(self, token: str) -> str:
        with pytest.raises(Rejected) as caught:
            self.sessions.verify(token)
        assert caught.value.code == "not_signed_in"
        return caught.value.message


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    store = SqliteStore(None)
    yield store
    store.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_an_ended_session_stays_ended_after_a_restart(store: SqliteStore, clock: ManualClock) -> None:
    before = Process(clock)
    token, other = before.sessions.issue(ADA), before.sessions.issue(ADA)
    before.sessions.revoke(before.sessions.verify(token).session_id)
    assert before.ended.unwritten == 1
    assert await before.ended.flush(store)
    assert before.ended.unwritten == 0

    after = Process(clock)
    after.sessions.verify(token)  # nobody told it yet
    await after.hear(store)
    assert "ended" in after.refused(token)
    after.sessions.verify(other)
    assert after.ended.unwritten == 0


@pytest.mark.parametrize("out", OUT, ids=lambda out: out.code)
async def test_while_the_store_is_out_the_ending_is_kept_and_written_later(
    store: SqliteStore, clock: ManualClock, out: HoldfastError
) -> None:
    process = Process(clock)
    token = process.sessions.issue(ADA)
    session_id = process.sessions.verify(token).session_id
    process.sessions.revoke(session_id)
    failing = FailingStore(store, out)
    failing.down = True
    assert not await process.ended.flush(failing)
    assert "ended" in process.refused(token)
    assert process.ended.unwritten == 1
    failing.down = False
    assert await process.ended.flush(failing)
    assert [one.what for one in await store.read(None, partial(endings.read, now_s=0.0))] == [
        f"session {session_id}"
    ]


async def test_a_restart_while_the_store_is_out_brings_nobody_back(
    store: SqliteStore, clock: ManualClock, tmp_path: Path
) -> None:
    failing = FailingStore(store)
    failing.down = True
    before = Process(clock, tmp_path)
    token, other = before.sessions.issue(ADA), before.sessions.issue(ADA)
    before.sessions.revoke(before.sessions.verify(token).session_id)
    assert not await before.ended.flush(failing)
    # The last write was torn by whatever killed the portal.
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'\n{"what":"session x","at_')

    after = Process(clock, tmp_path)
    assert "ended" in after.refused(token)
    after.sessions.verify(other)
    failing.down = False
    assert await after.ended.flush(failing)

    third = Process(clock)
    await third.hear(store)
    assert "ended" in third.refused(token)


async def test_what_the_store_told_holds_through_a_restart_without_it(
    store: SqliteStore, clock: ManualClock, tmp_path: Path
) -> None:
    elsewhere = Process(clock)
    token = elsewhere.sessions.issue(ADA)
    elsewhere.sessions.revoke(elsewhere.sessions.verify(token).session_id)
    await elsewhere.ended.flush(store)
    here = Process(clock, tmp_path)
    await here.hear(store)
    await here.ended.keep()
    assert "ended" in Process(clock, tmp_path).refused(token)


async def test_all_sessions_of_a_person_end_but_the_one_that_goes_on(
    store: SqliteStore, clock: ManualClock
) -> None:
    process = Process(clock)
    mine, other, someone = (process.sessions.issue(who) for who in (ADA, ADA, BOTH))
    clock.advance(1)
    kept = process.sessions.verify(mine).session_id
    await store.run(None, lambda tx: process.sessions.end_person(tx, "u-ada", kept=kept))
    process.sessions.verify(mine)
    process.sessions.verify(someone)
    assert "ended" in process.refused(other)
    clock.advance(1)
    process.sessions.verify(process.sessions.issue(ADA))  # with the new password

    again = Process(clock)
    await again.hear(store)
    again.sessions.verify(mine)
    assert "ended" in again.refused(other)
    # From the newest session, another change: now the first one is one of the others.
    await store.run(None, lambda tx: process.sessions.end_person(tx, "u-ada"))
    assert "ended" in process.refused(mine)


async def test_who_signed_in_by_what_was_before_is_out_too(store: SqliteStore, clock: ManualClock) -> None:
    process = Process(clock)
    asked_at_s = clock.now_s()  # their old password was good when it was read
    clock.advance(0.5)
    await store.run(None, lambda tx: process.sessions.end_person(tx, "u-ada"))
    clock.advance(0.5)
    assert "ended" in process.refused(process.sessions.issue(ADA, asked_at_s))


async def test_a_unit_of_work_that_fails_ends_nothing(store: SqliteStore, clock: ManualClock) -> None:
    process = Process(clock)
    token = process.sessions.issue(ADA)
    clock.advance(1)

    def work(tx: Tx) -> None:
        process.sessions.end_person(tx, "u-ada")
        raise Rejected("no")

    with pytest.raises(Rejected, match="no"):
        await store.run(None, work)
    process.sessions.verify(token)
    assert await store.read(None, partial(endings.read, now_s=0.0)) == []


async def test_closed_in_one_org_somebody_stays_signed_in_at_the_other(
    store: SqliteStore, clock: ManualClock
) -> None:
    process = Process(clock)
    ada, bea = process.sessions.issue(ADA), process.sessions.issue(BOTH)
    clock.advance(1)
    await store.run(None, lambda tx: process.sessions.end_membership(tx, "o-tide", "u-ada"))
    await store.run(None, lambda tx: process.sessions.end_membership(tx, "o-tide", "u-bea"))
    assert "membership" in process.refused(ada)
    left = process.sessions.verify(bea)
    assert (left.orgs, left.org) == ((HIGH,), "o-high")
    # Taken in again, they sign in again and are of both.
    clock.advance(1)
    assert process.sessions.verify(process.sessions.issue(BOTH)).orgs == BOTH.orgs


async def test_an_operator_without_an_org_is_an_operator_still(
    store: SqliteStore, clock: ManualClock
) -> None:
    process = Process(clock)
    olu = Principal("u-olu", "Olu", "olu@holdfast.example", (TIDE,), operator=True, org="o-tide")
    token = process.sessions.issue(olu)
    clock.advance(1)
    await store.run(None, lambda tx: process.sessions.end_membership(tx, "o-tide", "u-olu"))
    left = process.sessions.verify(token)
    assert (left.operator, left.orgs, left.org) == (True, (), None)


async def test_one_token_is_revoked_and_its_neighbour_goes_on(clock: ManualClock, tmp_path: Path) -> None:
    before = Process(clock, tmp_path)
    leaked = before.tokens.mint("service", "o-tide", token_id="t-1", ttl_s=MAX_TTL_S)
    other = before.tokens.mint("service", "o-tide", token_id="t-2", ttl_s=MAX_TTL_S)
    before.tokens.verify(leaked)
    before.tokens.revoke("t-1")
    await before.ended.keep()
    for process in (before, Process(clock, tmp_path)):
        with pytest.raises(Rejected, match="revoked") as caught:
            process.tokens.verify(leaked)
        assert caught.value.code == "not_signed_in"
        assert process.tokens.verify(other).service
    # It is remembered for as long as the token could be shown.
    clock.advance(MAX_TTL_S - 1)
    with pytest.raises(Rejected, match="revoked"):
        Process(clock, tmp_path).tokens.verify(leaked)


def test_a_list_of_endings_names_no_person() -> None:
    names = endings.Names(KEYS.session)
    all_names = {names.person("u-ada"), names.member("o-tide", "u-ada"), names.member("o-high", "u-ada")}
    assert len(all_names) == 3
    assert not any("ada" in one or "tide" in one for one in all_names)
    assert endings.Names(KEYS.csrf).person("u-ada") != names.person("u-ada")


async def test_writing_twice_is_writing_once_the_later_stays_and_what_is_past_goes(
    store: SqliteStore, clock: ManualClock
) -> None:
    now = clock.now_s()
    early, late = Ending("person p", now - 10, now + 10, "s-1"), Ending("person p", now - 5, now + 15)
    past = Ending("session s", now - 20, now - 1)
    for some in ([early, past], [late], [early], [late]):
        await store.run(None, partial(endings.write, ended=some))
    assert await store.read(None, partial(endings.read, now_s=now)) == [late]
    process = Process(clock)
    process.sessions.revoke("s-9")
    await process.ended.flush(store)
    kept = await store.read(None, partial(endings.read, now_s=0.0))
    assert sorted(one.what for one in kept) == ["person p", "session s-9"]


async def test_nothing_to_write_asks_the_store_for_nothing(store: SqliteStore, clock: ManualClock) -> None:
    failing = FailingStore(store)
    failing.down = True
    assert await Endings(clock).flush(failing)
    assert failing.asked == 0


async def test_the_table_outlasts_every_cookie_of_the_session(store: SqliteStore, clock: ManualClock) -> None:
    process = Process(clock)
    process.sessions.revoke(process.sessions.verify(process.sessions.issue(ADA)).session_id)
    await process.ended.flush(store)
    clock.advance(TTL_S)
    assert len(await store.read(None, partial(endings.read, now_s=clock.now_s()))) == 1


def test_endings_are_forgotten_when_what_they_end_has_expired(clock: ManualClock) -> None:
    ended = Endings(clock)
    ended.load(Ending(f"session s-{n}", clock.now_s(), clock.now_s() + 10) for n in range(1000))
    clock.advance(11)
    ended.load(Ending(f"session t-{n}", clock.now_s(), clock.now_s() + 10) for n in range(100))
    assert set(ended._known) == {f"session t-{n}" for n in range(100)}


async def test_the_file_does_not_grow_for_ever(clock: ManualClock, tmp_path: Path) -> None:
    for day in range(40):
        process = Process(clock, tmp_path)
        process.sessions.revoke(f"s-{day}")
        await process.ended.keep()
        clock.advance(86_400)
    lines = [json.loads(line) for line in (tmp_path / NAME).read_text().splitlines() if line]
    assert 14 <= len(lines) <= 32
    assert lines[-1]["what"] == "session s-39"


async def test_a_full_disk_keeps_no_portal_from_starting_and_no_session_from_ending(
    clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Process(clock, tmp_path)
    token = first.sessions.issue(ADA)
    for n in range(5):
        first.sessions.revoke(f"s-{n}")
    first.sessions.revoke(first.sessions.verify(token).session_id)
    await first.ended.keep()
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"\nrubbish" * 20)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(endings, "_write", full)
    second = Process(clock, tmp_path)
    assert "ended" in second.refused(token)
    other = second.sessions.issue(ADA)
    second.sessions.revoke(second.sessions.verify(other).session_id)
    await second.ended.keep()
    assert "ended" in second.refused(other)
    monkeypatch.undo()
    await second.ended.keep()  # it is owed still
    assert "ended" in Process(clock, tmp_path).refused(other)
