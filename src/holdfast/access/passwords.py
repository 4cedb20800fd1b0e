"""Passwords: Argon2id hashes, and the same work whether or not the person exists.

Cost: 19 MiB, two passes, one lane (the OWASP password storage cheat sheet's parameters): about 20 ms
of one core, so these functions belong in a thread.
"""

from __future__ import annotations

import contextlib
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from holdfast.core.errors import Rejected

MIN_CHARS: Final = 8
MAX_CHARS: Final = 1024
DEMO_PASSWORD: Final = "holdfast-demo"  # noqa: S105 - published on purpose, refused outside demo mode

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_NOBODY: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$ZATHwfdA8apAkUBKAhYMjQ$iNOa14KEZ6YKdUA7pTWF2zyJ9/UeQfBhUnmnvVs/39M"
)
"""The hash of a random password nobody kept; a test holds its cost to the hasher's."""


def _plain(password: str) -> bytes:
    """The bytes to hash: two devices may type the same letter as different code points."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def check_new_password(password: str, *, demo: bool) -> None:
    """Refuse what may not become somebody's password.

    Raises Rejected: `invalid` outside 8 to 1024 characters; `demo_only` for the demo's published
    password where `demo` says this is no demo.
    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise Rejected(
            f"a password has {MIN_CHARS} to {MAX_CHARS} characters, not {len(password)}",
            hint="Choose a longer one; a few words are easy to remember."
            if len(password) < MIN_CHARS
            else "Choose a shorter one.",
        )
    refuse_demo_password(password, demo=demo)


def refuse_demo_password(password: str, *, demo: bool) -> None:
    """Raise Rejected `demo_only` for the demo's published password where this is no demo."""
    if not demo and password == DEMO_PASSWORD:
        raise Rejected(
            "the demo's password works in demo mode only",
            code="demo_only",
            hint="Sign in with a password of your own, or start the portal in demo mode.",
        )


def hash_password(password: str) -> str:
    """The hash to store. The caller has checked the password with `check_new_password`."""
    return _HASHER.hash(_plain(password))


def verify_password(stored: str, password: str) -> bool:
    """Whether the password belongs to a stored hash. A hash that can't be read belongs to none."""
    if len(password) > MAX_CHARS:
        return verify_nobody(password)
    try:
        return _HASHER.verify(stored, _plain(password))
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError):
        return verify_nobody(password)


def verify_nobody(password: str) -> bool:
    """Do the work of a verification and say no: an answer's time must not tell who has an account."""
    with contextlib.suppress(VerificationError):
        _HASHER.verify(_NOBODY, _plain(password[:MAX_CHARS]))
    return False


def needs_rehash(stored: str) -> bool:
    """Whether a hash was made at another cost than today's."""
    return _HASHER.check_needs_rehash(stored)
