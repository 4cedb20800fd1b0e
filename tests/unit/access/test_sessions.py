import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.access import sessions as under_test
from holdfast.access.keys import Keys
from holdfast.access.principal import Membership, Principal
from holdfast.access.sessions import (
    RENEW_AFTER_S,
    TOKEN_CHARS,
    TTL_S,
    Sessions,
    clear_cookie,
    cookie,
    from_cookie_header,
)
from holdfast.core.clock import ManualClock
from holdfast.core.errors import Rejected

KEYS = Keys.from_secret(b"a secret for tests, of 32 bytes or more")
ADA = Principal(
    user_id="u-ada",
    name="Ada Löwe",
    email="ada@tidewater.example",
    orgs=(Membership("o-1", "Tidewater", ("admin", "learner")), Membership("o-2", "Highland", ("learner",))),
    org="o-1",
)


def made(clock: ManualClock | None = None) -> Sessions:
    return Sessions(KEYS, clock or ManualClock())


def refused(sessions: Sessions, token: str) -> str:
    with pytest.raises(Rejected) as caught:
        sessions.verify(token)
    assert caught.value.code == "not_signed_in"
    assert caught.value.status == 401
    return caught.value.message


def test_a_session_comes_back_as_it_was_issued_in_any_process_with_the_key() -> None:
    clock = ManualClock()
    token = made(clock).issue(ADA)
    back = made(clock).verify(token)
    assert back.session_id
    assert back.user_id == ADA.user_id
    assert (back.name, back.email, back.orgs, back.org) == (ADA.name, ADA.email, ADA.orgs, "o-1")
    assert back.via == "session"
    assert not back.operator
    assert not back.service


def test_an_operator_without_an_org_has_none() -> None:
    sessions = made()
    back = sessions.verify(
        sessions.issue(Principal("u-olu", "Olu", "olu@holdfast.example", (), operator=True))
    )
    assert back.operator
    assert back.org is None


def test_each_sign_in_is_a_session_of_its_own() -> None:
    sessions = made()
    one, two = (sessions.verify(sessions.issue(ADA)) for _ in range(2))
    assert one.session_id != two.session_id


TOKEN = Sessions(KEYS, ManualClock()).issue(ADA)


@given(at=st.integers(0, len(TOKEN) - 1), bit=st.integers(0, 6))
def test_a_token_with_any_bit_flipped_is_refused(at: int, bit: int) -> None:
    forged = TOKEN[:at] + chr(ord(TOKEN[at]) ^ 1 << bit) + TOKEN[at + 1 :]
    sessions = made()
    refused(sessions, forged)
    assert sessions.verify(TOKEN).user_id == "u-ada"


@given(end=st.integers(0, len(TOKEN) - 1))
def test_a_truncated_token_is_refused(end: int) -> None:
    refused(made(), TOKEN[:end])


@given(junk=st.text(max_size=200))
def test_junk_is_refused_and_never_a_fault(junk: str) -> None:
    refused(made(), junk)
    refused(made(), f"{junk}.{junk}")


@pytest.mark.parametrize("ending", [".", "=", "==", "A", " ", "\x00", "." + TOKEN])
def test_a_token_has_one_spelling_only(ending: str) -> None:
    refused(made(), TOKEN + ending)


def test_a_token_of_another_key_or_another_purpose_is_refused() -> None:
    refused(made(), Sessions(Keys.from_secret(b"another secret" * 4), ManualClock()).issue(ADA))
    swapped = KEYS._replace(session=KEYS.csrf)
    refused(made(), Sessions(swapped, ManualClock()).issue(ADA))


def test_other_claims_under_an_old_signature_are_refused() -> None:
    text, mac = TOKEN.split(".")
    claims = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    changed = claims.replace(b'"learner"', b'"admin"')
    assert changed != claims
    refused(made(), urlsafe_b64encode(changed).rstrip(b"=").decode() + "." + mac)


def signed(data: bytes) -> str:
    text = urlsafe_b64encode(data).rstrip(b"=")
    mac = urlsafe_b64encode(hmac.digest(KEYS.session, text, "sha256")).rstrip(b"=")
    return (text + b"." + mac).decode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x02[]",
        b"\x01[]",
        b"\x01{}",
        b'\x01["s","u","n","e",[["o","n",["operator"]]],false,1,9e99]',
        b'\x01["s","u","n","e",[],"yes",1,9e99]',
    ],
)
def test_well_signed_claims_of_another_shape_are_refused(data: bytes) -> None:
    assert "version" in refused(made(), signed(data))


def test_a_session_ends_after_fourteen_days_also_when_it_is_remembered() -> None:
    clock = ManualClock()
    sessions = made(clock)
    token = sessions.issue(ADA)
    clock.advance(TTL_S - 1)
    sessions.verify(token)
    clock.advance(1)
    assert "expired" in refused(sessions, token)
    assert "expired" in refused(made(clock), token)


def test_a_neighbours_clock_may_be_a_little_ahead_and_not_much() -> None:
    sessions = made(ManualClock(1_000_000.0))
    sessions.verify(made(ManualClock(1_000_200.0)).issue(ADA))
    assert "future" in refused(sessions, made(ManualClock(1_000_400.0)).issue(ADA))


def test_a_session_slides_once_a_day_and_keeps_its_id() -> None:
    clock = ManualClock()
    sessions = made(clock)
    token = sessions.issue(ADA)
    clock.advance(RENEW_AFTER_S - 1)
    assert sessions.renew_if_old(token) is None
    clock.advance(1)
    newer = sessions.renew_if_old(token)
    assert newer is not None
    clock.advance(TTL_S - 1)
    assert (
        sessions.verify(newer).session_id
        == sessions.verify(sessions.issue(sessions.verify(newer))).session_id
    )
    refused(sessions, token)


def test_a_renewed_session_carries_the_facts_of_today() -> None:
    clock = ManualClock()
    sessions = made(clock)
    token = sessions.issue(ADA)
    clock.advance(RENEW_AFTER_S)
    newer = sessions.renew_if_old(token, Principal("u-ada", "Ada L.", "ada@tidewater.example", ADA.orgs[1:]))
    assert newer is not None
    back = sessions.verify(newer)
    assert (back.name, back.org) == ("Ada L.", "o-2")
    assert back.session_id == sessions.verify(token).session_id


def test_an_ended_session_is_refused_with_all_its_cookies_and_only_it() -> None:
    clock = ManualClock()
    sessions = made(clock)
    old, other = sessions.issue(ADA), sessions.issue(ADA)
    clock.advance(RENEW_AFTER_S)
    newer = sessions.renew_if_old(old)
    assert newer is not None
    sessions.revoke(sessions.verify(old).session_id)
    assert "ended" in refused(sessions, old)
    assert "ended" in refused(sessions, newer)
    with pytest.raises(Rejected):
        sessions.renew_if_old(newer)
    sessions.verify(other)
    clock.advance(TTL_S - RENEW_AFTER_S - 1)
    assert "ended" in refused(sessions, newer)


def test_the_memory_of_verified_tokens_is_bounded_and_answers_as_a_cold_one_does() -> None:
    clock = ManualClock()
    sessions = Sessions(KEYS, clock, cache_size=3)
    tokens = [sessions.issue(ADA) for _ in range(10)]
    first = [sessions.verify(token) for token in tokens]
    assert len(sessions._cache) == 3
    assert [sessions.verify(token) for token in tokens] == first
    assert sessions.verify(tokens[-1]) is sessions.verify(tokens[-1])


def test_a_member_of_very_many_orgs_still_fits_in_a_cookie() -> None:
    sessions = made()
    many = tuple(Membership(f"{n:036d}", "Org " * 20, ("admin", "learner")) for n in range(200))
    token = sessions.issue(Principal("u", "n", "e", many))
    assert len(cookie(token, secure=True)) < 4096
    kept = sessions.verify(token).orgs
    assert 20 < len(kept) < 200
    assert [one.org_id for one in kept] == [one.org_id for one in many[: len(kept)]]


def test_the_length_is_looked_at_before_the_signature() -> None:
    refused(made(), signed(b"\x01" + b"x" * TOKEN_CHARS))


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bytes, bytes]] = []

    def watch(ours: bytes, theirs: bytes) -> bool:
        seen.append((ours, theirs))
        return hmac.compare_digest(ours, theirs)

    monkeypatch.setattr(under_test, "compare_digest", watch)
    made().verify(TOKEN)
    refused(made(), TOKEN[:-1] + "!")
    assert len(seen) == 2


@pytest.mark.parametrize("secure", [True, False])
def test_a_cookie_is_out_of_reach_of_scripts_and_other_sites(secure: bool) -> None:  # noqa: FBT001
    name = "__Host-holdfast_session" if secure else "holdfast_session"
    said = cookie("T", secure=secure).split("; ")
    assert said[0] == f"{name}=T"
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=1209600"} <= set(said)
    assert ("Secure" in said) is secure
    assert not any(part.startswith("Domain") for part in said)
    gone = clear_cookie(secure=secure).split("; ")
    assert gone[0] == f"{name}="
    assert "Max-Age=0" in gone
    assert gone[2:] == said[2:]


@pytest.mark.parametrize(
    "header, token",
    [
        ("", None),
        (";;; = ;=", None),
        ("holdfast_session", None),
        ("holdfast_session=", None),
        ("xholdfast_session=a", None),
        ("holdfast_session=a", "a"),
        ("a=b;holdfast_session=c.d;e", "c.d"),
        ("  holdfast_session=a=b ; x", "a=b"),
        ("holdfast_session=first; holdfast_session=second", "first"),
        ("holdfast_session=plain; __Host-holdfast_session=sure", "sure"),
    ],
)
def test_a_cookie_header_is_read_whatever_stands_beside(header: str, token: str | None) -> None:
    assert from_cookie_header(header) == token


def test_over_https_a_cookie_that_a_neighbouring_host_could_plant_does_not_count() -> None:
    planted = "holdfast_session=theirs"
    assert from_cookie_header(planted, secure=True) is None
    assert from_cookie_header(planted + "; __Host-holdfast_session=ours", secure=True) == "ours"
    assert from_cookie_header("__Host-holdfast_session=old; holdfast_session=new", secure=False) == "new"


@given(junk=st.text(max_size=80))
def test_a_cookie_header_of_junk_is_never_a_fault(junk: str) -> None:
    from_cookie_header(junk)
    assert from_cookie_header(f"holdfast_session=t;{junk}", secure=False) == "t"
