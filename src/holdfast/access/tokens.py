"""Bearer tokens: ours, signed with HS256, and the place where other issuers' verifiers plug in.

Ours are for machines (`service`, in one org) and for the operator's own commands (`operator`).
People sign in by session: a portal as it is wired takes no other issuer's tokens. Each of ours has an
id, by which it can be revoked before it expires.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

import jwt
import msgspec
from jwt.utils import base64url_decode, base64url_encode

from holdfast.access import endings
from holdfast.access.endings import Endings
from holdfast.access.keys import Keys
from holdfast.access.principal import Membership, Principal
from holdfast.core.clock import Clock
from holdfast.core.errors import Rejected

ISSUER: Final = "holdfast"
AUDIENCE: Final = "holdfast"
DEFAULT_TTL_S: Final = 90 * 86_400.0
MAX_TTL_S: Final = 365 * 86_400.0
SKEW_S: Final = 300.0
"""How far another portal's clock may be ahead of this one's."""
TOKEN_CHARS: Final = 8_192
"""The longest token read."""

TokenRole = Literal["service", "operator"]


class Verifier(Protocol):
    """Turns one issuer's tokens into a Principal, with keys at hand: no call may leave the process.

    Raises Rejected `not_signed_in` that says what is wrong with the token, and nothing about the keys.
    """

    @property
    def issuer(self) -> str:
        """The `iss` of the tokens it verifies."""
        ...

    def verify(self, token: str) -> Principal:
        """Whose token it is; `via` is `bearer`."""
        ...


class _Claims(msgspec.Struct, frozen=True):
    """What a token of ours says; every claim must be there. Times in whole seconds since 1970."""

    iss: str
    aud: str
    sub: str
    role: TokenRole
    org: str | None
    iat: int
    exp: int
    jti: str


class _Known(NamedTuple):
    """A token of ours that was verified before."""

    principal: Principal
    expires_at: float
    token_id: str
    ending: str
    """What its revocation would be called."""


class Tokens:
    """Mints our tokens and verifies all. One for each process.

    `others`: verifiers of other issuers; each token goes to the one its `iss` names, which must then
    prove it. `cache_size`: how many verified tokens of ours are remembered; expiry and revocation are
    always checked. `ended`: what was revoked.
    """

    issuer = ISSUER

    def __init__(
        self,
        keys: Keys,
        clock: Clock,
        others: Sequence[Verifier] = (),
        cache_size: int = 10_000,
        ended: Endings | None = None,
    ) -> None:
        self._key = keys.token
        self._clock = clock
        self._others = {one.issuer: one for one in others}
        self._cache_size = cache_size
        self._cache: dict[str, _Known] = {}
        self._ended = ended or Endings(clock)
        self.used: dict[str, float] = {}
        """Token id -> when it was last shown (s since 1970); for services, since it was last written down."""

    def mint(
        self,
        role: TokenRole,
        org: str | None,
        subject: str | None = None,
        ttl_s: float = DEFAULT_TTL_S,
        *,
        token_id: str | None = None,
    ) -> str:
        """A token that lasts `ttl_s` seconds, at most a year.

        A service acts in one org, which must be named; an operator names none. `subject` is the actor
        that events and audit show: `service:<org>` if left out. `token_id` becomes its `jti`.

        Raises Rejected `invalid` for a role, org or time that can't be.
        """
        if role not in ("service", "operator"):
            raise Rejected(
                f"no token is minted for the role {role!r}", hint="Roles of tokens: service, operator."
            )
        if (role == "service") != bool(org):
            raise Rejected(
                "a service token names its org" if role == "service" else "an operator token names no org",
                hint="Name the org of a service; leave it out for an operator.",
            )
        if not 0 < ttl_s <= MAX_TTL_S:
            raise Rejected(
                f"a token lasts up to {int(MAX_TTL_S)} seconds, not {ttl_s:g}", hint="Ask for a year at most."
            )
        now = int(self._clock.now_s())
        claims = _Claims(
            iss=ISSUER,
            aud=AUDIENCE,
            sub=subject or (f"service:{org}" if org else "operator"),
            role=role,
            org=org,
            iat=now,
            exp=now + max(1, int(ttl_s)),
            jti=token_id or secrets.token_urlsafe(16),
        )
        return jwt.encode(msgspec.to_builtins(claims), self._key, algorithm="HS256")

    def verify(self, token: str) -> Principal:
        """Whose token it is. Raises Rejected `not_signed_in` that says why it does not count."""
        known = self._cache.get(token)
        if known is None:
            other = self._other(token) if self._others else None
            if other is not None:
                return other.verify(token)
            known = self._read(token)
            if len(self._cache) >= self._cache_size:
                del self._cache[next(iter(self._cache))]
            self._cache[token] = known
        if known.expires_at <= self._clock.now_s():
            self._cache.pop(token, None)
            raise _refused("the bearer token has expired")
        if self._ended.of(known.ending) is not None:
            raise _refused("the bearer token was revoked")
        if known.principal.service:
            self.used[known.token_id] = self._clock.now_s()
        return known.principal

    def revoke(self, token_id: str) -> None:
        """Let a token of ours count no more, in this process at once; `Endings.flush` makes it last."""
        self._ended.end(endings.token(token_id), lasts_s=endings.TOKEN_S)

    def expires_at_s(self, token: str) -> float:
        """When a token of ours ends, seconds since 1970. Raises as `verify`."""
        return self._read(token).expires_at

    def _other(self, token: str) -> Verifier | None:
        """The verifier its issuer names. The claim is unproven here: it only chooses who must prove it."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.InvalidTokenError, ValueError):
            return None
        issuer = claims.get("iss")
        return self._others.get(issuer) if isinstance(issuer, str) else None

    def _read(self, token: str) -> _Known:
        claims = self._claims(token)
        if claims.iat > self._clock.now_s() + SKEW_S:
            raise _refused("the bearer token begins in the future")
        orgs: tuple[Membership, ...] = ()
        if claims.role == "service":
            if not claims.org:
                raise _refused("the bearer token names no org")
            orgs = (Membership(claims.org, "", ("service",)),)
        principal = Principal(
            user_id=claims.sub,
            name=claims.sub,
            email="",
            orgs=orgs,
            operator=claims.role == "operator",
            service=claims.role == "service",
            org=claims.org if orgs else None,
            via="bearer",
        )
        return _Known(principal, float(claims.exp), claims.jti, endings.token(claims.jti))

    def _claims(self, token: str) -> _Claims:
        if len(token) > TOKEN_CHARS or not token.isascii():
            raise _refused("the bearer token can't be read")
        try:
            mac = token.rpartition(".")[2].encode()
            if base64url_encode(base64url_decode(mac)) != mac:
                # The library passes over what is no base64; ours has one spelling only.
                raise _refused("the bearer token can't be read")
            found = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                # The library asks the machine's clock; ours is asked by the caller.
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "strict_aud": True},
            )
            return msgspec.convert(found, _Claims)
        except jwt.InvalidSignatureError as fault:
            raise _refused("the bearer token's signature is not this portal's") from fault
        except jwt.InvalidAlgorithmError as fault:
            raise _refused("the bearer token is signed in a way that is not taken") from fault
        except jwt.InvalidAudienceError as fault:
            raise _refused("the bearer token is for another audience") from fault
        except jwt.InvalidIssuerError as fault:
            raise _refused("the bearer token is of another issuer") from fault
        except (jwt.MissingRequiredClaimError, msgspec.ValidationError) as fault:
            raise _refused("the bearer token lacks a claim or has one that is not allowed") from fault
        except (jwt.InvalidTokenError, ValueError) as fault:
            raise _refused("the bearer token can't be read") from fault


def _refused(message: str) -> Rejected:
    return Rejected(
        message, code="not_signed_in", hint="Ask the operator for a token: `holdfast token --role service`."
    )
