"""The sign-in handlers with real parts; the doors in front of them have tests of their own."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from argon2 import PasswordHasher
from sqlalchemy import update

from holdfast.access import audit, passwords
from holdfast.access.csrf import Csrf
from holdfast.access.endings import Endings
from holdfast.access.keys import Keys
from holdfast.access.members import Members, login_of
from holdfast.access.owed import Owed
from holdfast.access.passwords import DEMO_PASSWORD, needs_rehash
from holdfast.access.policy import TABLE
from holdfast.access.principal import Principal
from holdfast.access.rate import RateLimit
from holdfast.access.sessions import RENEW_AFTER_S, Sessions, from_cookie_header
from holdfast.access.tokens import Tokens
from holdfast.core.clock import ManualClock
from holdfast.core.errors import HoldfastError, Rejected, Unavailable
from holdfast.settings import Settings
from holdfast.store.schema import users
from holdfast.store.sqlite import SqliteStore
from holdfast.web.calls import Answer, Ask
from holdfast.web.portal import Portal
from holdfast.web.routes import auth, tokens
from tests.unit.access import school
from tests.unit.access.failing import OUT, FailingStore, failing
from tests.unit.access.school import PASSWORD

KEYS = Keys.from_secret(b"a secret for tests, of 32 bytes or more")


class Door:
    """A portal's parts that signing in uses, and a way to knock."""

    def __init__(self, store: FailingStore, *, demo: bool = False, secure: bool = False) -> None:
        self.clock = ManualClock()
        self.store = store
        self.ended = Endings(self.clock)
        self.owed = Owed(self.clock)
        self.sessions = Sessions(KEYS, self.clock, self.ended)
        self.csrf = Csrf(KEYS)
        self.tokens = Tokens(KEYS, self.clock, ended=self.ended)
        self.members = Members(store, self.clock)
        self.login_rate = RateLimit(0.1, 5, self.clock)
        self.settings = Settings(dev_fallback=demo, secure_cookies=secure)
        self.rechecked = 0
        self.streams = SimpleNamespace(recheck=self._rechecks)

    def _rechecks(self) -> None:
        self.rechecked += 1

    def ask(self, who: Principal | None = None, body: Any = None, **headers: str) -> Ask:  # noqa: ANN401
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client = named.pop("client", "192.0.2.7")
        return Ask(
            portal=cast("Portal", self),
            who=who,
            org=who.org if who else None,
            body=body,
            query=None,
            path={},
            headers=named,
            client=client,
        )

    async def login(self, email: str, password: str = PASSWORD, **headers: str) -> Answer:
        return await auth.login(self.ask(None, auth.LoginBody(email=email, password=password), **headers))

    async def refused(self, email: str, password: str = PASSWORD, **headers: str) -> HoldfastError:
        with pytest.raises(HoldfastError) as caught:
            await self.login(email, password, **headers)
        return caught.value

    def token(self, answer: Answer) -> str:
        token = from_cookie_header(answer.cookies[0].partition(";")[0])
        assert token is not None
        return token


@pytest.fixture
def store() -> Iterator[FailingStore]:
    inner = SqliteStore(None)
    with inner.transaction(None) as tx:
        school.fill(tx)
        school.person(tx, "dee", password=DEMO_PASSWORD, demo=True)
        school.member(tx, "dee", "tidewater", "learner")
        school.person(tx, "eve", password=PASSWORD, demo=True)
        school.member(tx, "eve", "tidewater", "learner")
        school.person(tx, "fay")
        school.member(tx, "fay", "tidewater", "learner")
    yield FailingStore(inner)
    inner.close()


@pytest.fixture
def door(store: FailingStore) -> Door:
    return Door(store)


def wire(said: object) -> Any:  # noqa: ANN401
    return msgspec.json.decode(msgspec.json.encode(said))


async def test_who_signs_in_gets_a_session_and_a_csrf_token_that_belong_together(door: Door) -> None:
    answer = await door.login("Ada@tidewater.example")
    said = wire(answer.content)
    assert said == {
        "principal": {
            "userId": "u-ada",
            "orgId": "o-tidewater",
            "orgs": [
                {"id": "o-tidewater", "name": "Tidewater", "roles": ["learner"]},
                {"id": "o-highland", "name": "Highland", "roles": ["admin", "learner"]},
            ],
            "roles": ["learner"],
            "email": "ada@tidewater.example",
            "name": "Ada",
        },
        "csrfToken": said["csrfToken"],
        "demo": False,
    }
    who = door.sessions.verify(door.token(answer))
    assert who.user_id == "u-ada"
    door.csrf.check(said["csrfToken"], who.session_id)
    assert answer.headers["cache-control"] == "no-store"
    assert door.members.cached(who) is who


async def test_an_operator_signs_in_without_an_org(door: Door) -> None:
    said = wire((await door.login("olu@tidewater.example")).content)
    assert said["principal"]["orgId"] is None
    assert said["principal"]["roles"] == ["operator"]


@pytest.mark.parametrize("secure", [True, False])
async def test_the_cookie_is_as_secure_as_the_setting_says(store: FailingStore, secure: bool) -> None:  # noqa: FBT001
    answer = await Door(store, secure=secure).login("ada@tidewater.example")
    assert answer.cookies[0].startswith("__Host-") is secure
    assert answer.cookies[0].endswith("; Secure") is secure


async def test_a_wrong_password_and_an_unknown_person_hear_the_same_words(door: Door) -> None:
    closed = door.store
    with closed.transaction(None) as tx:
        school.close_account(tx, "cleo")
    heard = {
        (error.code, error.message, error.hint, error.retry_s)
        for error in (
            await door.refused("ada@tidewater.example", "wrong password"),
            await door.refused("nobody@tidewater.example"),
            await door.refused("fay@tidewater.example"),  # never set a password
            await door.refused("cleo@tidewater.example"),  # closed
        )
    }
    assert len(heard) == 1
    assert heard.pop()[0] == "wrong_credentials"


@pytest.mark.parametrize("email", ["ada@tidewater.example", "nobody@tidewater.example"])
async def test_each_refusal_costs_one_verification(
    door: Door, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, password: bytes) -> bool:
        nonlocal count
        count += 1
        return bool(verify(self, stored, password))

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    await door.refused(email, "wrong password")
    assert count == 1


async def test_who_belongs_to_no_org_is_told_so(door: Door) -> None:
    assert (await door.refused("cleo@tidewater.example")).code == "not_a_member"


@pytest.mark.parametrize("out", OUT, ids=lambda out: out.code)
async def test_without_the_store_nobody_signs_in_and_the_words_say_why(
    door: Door, out: HoldfastError
) -> None:
    door.store.down, door.store.error = True, out
    for _ in range(20):
        error = await door.refused("ada@tidewater.example")
        assert isinstance(error, Unavailable)
        assert (error.code, error.status) == ("store_unavailable", 503)
        assert "signing in needs the store" in error.message
    door.store.down = False
    await door.login("ada@tidewater.example")  # the outage used up nobody's turns


async def test_guessing_at_one_account_is_slowed_and_then_goes_on(door: Door) -> None:
    for n in range(5):
        error = await door.refused("ada@tidewater.example", f"guess-{n}", client=f"192.0.2.{n}")
        assert error.code == "wrong_credentials"
    error = await door.refused("ADA@tidewater.example ", "guess-5", client="192.0.2.99")
    assert isinstance(error, Rejected)
    assert (error.code, error.status) == ("rate_limited", 429)
    assert error.retry_s == pytest.approx(10)
    await door.login("olu@tidewater.example")
    door.clock.advance(10)
    await door.login("ada@tidewater.example")


@pytest.mark.parametrize("clients", [["192.0.2.7"], [f"2001:db8:1:2::{n:x}" for n in range(60)]])
async def test_guessing_from_one_network_at_many_accounts_is_slowed(
    door: Door, clients: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "verify_nobody", lambda _password: False)
    codes = [
        (await door.refused(f"nobody-{n}@x.example", client=clients[n % len(clients)])).code
        for n in range(60)
    ]
    assert codes == ["wrong_credentials"] * 50 + ["rate_limited"] * 10
    await door.login("ada@tidewater.example", client="198.51.100.1")


async def test_behind_proxies_the_address_counts_that_the_outermost_of_them_saw(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "verify_nobody", lambda _password: False)
    door.settings = Settings(trusted_proxies=2)
    # What the guesser writes in front is another each time; the proxies add theirs behind it.
    via = "10.9.8.{n}, 192.0.2.66, 10.0.0.1"
    codes = [
        (await door.refused(f"nobody-{n}@x.example", x_forwarded_for=via.format(n=n))).code for n in range(60)
    ]
    assert codes == ["wrong_credentials"] * 50 + ["rate_limited"] * 10
    await door.login("ada@tidewater.example", x_forwarded_for="192.0.2.67, 10.0.0.1")


@pytest.mark.parametrize("forged", ["192.0.2.{n}", "192.0.2.{n}, 198.51.100.1", "no-address-{n}, x"])
async def test_without_proxies_or_with_too_few_of_them_the_peer_counts_whatever_it_says(
    door: Door, monkeypatch: pytest.MonkeyPatch, forged: str
) -> None:
    monkeypatch.setattr(passwords, "verify_nobody", lambda _password: False)
    if "no-address" in forged:
        door.settings = Settings(trusted_proxies=2)
    codes = [
        (await door.refused(f"nobody-{n}@x.example", x_forwarded_for=forged.format(n=n))).code
        for n in range(60)
    ]
    assert codes == ["wrong_credentials"] * 50 + ["rate_limited"] * 10


async def test_a_whole_school_behind_one_address_signs_in_at_nine(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "verify_password", lambda _stored, _password: True)
    for _ in range(200):
        await door.login("ada@tidewater.example")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site", "origin": "https://portal.example", "host": "portal.example"},
        {"origin": "https://evil.example", "host": "portal.example"},
        {"origin": "https://portal.example:8443", "host": "portal.example"},
        {"origin": "https://portal.example.evil.example", "host": "portal.example"},
        {"origin": "null", "host": "portal.example"},
        {"origin": "https://portal.example"},
        {"origin": "http://[broken", "host": "portal.example"},
        {"origin": "https://portal.example:99999", "host": "portal.example"},
        {"sec_fetch_site": "same-site", "origin": "https://x.portal.example", "host": "portal.example"},
    ],
)
async def test_a_foreign_page_cannot_sign_its_visitor_in(door: Door, headers: dict[str, str]) -> None:
    error = await door.refused("ada@tidewater.example", **headers)
    assert (error.code, error.status) == ("csrf_refused", 403)
    assert door.store.asked == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://portal.example", "host": "portal.example"},
        {"origin": "https://Portal.example", "host": "portal.example:443"},
        {"origin": "http://127.0.0.1:8000", "host": "127.0.0.1:8000"},
        {"origin": "http://[::1]:8000", "host": "[::1]:8000"},
        {"sec_fetch_site": "none"},
        # behind a proxy that names itself as the host
        {"sec_fetch_site": "same-origin", "origin": "https://portal.example", "host": "10.0.0.5:8000"},
    ],
)
async def test_the_portals_own_pages_and_commands_sign_in(door: Door, headers: dict[str, str]) -> None:
    await door.login("ada@tidewater.example", **headers)


@pytest.mark.parametrize(
    "email, password",
    [
        ("dee@tidewater.example", DEMO_PASSWORD),
        ("eve@tidewater.example", PASSWORD),
        ("nobody@tidewater.example", DEMO_PASSWORD),
    ],
)
async def test_demo_accounts_and_the_demo_password_are_for_the_demo(
    store: FailingStore, email: str, password: str
) -> None:
    error = await Door(store).refused(email, password)
    assert (error.code, error.status) == ("demo_only", 403)
    if email.startswith("nobody"):
        assert (await Door(store, demo=True).refused(email, password)).code == "wrong_credentials"
    else:
        answer = await Door(store, demo=True).login(email, password)
        assert wire(answer.content)["demo"] is True


async def test_a_demo_account_is_not_given_away_to_who_does_not_know_its_password(door: Door) -> None:
    assert (await door.refused("eve@tidewater.example", "wrong password")).code == "wrong_credentials"


async def test_an_old_hash_is_brought_to_todays_cost_at_the_next_sign_in(door: Door) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    with door.store.transaction(None) as tx:
        tx.run(update(users).where(users.c.id == "u-ada").values(password_hash=old))
    await door.login("ada@tidewater.example")
    with door.store.transaction(None) as tx:
        found = login_of(tx, "ada@tidewater.example")
    assert found is not None
    assert found.password_hash is not None
    assert not needs_rehash(found.password_hash)
    await door.login("ada@tidewater.example")


@pytest.mark.parametrize("out", OUT, ids=lambda out: out.code)
async def test_an_old_hash_keeps_nobody_out_when_the_store_goes_while_they_sign_in(
    door: Door, out: HoldfastError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "needs_rehash", lambda _stored: True)
    monkeypatch.setattr(door.store, "run", failing(out))
    await door.login("ada@tidewater.example")


async def test_asking_for_the_session_says_the_same_with_a_new_csrf_token(door: Door) -> None:
    first = await door.login("ada@tidewater.example")
    token = door.token(first)
    who = door.sessions.verify(token)
    again = await auth.session(door.ask(who, cookie=f"holdfast_session={token}"))
    one, two = wire(first.content), wire(again.content)
    assert one["principal"] == two["principal"]
    assert one["csrfToken"] != two["csrfToken"]
    door.csrf.check(two["csrfToken"], who.session_id)
    assert again.cookies == ()


async def test_an_old_cookie_is_renewed_with_the_facts_of_today(door: Door) -> None:
    token = door.token(await door.login("ada@tidewater.example"))
    door.clock.advance(RENEW_AFTER_S)
    with door.store.transaction(None) as tx:
        school.end_membership(tx, "ada", "tidewater")
    who = await door.members.refresh(door.sessions.verify(token))
    answer = await auth.session(door.ask(who, cookie=f"holdfast_session={token}"))
    newer = door.sessions.verify(door.token(answer))
    assert newer.org == "o-highland"
    assert newer.session_id == who.session_id


async def test_a_bearer_asks_who_it_is_and_gets_neither_cookie_nor_csrf_token(door: Door) -> None:
    who = door.tokens.verify(door.tokens.mint("service", "o-tidewater"))
    answer = await auth.session(door.ask(who))
    assert wire(answer.content)["csrfToken"] is None
    assert answer.cookies == ()
    assert (await auth.logout(door.ask(who))).cookies == ()


async def test_signing_out_ends_the_session_here_and_in_the_store(door: Door) -> None:
    token = door.token(await door.login("ada@tidewater.example"))
    answer = await auth.logout(door.ask(door.sessions.verify(token)))
    assert (answer.status, answer.content) == (204, None)
    assert "Max-Age=0" in answer.cookies[0]
    with pytest.raises(Rejected, match="ended"):
        door.sessions.verify(token)
    assert door.ended.unwritten == 0
    # What is still open in this person's name hears of it.
    assert door.rechecked == 1


@pytest.mark.parametrize("out", OUT, ids=lambda out: out.code)
async def test_signing_out_works_while_the_store_is_out(door: Door, out: HoldfastError) -> None:
    token = door.token(await door.login("ada@tidewater.example"))
    door.store.down, door.store.error = True, out
    answer = await auth.logout(door.ask(door.sessions.verify(token)))
    assert answer.status == 204
    assert "Max-Age=0" in answer.cookies[0]
    with pytest.raises(Rejected, match="ended"):
        door.sessions.verify(token)
    assert door.ended.unwritten == 1


@pytest.mark.parametrize("out", OUT, ids=lambda out: out.code)
async def test_a_password_that_cannot_be_changed_while_the_store_is_out_uses_up_no_turn(
    door: Door, out: HoldfastError
) -> None:
    ada = door.sessions.verify(door.token(await door.login("ada@tidewater.example")))
    body = auth.PasswordBody(current=PASSWORD, new="a longer password")
    door.store.down, door.store.error = True, out
    for _ in range(20):
        with pytest.raises(type(out)) as caught:
            await auth.change_password(door.ask(ada, body))
        assert caught.value.code == out.code
    door.store.down = False
    assert (await auth.change_password(door.ask(ada, body))).status == 204


async def test_an_operator_mints_a_service_token_and_the_audit_knows(door: Door) -> None:
    olu = door.sessions.verify(door.token(await door.login("olu@tidewater.example")))
    body = tokens.TokenBody(role="service", org_id="o-tidewater", ttl_days=2)
    answer = await tokens.mint(door.ask(olu, body))
    assert answer.status == 201
    who = door.tokens.verify(answer.content.token)
    assert (who.user_id, who.org) == ("service:o-tidewater", "o-tidewater")
    assert answer.content.expires_at.timestamp() == pytest.approx(
        door.clock.now_s() + timedelta(days=2).total_seconds(), abs=1
    )
    with door.store.transaction("o-tidewater") as tx:
        (noted,) = audit.recent(tx, 10)
    assert (noted.actor, noted.act) == ("u-olu", "token.minted")
    assert answer.content.token not in str(noted)


async def test_no_token_is_minted_for_an_org_that_is_not_there(door: Door) -> None:
    olu = Principal("u-olu", "Olu", "olu@tidewater.example", (), operator=True)
    with pytest.raises(Rejected, match="no org") as caught:
        await tokens.mint(door.ask(olu, tokens.TokenBody(role="service", org_id="tidewater")))
    assert caught.value.code == "not_found"


def test_every_call_has_a_row_in_the_policy() -> None:
    assert {call.action for call in auth.CALLS} <= set(TABLE)
