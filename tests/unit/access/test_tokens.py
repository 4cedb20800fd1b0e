from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.access import token_list
from holdfast.access.keys import Keys
from holdfast.access.principal import Principal
from holdfast.access.tokens import DEFAULT_TTL_S, MAX_TTL_S, Tokens
from holdfast.core.clock import ManualClock, rfc3339
from holdfast.core.errors import HoldfastError, Rejected
from holdfast.store.sqlite import SqliteStore
from tests.unit.access.failing import OUT, FailingStore

KEYS = Keys.from_secret(b"a secret for tests, of 32 bytes or more")
NOW = int(ManualClock().now_s())
GOOD: dict[str, Any] = {
    "iss": "holdfast",
    "aud": "holdfast",
    "sub": "service:o-1",
    "role": "service",
    "org": "o-1",
    "iat": NOW,
    "exp": NOW + 60,
    "jti": "t-1",
}


def made(clock: ManualClock | None = None) -> Tokens:
    return Tokens(KEYS, clock or ManualClock())


def refused(token: str, tokens: Tokens | None = None) -> str:
    with pytest.raises(Rejected) as caught:
        (tokens or made()).verify(token)
    assert caught.value.code == "not_signed_in"
    assert token not in caught.value.message
    return caught.value.message


def signed(claims: dict[str, Any], key: bytes = KEYS.token, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm)


def test_a_service_token_acts_in_its_org_and_needs_no_csrf() -> None:
    who = made().verify(made().mint("service", "o-1"))
    assert who.service
    assert not who.operator
    assert (who.user_id, who.org, who.via) == ("service:o-1", "o-1", "bearer")
    assert [(one.org_id, one.roles) for one in who.orgs] == [("o-1", ("service",))]


def test_an_operator_token_has_no_org_and_keeps_its_subject() -> None:
    who = made().verify(made().mint("operator", None, "operator:on-call"))
    assert who.operator
    assert not who.service
    assert (who.user_id, who.org, who.orgs, who.via) == ("operator:on-call", None, (), "bearer")


@pytest.mark.parametrize(
    "role, org, ttl_s, words",
    [
        ("service", None, 60, "names its org"),
        ("service", "", 60, "names its org"),
        ("operator", "o-1", 60, "names no org"),
        ("admin", "o-1", 60, "role"),
        ("learner", "o-1", 60, "role"),
        ("service", "o-1", 0, "lasts"),
        ("service", "o-1", -1, "lasts"),
        ("service", "o-1", MAX_TTL_S + 1, "lasts"),
        ("service", "o-1", float("nan"), "lasts"),
    ],
)
def test_what_cannot_be_is_not_minted(role: Any, org: str | None, ttl_s: float, words: str) -> None:  # noqa: ANN401
    with pytest.raises(Rejected, match=words) as caught:
        made().mint(role, org, ttl_s=ttl_s)
    assert caught.value.code == "invalid"


def test_a_token_lasts_ninety_days_unless_told_and_then_ends_also_when_it_is_remembered() -> None:
    clock = ManualClock()
    tokens = made(clock)
    token = tokens.mint("service", "o-1")
    assert tokens.expires_at_s(token) == NOW + DEFAULT_TTL_S
    tokens.verify(token)
    clock.advance(DEFAULT_TTL_S - 1)
    tokens.verify(token)
    clock.advance(1)
    assert "expired" in refused(token, tokens)
    assert "expired" in refused(token, made(clock))


def test_no_two_tokens_have_one_id_unless_it_is_given() -> None:
    ids = {
        jwt.decode(made().mint("service", "o-1"), options={"verify_signature": False})["jti"]
        for _ in range(50)
    }
    assert len(ids) == 50
    given_id = made().mint("service", "o-1", token_id="t-7")
    assert jwt.decode(given_id, options={"verify_signature": False})["jti"] == "t-7"


def test_the_reason_says_what_is_wrong() -> None:
    other = Keys.from_secret(b"another secret" * 4)
    assert "signature" in refused(Tokens(other, ManualClock()).mint("service", "o-1"))
    assert "signature" in refused(signed(GOOD, KEYS.session))
    assert "audience" in refused(signed({**GOOD, "aud": "authenticated"}))
    assert "audience" in refused(signed({**GOOD, "aud": ["holdfast", "more"]}))
    assert "issuer" in refused(signed({**GOOD, "iss": "https://other.example"}))
    assert "signed in a way" in refused(signed(GOOD, KEYS.token * 2, "HS512"))
    assert "signed in a way" in refused(jwt.encode(GOOD, "", algorithm="none"))
    assert "future" in refused(signed({**GOOD, "iat": NOW + 1000, "exp": NOW + 2000}))
    assert "expired" in refused(signed({**GOOD, "exp": NOW}))
    assert "org" in refused(signed({**GOOD, "org": None}))
    assert "can't be read" in refused("no.token.atall")


@pytest.mark.parametrize("claim", sorted(GOOD))
def test_every_claim_must_be_there(claim: str) -> None:
    made().verify(signed(GOOD))
    refused(signed({name: value for name, value in GOOD.items() if name != claim}))


@pytest.mark.parametrize(
    "change",
    [{"role": "admin"}, {"role": ["service"]}, {"exp": "soon"}, {"sub": 7}, {"org": ["o-1"]}, {"jti": 1}],
)
def test_a_claim_of_another_shape_is_refused(change: dict[str, Any]) -> None:
    refused(signed({**GOOD, **change}))


TOKEN = Tokens(KEYS, ManualClock()).mint("service", "o-1", token_id="t-1")


@given(at=st.integers(0, len(TOKEN) - 1), bit=st.integers(0, 6))
def test_a_token_with_any_bit_flipped_is_refused(at: int, bit: int) -> None:
    forged = TOKEN[:at] + chr(ord(TOKEN[at]) ^ 1 << bit) + TOKEN[at + 1 :]
    refused(forged)


@pytest.mark.parametrize("ending", ["=", "!", "\n", " ", "A", "."])
def test_a_token_has_one_spelling_only(ending: str) -> None:
    refused(TOKEN + ending)


@given(junk=st.text(max_size=200))
def test_junk_is_refused_and_never_a_fault(junk: str) -> None:
    refused(junk + ".")
    refused(f"{junk}.{junk}.{junk}")


def test_a_token_beyond_measure_is_refused_unread() -> None:
    assert "can't be read" in refused(signed({**GOOD, "sub": "x" * 10_000}))


def test_the_memory_of_verified_tokens_is_bounded() -> None:
    tokens = Tokens(KEYS, ManualClock(), cache_size=3)
    many = [tokens.mint("service", f"o-{n}") for n in range(10)]
    assert [tokens.verify(token).org for token in many] == [f"o-{n}" for n in range(10)]
    assert len(tokens._cache) == 3
    assert [tokens.verify(token).org for token in many] == [f"o-{n}" for n in range(10)]


class Elsewhere:
    """An issuer that knows people, and keeps its own key."""

    issuer = "https://other.example/auth/v1"

    def verify(self, token: str) -> Principal:
        try:
            claims = jwt.decode(token, b"e" * 32, algorithms=["HS256"], options={"verify_exp": False})
        except jwt.InvalidTokenError as fault:
            raise Rejected("not from elsewhere", code="not_signed_in") from fault
        return Principal(claims["sub"], "", "", (), via="bearer")


@pytest.mark.parametrize("out", OUT, ids=lambda out: out.code)
async def test_a_use_that_a_store_that_is_out_did_not_take_is_written_down_later(out: HoldfastError) -> None:
    store = FailingStore(SqliteStore(None), out)
    tokens = made()
    tokens.verify(tokens.mint("service", "o-1", token_id="t-1"))
    with store.transaction(None) as tx:
        times = {"at_s": NOW, "expires_at_s": NOW + 60}
        token_list.enter(tx, "t-1", org="o-1", by="u-olu", **times)
    uses = token_list.Uses(tokens, ManualClock())
    store.down = True
    await uses.flush(store, now=True)
    store.down = False
    await uses.flush(store, now=True)
    (listed,) = await store.read(None, lambda tx: token_list.listed(tx, NOW, {}))
    assert listed.last_used_at == rfc3339(NOW)
    assert tokens.used == {}
    store.close()


def test_a_token_of_another_issuer_goes_to_its_verifier_and_must_be_proved_there() -> None:
    tokens = Tokens(KEYS, ManualClock(), [Elsewhere()])
    theirs = {"iss": Elsewhere.issuer, "sub": "u-9"}
    assert tokens.verify(signed(theirs, b"e" * 32)).user_id == "u-9"
    assert "elsewhere" in refused(signed(theirs), tokens)
    assert tokens.verify(tokens.mint("service", "o-1")).service
    assert "signature" in refused(signed({**GOOD}, b"e" * 32), tokens)
    assert "issuer" in refused(signed({**GOOD, "iss": "https://unknown.example"}), tokens)
    assert "can't be read" in refused("junk", tokens)
