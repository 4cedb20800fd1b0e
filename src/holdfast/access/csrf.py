"""CSRF tokens: signed, and bound to one session.

A token is `base64url(nonce) "." base64url(HMAC-SHA256 over nonce text and session id)`. The nonce
makes each token different, so that a compressed page does not give it away byte by byte (BREACH).
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from hmac import compare_digest, digest
from typing import Final

from holdfast.access.keys import Keys
from holdfast.core.errors import Rejected

_NONCE_BYTES: Final = 16
_NONCE_CHARS: Final = 22
_TOKEN_CHARS: Final = _NONCE_CHARS + 1 + 43


class Csrf:
    """Issues and checks CSRF tokens. `cache_size`: how many good pairs are remembered."""

    def __init__(self, keys: Keys, cache_size: int = 10_000) -> None:
        self._key = keys.csrf
        self._cache_size = cache_size
        self._good: dict[tuple[str, str], None] = {}

    def issue(self, session_id: str) -> str:
        """A new token for a session; it is good for as long as the session."""
        nonce = secrets.token_urlsafe(_NONCE_BYTES)
        return f"{nonce}.{self._mac(nonce, session_id)}"

    def check(self, token: str | None, session_id: str) -> None:
        """Raise Rejected `csrf_refused` unless the token was issued for this session."""
        if not token:
            raise _refused("a write with a session cookie carries a CSRF token, and this one has none")
        pair = (session_id, token)
        if pair in self._good:
            return
        nonce = token[:_NONCE_CHARS]
        good = session_id and len(token) == _TOKEN_CHARS and token.isascii() and token[_NONCE_CHARS] == "."
        if not good or not compare_digest(self._mac(nonce, session_id), token[_NONCE_CHARS + 1 :]):
            raise _refused("the CSRF token is not one of this session's")
        if len(self._good) >= self._cache_size:
            del self._good[next(iter(self._good))]
        self._good[pair] = None

    def _mac(self, nonce: str, session_id: str) -> str:
        mac = digest(self._key, f"{nonce}.{session_id}".encode("utf-8", "surrogatepass"), "sha256")
        return urlsafe_b64encode(mac).rstrip(b"=").decode()


def _refused(message: str) -> Rejected:
    return Rejected(
        message,
        code="csrf_refused",
        hint="Fetch /api/auth/session and send its csrfToken in X-CSRF-Token; a beacon sends it in the body.",
    )
