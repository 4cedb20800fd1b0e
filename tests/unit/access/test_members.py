import asyncio
from collections.abc import Iterator
from functools import partial

import pytest

from holdfast.access import members as under_test
from holdfast.access.members import Members, set_password_hash
from holdfast.access.principal import Membership, Principal
from holdfast.core.clock import ManualClock
from holdfast.core.errors import Corrupt, HoldfastError, Rejected, Unavailable
from holdfast.store.port import Tx
from holdfast.store.sqlite import SqliteStore
from tests.unit.access import school
from tests.unit.access.failing import FailingStore

TIDEWATER = Membership("o-tidewater", "Tidewater", ("learner",))
HIGHLAND = Membership("o-highland", "Highland", ("admin", "learner"))
ADA = Principal(
    "u-ada", "Ada", "ada@tidewater.example", (TIDEWATER, HIGHLAND), org="o-tidewater", session_id="s-1"
)


@pytest.fixture
def store() -> Iterator[FailingStore]:
    inner = SqliteStore(None)
    with inner.transaction(None) as tx:
        school.fill(tx)
    yield FailingStore(inner)
    inner.close()


async def test_facts_that_still_hold_cost_one_read_and_then_a_look_up(store: FailingStore) -> None:
    members = Members(store, ManualClock())
    assert members.cached(ADA) is None
    assert await members.refresh(ADA) is ADA
    assert members.cached(ADA) is ADA
    assert await members.refresh(ADA) is ADA
    assert store.asked == 1


async def test_a_role_that_was_taken_away_is_gone_within_the_time(store: FailingStore) -> None:
    clock = ManualClock()
    members = Members(store, clock, ttl_s=30)
    await members.refresh(ADA)
    await store.run(None, partial(school.end_membership, name="ada", org="tidewater"))
    clock.advance(29.9)
    assert members.cached(ADA) is ADA
    clock.advance(0.2)
    assert members.cached(ADA) is None
    fresh = await members.refresh(ADA)
    assert fresh.orgs == (HIGHLAND,)
    assert fresh.org == "o-highland"
    assert (fresh.session_id, fresh.via) == ("s-1", "session")


async def test_who_left_is_known_at_once_and_of_whom_nothing_is_known_nothing_is_said(
    store: FailingStore,
) -> None:
    members = Members(store, ManualClock())
    assert not members.left("u-ada", "o-tidewater")
    await members.refresh(ADA)
    assert [members.left("u-ada", org) for org in ("o-tidewater", "o-highland")] == [False, False]
    assert members.left("u-ada", "o-elsewhere")

    def leave(tx: Tx) -> None:
        school.end_membership(tx, name="ada", org="tidewater")
        members.learn(tx, "u-ada")

    await store.run(None, leave)
    assert [members.left("u-ada", org) for org in ("o-tidewater", "o-highland")] == [True, False]


async def test_an_org_that_the_request_chose_stays_chosen(store: FailingStore) -> None:
    stale = Principal("u-ada", "Old name", "old@x.example", (HIGHLAND,), org="o-highland", session_id="s-1")
    fresh = await Members(store, ManualClock()).refresh(stale)
    assert fresh.org == "o-highland"
    assert fresh.orgs == (TIDEWATER, HIGHLAND)
    assert (fresh.name, fresh.email) == ("Ada", "ada@tidewater.example")


async def test_a_closed_account_is_out_and_stays_out_when_the_store_goes_down(store: FailingStore) -> None:
    clock = ManualClock()
    members = Members(store, clock)
    await store.run(None, partial(school.close_account, name="ada"))
    store.asked = 0
    for _ in range(3):
        with pytest.raises(Rejected, match="closed") as caught:
            await members.refresh(ADA)
        assert caught.value.code == "not_signed_in"
    assert store.asked == 1
    assert members.cached(ADA) is None
    store.down = True
    clock.advance(1000)
    for _ in range(2):
        with pytest.raises(Rejected, match="closed"):
            await members.refresh(ADA)


async def test_somebody_the_store_never_heard_of_is_out(store: FailingStore) -> None:
    with pytest.raises(Rejected, match="closed"):
        await Members(store, ManualClock()).refresh(Principal("u-ghost", "G", "g@x.example", (TIDEWATER,)))


@pytest.mark.parametrize("error", [Unavailable("down"), Corrupt("damaged", code="store_corrupt")])
async def test_without_the_store_the_tokens_facts_stand_and_are_counted(
    store: FailingStore, error: HoldfastError
) -> None:
    failing = FailingStore(store, error)
    failing.down = True
    clock = ManualClock()
    members = Members(failing, clock)
    assert await members.refresh(ADA) is ADA
    assert members.kept == 1
    assert members.cached(ADA) is ADA
    assert await members.refresh(ADA) is ADA
    assert members.kept == 3
    assert failing.asked == 1, "an outage must not cost each request a try"
    clock.advance(under_test.PAUSE_S + 0.1)
    await members.refresh(ADA)
    assert failing.asked == 2


async def test_without_the_store_the_last_known_facts_outlive_their_time(store: FailingStore) -> None:
    clock = ManualClock()
    members = Members(store, clock, ttl_s=30)
    await store.run(None, partial(school.end_membership, name="ada", org="tidewater"))
    await members.refresh(ADA)
    store.down = True
    clock.advance(100_000)
    assert (await members.refresh(ADA)).orgs == (HIGHLAND,)
    kept = members.cached(ADA)
    assert kept is not None
    assert kept.orgs == (HIGHLAND,), "a cookie must not bring back what was taken away"
    assert members.kept == 2
    store.down = False
    clock.advance(under_test.PAUSE_S + 0.1)
    assert (await members.refresh(ADA)).orgs == (HIGHLAND,)
    assert members.kept == 2


async def test_many_who_ask_at_once_share_one_read(store: FailingStore) -> None:
    store.hang = asyncio.Event()
    members = Members(store, ManualClock())
    asking = [asyncio.create_task(members.refresh(ADA)) for _ in range(20)]
    await asyncio.sleep(0.01)
    asking[0].cancel()
    store.hang.set()
    assert await asyncio.gather(*asking[1:]) == [ADA] * 19
    assert asking[0].cancelled()
    assert store.asked == 1


async def test_a_store_that_hangs_holds_nobody_up_for_long(
    store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "WAIT_S", 0.02)
    store.hang = asyncio.Event()
    clock = ManualClock()
    members = Members(store, clock)
    assert await members.refresh(ADA) is ADA
    assert members.cached(ADA) is ADA, "the next one does not wait at all"
    assert members.kept == 2
    clock.advance(under_test.PAUSE_S + 0.1)
    monkeypatch.setattr(under_test, "WAIT_S", 10.0)  # the read that is let go takes a moment of its own
    store.hang.set()
    assert await members.refresh(ADA) is ADA
    assert members.kept == 2
    assert store.asked == 1, "the read that hung is the one that answered"


async def test_a_fault_in_the_reading_is_not_an_outage(store: FailingStore) -> None:
    failing = FailingStore(store, Rejected("a rule of the tables", code="poison"))
    failing.down = True
    with pytest.raises(Rejected, match="rule of the tables"):
        await Members(failing, ManualClock()).refresh(ADA)


async def test_machines_are_what_their_token_says(store: FailingStore) -> None:
    members = Members(store, ManualClock())
    service = Principal("service:o", "s", "", (TIDEWATER,), service=True, via="bearer")
    operator = Principal("operator", "o", "", (), operator=True, via="bearer")
    assert await members.refresh(service) is service
    assert members.cached(operator) is operator
    assert store.asked == 0


async def test_an_operator_by_session_is_one_only_while_the_store_says_so(store: FailingStore) -> None:
    members = Members(store, ManualClock())
    assert (await members.refresh(Principal("u-olu", "Olu", "olu@tidewater.example", ()))).operator
    claimed = Principal("u-ada", "Ada", "ada@tidewater.example", (), operator=True)
    assert not (await members.refresh(claimed)).operator


async def test_memory_is_bounded(store: FailingStore) -> None:
    members = Members(store, ManualClock(), limit=2)
    for name in ("ada", "olu", "cleo", "ada"):
        await members.refresh(Principal(f"u-{name}", "", "", ()))
    assert list(members._known) == ["u-cleo", "u-ada"]


@pytest.mark.parametrize("email", ["ada@tidewater.example", "  Ada@Tidewater.EXAMPLE "])
async def test_an_e_mail_address_finds_its_owner_however_it_is_typed(store: FailingStore, email: str) -> None:
    members = Members(store, ManualClock())
    login = await members.by_email(email)
    assert login is not None
    assert login.principal.orgs == (TIDEWATER, HIGHLAND)
    assert login.principal.org == "o-tidewater"
    assert login.active
    assert not login.demo
    assert login.password_hash is not None
    assert members.cached(ADA) is ADA


async def test_an_e_mail_address_of_nobody_finds_nobody(store: FailingStore) -> None:
    assert await Members(store, ManualClock()).by_email("nobody@tidewater.example") is None


async def test_signing_in_does_not_hide_that_the_store_is_down(store: FailingStore) -> None:
    store.down = True
    with pytest.raises(Unavailable):
        await Members(store, ManualClock()).by_email("ada@tidewater.example")


async def test_a_new_hash_takes_the_place_of_the_one_that_was_seen_only(store: FailingStore) -> None:
    change = partial(set_password_hash, user_id="u-ada", new="new")
    assert not await store.run(None, partial(change, old="another"))
    login = await Members(store, ManualClock()).by_email("ada@tidewater.example")
    assert login is not None
    assert login.password_hash is not None
    assert await store.run(None, partial(change, old=login.password_hash))
