"""Sessions that prove themselves: a signed cookie, checked without the store.

A token is `base64url(version byte + claims as JSON) "." base64url(HMAC-SHA256 over the text before
the dot)`. Compared is the text of the MAC, not its bytes, so each token has exactly one spelling.
What a stateless session can't do, ending before it expires, is a set of ended session ids in memory,
kept in the table `revoked_sessions`.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from functools import partial
from hmac import compare_digest, digest
from typing import Final, Literal, NamedTuple

import msgspec
from sqlalchemy import delete, select

from holdfast.access.keys import Keys
from holdfast.access.principal import Membership, Principal
from holdfast.core.clock import Clock, parse_rfc3339, rfc3339
from holdfast.core.errors import Rejected, Unavailable
from holdfast.store.port import Store, Tx
from holdfast.store.schema import revoked_sessions

TTL_S: Final = 14 * 86_400.0
"""How long a session lasts without a renewal."""
RENEW_AFTER_S: Final = 86_400.0
SKEW_S: Final = 300.0
"""How far another portal's clock may be ahead of this one's."""
TOKEN_CHARS: Final = 3_800
"""The longest token made or read: browsers drop cookies over 4,096 bytes."""
COOKIE: Final = "holdfast_session"
SECURE_COOKIE: Final = "__Host-holdfast_session"
"""The prefix makes browsers refuse the cookie from a neighbouring host or over plain HTTP."""

_VERSION: Final = b"\x01"


class _Claims(msgspec.Struct, array_like=True, frozen=True):
    """What version 1 of a token says. The order of fields is the format; times in s since 1970."""

    session_id: str
    user_id: str
    name: str
    email: str
    orgs: tuple[tuple[str, str, tuple[Literal["learner", "admin"], ...]], ...]
    operator: bool
    issued_at: float
    expires_at: float


class _Known(NamedTuple):
    """A token that was verified before."""

    principal: Principal
    issued_at: float
    expires_at: float


class Revoked(NamedTuple):
    """A session that was ended, and when its last cookie would have expired (s since 1970)."""

    session_id: str
    expires_at: float


class Sessions:
    """Issues, verifies, renews and ends sessions. One for each process; not for many threads.

    `cache_size`: how many verified tokens are remembered; the oldest goes first. A remembered token
    costs a dict look-up, and its expiry and revocation are checked each time.
    """

    def __init__(self, keys: Keys, clock: Clock, cache_size: int = 10_000) -> None:
        self._key = keys.session
        self._clock = clock
        self._cache_size = cache_size
        self._cache: dict[str, _Known] = {}
        self._revoked: dict[str, float] = {}
        self._unwritten: dict[str, float] = {}
        self._sweep_at = 1024

    def issue(self, principal: Principal) -> str:
        """A token for the principal, good for 14 days from now.

        Keeps the principal's session id, or makes one where it has none. Where the facts are too
        long for a cookie, names of orgs and then orgs at the end are left out; `Members` knows them.
        """
        now = self._clock.now_s()
        orgs = tuple((org.org_id, org.name, _own(org)) for org in principal.orgs)
        claims = _Claims(
            principal.session_id or secrets.token_urlsafe(16),
            principal.user_id,
            principal.name,
            principal.email,
            orgs,
            principal.operator,
            now,
            now + TTL_S,
        )
        token = self._sign(claims)
        if len(token) > TOKEN_CHARS:
            orgs = tuple((org, "", roles) for org, _, roles in orgs)
            token = self._sign(msgspec.structs.replace(claims, orgs=orgs))
        while len(token) > TOKEN_CHARS and orgs:
            orgs = orgs[:-1]
            token = self._sign(msgspec.structs.replace(claims, orgs=orgs))
        return token

    def verify(self, token: str) -> Principal:
        """Whose session it is; `org` is the first of theirs.

        Raises Rejected `not_signed_in` when the token is not ours, expired, or of an ended session.
        """
        return self._known(token).principal

    def renew_if_old(self, token: str, facts: Principal | None = None) -> str | None:
        """A new token of the same session when this one is older than a day, else None.

        `facts`: the principal as the store knows it now, to go into the new token. Raises as `verify`.
        """
        known = self._known(token)
        if self._clock.now_s() - known.issued_at < RENEW_AFTER_S:
            return None
        principal = facts or known.principal
        return self.issue(msgspec.structs.replace(principal, session_id=known.principal.session_id))

    # Ending sessions

    def revoke(self, session_id: str, expires_at: float | None = None) -> None:
        """End a session in this process at once; `flush_revocations` makes it last.

        `expires_at` (s since 1970): from when no cookie of the session can be valid any more; left
        out, the latest that a cookie issued by now can last.
        """
        until = self._clock.now_s() + TTL_S + SKEW_S if expires_at is None else expires_at
        self._unwritten[session_id] = until
        self.load([Revoked(session_id, until)])

    def load(self, ended: Iterable[Revoked]) -> None:
        """Learn of sessions ended elsewhere or before a restart, as `read_revoked` gives them."""
        for session_id, expires_at in ended:
            self._revoked[session_id] = max(expires_at, self._revoked.get(session_id, 0.0))
        if len(self._revoked) >= self._sweep_at:
            now = self._clock.now_s()
            self._revoked = {one: until for one, until in self._revoked.items() if until > now}
            self._sweep_at = max(1024, 2 * len(self._revoked))

    @property
    def unwritten(self) -> int:
        """How many ended sessions the store doesn't know of yet."""
        return len(self._unwritten)

    async def flush_revocations(self, store: Store) -> bool:
        """Write the ended sessions that the store doesn't know of; False when it can't be reached.

        What could not be written is kept for the next time; writing twice does no harm.
        """
        if not self._unwritten:
            return True
        ended = [Revoked(*one) for one in self._unwritten.items()]
        try:
            await store.run(None, partial(write_revoked, ended=ended, now_s=self._clock.now_s()))
        except Unavailable:
            return False
        for session_id, _ in ended:
            self._unwritten.pop(session_id, None)
        return True

    # The token

    def _sign(self, claims: _Claims) -> str:
        text = urlsafe_b64encode(_VERSION + msgspec.json.encode(claims)).rstrip(b"=")
        return (text + b"." + self._mac(text)).decode()

    def _mac(self, text: bytes) -> bytes:
        return urlsafe_b64encode(digest(self._key, text, "sha256")).rstrip(b"=")

    def _known(self, token: str) -> _Known:
        known = self._cache.get(token)
        if known is None:
            known = self._read(token)
            if len(self._cache) >= self._cache_size:
                del self._cache[next(iter(self._cache))]
            self._cache[token] = known
        if known.expires_at <= self._clock.now_s():
            self._cache.pop(token, None)
            raise _refused("the session has expired")
        if known.principal.session_id in self._revoked:
            raise _refused("the session was ended")
        return known

    def _read(self, token: str) -> _Known:
        if len(token) > TOKEN_CHARS or not token.isascii():
            raise _refused("the session cookie is not one of this portal's")
        text, _, mac = token.encode().partition(b".")
        if not compare_digest(self._mac(text), mac):
            raise _refused("the session cookie is not one of this portal's")
        data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        if data[:1] != _VERSION:
            raise _refused("the session cookie is of another version")
        try:
            claims = msgspec.json.decode(data[1:], type=_Claims)
        except msgspec.DecodeError as fault:
            raise _refused("the session cookie is of another version") from fault
        if claims.issued_at > self._clock.now_s() + SKEW_S:
            raise _refused("the session begins in the future")
        orgs = tuple(Membership(org, name, roles) for org, name, roles in claims.orgs)
        principal = Principal(
            user_id=claims.user_id,
            name=claims.name,
            email=claims.email,
            orgs=orgs,
            operator=claims.operator,
            org=orgs[0].org_id if orgs else None,
            session_id=claims.session_id,
        )
        return _Known(principal, claims.issued_at, claims.expires_at)


def _own(membership: Membership) -> tuple[Literal["learner", "admin"], ...]:
    return tuple(role for role in membership.roles if role in ("learner", "admin"))


def _refused(message: str) -> Rejected:
    return Rejected(message, code="not_signed_in", hint="Sign in again; what waits on the device is kept.")


# Units of work on the table; all unbound, because a session belongs to no org


def write_revoked(tx: Tx, ended: Iterable[Revoked], now_s: float) -> None:
    """Note ended sessions, and forget those that would have expired by now."""
    tx.run(delete(revoked_sessions).where(revoked_sessions.c.expires_at <= rfc3339(now_s)))
    for session_id, expires_at in ended:
        row = {"session_id": session_id, "expires_at": rfc3339(expires_at)}
        tx.run(tx.insert(revoked_sessions).values(**row).on_conflict_do_nothing())


def read_revoked(tx: Tx, now_s: float) -> list[Revoked]:
    """The ended sessions whose cookies have not all expired."""
    found = select(revoked_sessions.c.session_id, revoked_sessions.c.expires_at).where(
        revoked_sessions.c.expires_at > rfc3339(now_s)
    )
    return [Revoked(row.session_id, parse_rfc3339(row.expires_at)) for row in tx.rows(found)]


# The cookie


def cookie(token: str, *, secure: bool) -> str:
    """The Set-Cookie value for a token. `secure`: the portal is reached over HTTPS."""
    return _set_cookie(token, int(TTL_S), secure=secure)


def clear_cookie(*, secure: bool) -> str:
    """The Set-Cookie value that makes the browser forget the session."""
    return _set_cookie("", 0, secure=secure)


def _set_cookie(value: str, max_age_s: int, *, secure: bool) -> str:
    name = SECURE_COOKIE if secure else COOKIE
    ending = "; Secure" if secure else ""
    return f"{name}={value}; Max-Age={max_age_s}; Path=/; HttpOnly; SameSite=Lax{ending}"


def from_cookie_header(header: str, *, secure: bool | None = None) -> str | None:
    """The session token in a Cookie header, None where there is none; junk beside it is passed over.

    `secure` says which of the two names counts; left out, the secure one comes first. Over HTTPS
    only the secure one may count, else a neighbouring host could plant a session of its own.
    """
    plain: str | None = None
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if not equals or not value:
            continue
        if name == SECURE_COOKIE and secure is not False:
            return value
        if name == COOKIE and secure is not True and plain is None:
            plain = value
    return plain
