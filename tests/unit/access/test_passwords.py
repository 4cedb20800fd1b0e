import time

import pytest
from argon2 import PasswordHasher

from holdfast.access import passwords
from holdfast.access.passwords import (
    DEMO_PASSWORD,
    check_new_password,
    hash_password,
    needs_rehash,
    verify_nobody,
    verify_password,
)
from holdfast.core.errors import Rejected


def test_a_hash_belongs_to_its_password_only() -> None:
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert verify_password(stored, "correct horse")
    assert not verify_password(stored, "correct horse ")
    assert hash_password("correct horse") != stored


def test_the_same_letters_typed_on_another_device_are_the_same_password() -> None:
    assert verify_password(hash_password("cafe\u0301 au lait"), "caf\u00e9 au lait")


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA", "!"])
def test_a_hash_that_cannot_be_read_belongs_to_nobody(stored: str) -> None:
    assert not verify_password(stored, "anything at all")


def test_text_that_is_no_text_is_a_wrong_password_and_not_a_fault() -> None:
    assert not verify_password(hash_password("correct horse"), "\ud800" * 9)
    assert not verify_nobody("\ud800" * 9)


def test_nobody_costs_what_somebody_costs() -> None:
    assert not needs_rehash(passwords._NOBODY)

    def cost(work: object) -> float:
        assert callable(work)
        times = []
        for _ in range(5):
            # What this thread worked, and not how long it waited for its turn: one lane is no other thread's.
            began = time.thread_time()
            work()
            times.append(time.thread_time() - began)
        return min(times)

    stored = hash_password("correct horse")
    somebody = cost(lambda: verify_password(stored, "wrong horse"))
    assert cost(lambda: verify_nobody("wrong horse")) > somebody / 3
    assert cost(lambda: verify_password(stored, "x" * 5000)) > somebody / 3
    assert cost(lambda: verify_password("broken", "wrong horse")) > somebody / 3


def test_a_hash_of_another_cost_asks_to_be_made_again() -> None:
    assert needs_rehash(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse"))
    assert not needs_rehash(hash_password("correct horse"))


@pytest.mark.parametrize("password", ["x" * 7, "x" * 1025, ""])
def test_a_password_outside_the_limits_is_refused_with_the_limits(password: str) -> None:
    with pytest.raises(Rejected, match="8 to 1024") as caught:
        check_new_password(password, demo=True)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize("password", ["x" * 8, "x" * 1024])
def test_a_password_at_the_limits_is_taken(password: str) -> None:
    check_new_password(password, demo=False)


def test_the_demo_password_is_for_the_demo() -> None:
    check_new_password(DEMO_PASSWORD, demo=True)
    with pytest.raises(Rejected, match="demo mode only") as caught:
        check_new_password(DEMO_PASSWORD, demo=False)
    assert caught.value.code == "demo_only"
