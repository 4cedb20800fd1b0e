import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.access import csrf as under_test
from holdfast.access.csrf import Csrf
from holdfast.access.keys import Keys
from holdfast.core.errors import Rejected

KEYS = Keys.from_secret(b"a secret for tests, of 32 bytes or more")
TOKEN = Csrf(KEYS).issue("s-1")


def refused(csrf: Csrf, token: str | None, session_id: str) -> None:
    with pytest.raises(Rejected) as caught:
        csrf.check(token, session_id)
    assert caught.value.code == "csrf_refused"
    assert "/api/auth/session" in caught.value.hint


def test_a_token_is_good_for_its_session_again_and_again_in_every_process() -> None:
    for csrf in (Csrf(KEYS), Csrf(KEYS)):
        csrf.check(TOKEN, "s-1")
        csrf.check(TOKEN, "s-1")


def test_a_token_of_another_session_is_refused_also_when_it_was_good_before() -> None:
    csrf = Csrf(KEYS)
    csrf.check(TOKEN, "s-1")
    refused(csrf, TOKEN, "s-2")
    refused(csrf, TOKEN, "")
    refused(csrf, TOKEN, "s-11")


def test_no_token_is_refused() -> None:
    refused(Csrf(KEYS), None, "s-1")
    refused(Csrf(KEYS), "", "s-1")


def test_a_token_bound_to_no_session_is_refused() -> None:
    csrf = Csrf(KEYS)
    refused(csrf, csrf.issue(""), "")


def test_a_token_of_another_key_is_refused() -> None:
    refused(Csrf(KEYS), Csrf(KEYS._replace(csrf=KEYS.session)).issue("s-1"), "s-1")


def test_no_two_tokens_share_more_than_chance_would() -> None:
    csrf = Csrf(KEYS)
    tokens = [csrf.issue("s-1") for _ in range(200)]
    assert len({token[:8] for token in tokens}) == 200
    assert len({token[23:31] for token in tokens}) == 200


@given(at=st.integers(0, len(TOKEN) - 1), bit=st.integers(0, 6))
def test_a_token_with_any_bit_flipped_is_refused(at: int, bit: int) -> None:
    refused(Csrf(KEYS), TOKEN[:at] + chr(ord(TOKEN[at]) ^ 1 << bit) + TOKEN[at + 1 :], "s-1")


@given(junk=st.text(max_size=100), session=st.text(max_size=20))
def test_junk_is_refused_and_never_a_fault(junk: str, session: str) -> None:
    refused(Csrf(KEYS), junk, session)


def test_the_memory_of_good_pairs_is_bounded_and_holds_no_bad_ones() -> None:
    csrf = Csrf(KEYS, cache_size=3)
    for n in range(10):
        csrf.check(csrf.issue(f"s-{n}"), f"s-{n}")
        refused(csrf, TOKEN, f"s-{n + 10}")
    assert len(csrf._good) == 3
    assert (f"s-{19}", TOKEN) not in csrf._good


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def watch(ours: str, theirs: str) -> bool:
        seen.append(theirs)
        return hmac.compare_digest(ours, theirs)

    monkeypatch.setattr(under_test, "compare_digest", watch)
    Csrf(KEYS).check(TOKEN, "s-1")
    assert seen == [TOKEN[23:]]
