"""Sessions that prove themselves: a signed cookie, checked without the store.

A token is `base64url(version byte + claims as JSON) "." base64url(HMAC-SHA256 over the text before
the dot)`. Compared is the text of the MAC, not its bytes, so each token has exactly one spelling.
What a stateless session can't do, ending before it expires, is asked of `endings` each time: of the
session, of its person, and of each membership it tells of.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hmac import compare_digest, digest
from typing import Final, Literal, NamedTuple

import msgspec

from holdfast.access import endings
from holdfast.access.endings import Endings, Names
from holdfast.access.keys import Keys
from holdfast.access.principal import Membership, Principal
from holdfast.core.clock import Clock
from holdfast.core.errors import Rejected
from holdfast.store.port import Tx

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
    """A token that was verified before; the last three are what an ending of it would be called."""

    principal: Principal
    issued_at: float
    expires_at: float
    session: str
    person: str
    members: tuple[str, ...]


class Sessions:
    """Issues, verifies, renews and ends sessions. One for each process; not for many threads.

    `ended`: what was ended before its time. `cache_size`: how many verified tokens are remembered; the
    oldest goes first. A remembered token costs a few dict look-ups: its expiry and endings are checked
    each time.
    """

    def __init__(
        self, keys: Keys, clock: Clock, ended: Endings | None = None, cache_size: int = 10_000
    ) -> None:
        self._key = keys.session
        self._clock = clock
        self._ended = ended or Endings(clock)
        self._names = Names(keys.session)
        self._cache_size = cache_size
        self._cache: dict[str, _Known] = {}

    def issue(self, principal: Principal, facts_at_s: float | None = None) -> str:
        """A token for the principal, good for 14 days.

        `facts_at_s`: when it was asked who they are, now if left out; what was ended since then is
        ended for this session too. Keeps the principal's session id, or makes one where it has none.
        Where the facts are too long for a cookie, names of orgs and then orgs at the end are left out;
        `Members` knows them.
        """
        now = self._clock.now_s() if facts_at_s is None else facts_at_s
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

    def revoke(self, session_id: str) -> None:
        """End one session in this process at once; `Endings.flush` makes it last."""
        self._ended.end(endings.session(session_id))

    def end_person(self, tx: Tx, user_id: str, *, kept: str = "") -> None:
        """End all sessions of a person but the one whose id is `kept`, with a unit of work."""
        self._ended.end_with(tx, self._names.person(user_id), kept=kept)

    def end_membership(self, tx: Tx, org: str, user_id: str) -> None:
        """Let no session say any more that a person is of an org, with a unit of work.

        A session that tells of no other org ends; who is also elsewhere stays signed in there.
        """
        self._ended.end_with(tx, self._names.member(org, user_id))

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
        return self._still(known)

    def _still(self, known: _Known) -> _Known:
        """What an ending left of it. Raises where that is nothing."""
        if self._ended.of(known.session) is not None:
            raise _refused("the session was ended")
        all_of_them = self._ended.of(known.person)
        who = known.principal
        if (
            all_of_them is not None
            and known.issued_at < all_of_them.at_s
            and who.session_id != all_of_them.kept
        ):
            raise _refused("the session was ended")
        if not any(map(self._ended.of, known.members)):
            return known
        left = tuple(
            membership
            for membership, name in zip(who.orgs, known.members, strict=True)
            if (ending := self._ended.of(name)) is None or known.issued_at >= ending.at_s
        )
        if len(left) == len(who.orgs):
            return known
        if not left and not who.operator:
            raise _refused("the session was ended with the membership")
        org = left[0].org_id if left else None
        return known._replace(principal=msgspec.structs.replace(who, orgs=left, org=org))

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
        return _Known(
            principal,
            claims.issued_at,
            claims.expires_at,
            endings.session(claims.session_id),
            self._names.person(claims.user_id),
            tuple(self._names.member(org.org_id, claims.user_id) for org in orgs),
        )


def _own(membership: Membership) -> tuple[Literal["learner", "admin"], ...]:
    return tuple(role for role in membership.roles if role in ("learner", "admin"))


def _refused(message: str) -> Rejected:
    return Rejected(message, code="not_signed_in", hint="Sign in again; what waits on the device is kept.")


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
