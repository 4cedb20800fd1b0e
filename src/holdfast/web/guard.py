"""Every route passes here: token → principal → org → action → CSRF.

The org is the principal's, proven by their session or token, and never taken from a body.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from holdfast.access import policy
from holdfast.access.sessions import from_cookie_header
from holdfast.core.errors import Rejected, Unavailable
from holdfast.events.envelope import Sender

if TYPE_CHECKING:
    from holdfast.access.principal import Principal
    from holdfast.web.calls import Call
    from holdfast.web.portal import Portal

WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})


async def prove(portal: Portal, headers: Mapping[str, str]) -> Principal | None:
    """Who asks, by bearer token or session cookie; None when neither came.

    Raises Rejected `not_signed_in` for a token that came and does not hold, `org_forbidden` for an
    org in X-Org-Id that is not theirs. Works from memory while the store is out.
    """
    who = _claimed(portal, headers)
    if who is None:
        return None
    fresh = portal.members.cached(who)
    who = fresh if fresh is not None else await portal.members.refresh(who)
    return policy.resolve_org(who, headers.get("x-org-id"))


def prove_now(portal: Portal, headers: Mapping[str, str]) -> Principal | None:
    """Who asks, as `prove` tells for a public call, from memory alone.

    Raises LookupError where the store must be asked first.
    """
    try:
        who = _claimed(portal, headers)
        if who is None:
            return None
        fresh = portal.members.cached(who)
        if fresh is not None:
            return policy.resolve_org(fresh, headers.get("x-org-id"))
    except Rejected:
        return None
    raise LookupError(who.user_id)


def _claimed(portal: Portal, headers: Mapping[str, str]) -> Principal | None:
    bearer = headers.get("authorization")
    if bearer is not None:
        scheme, _, token = bearer.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Rejected("the Authorization header is not of the form `Bearer …`", code="not_signed_in")
        return portal.tokens.verify(token.strip())
    cookie = headers.get("cookie")
    secure = portal.settings.secure_cookies
    token_text = from_cookie_header(cookie, secure=secure) if cookie else None
    return None if token_text is None else portal.sessions.verify(token_text)


async def admit(portal: Portal, call: Call, headers: Mapping[str, str], client: str) -> Principal | None:
    """Let a request in, or raise Rejected with who must mend what.

    A write with a cookie needs its CSRF token in X-CSRF-Token; calls that take beacons check the
    one in the body instead, when the header is missing (see `require_csrf`).
    """
    if call.action == "public":
        try:
            return await prove(portal, headers)
        except Rejected:
            # A stale cookie must not keep anybody from signing in again.
            return None
    if call.action == "metrics.read" and "authorization" not in headers and is_here(client, headers):
        return None
    who = await prove(portal, headers)
    policy.require(who, call.action, who.org if who else None)
    if who is not None and call.method in WRITES and "x-csrf-token" in headers:
        require_csrf(portal, who, headers["x-csrf-token"])
    elif who is not None and call.method in WRITES and not call.beacon:
        require_csrf(portal, who, None)
    return who


def require_csrf(portal: Portal, who: Principal, token: str | None) -> None:
    """Refuse a write that another site could have made a browser send."""
    if who.via != "session":
        return
    if token is None:
        raise Rejected(
            "the request changes something and came without a CSRF token",
            code="csrf_refused",
            hint="GET /api/auth/session gives one; send it in X-CSRF-Token.",
        )
    portal.csrf.check(token, who.session_id)


STORE_LOST: Final = frozenset({"store_out", "store_read_only"})


def require_store_well(portal: Portal) -> None:
    """Refuse what can't be taken back while nobody can see what it would do.

    Raises Unavailable `held_back` with the reason, and in `retry_s` how long it is likely to last.
    """
    verdict = portal.monitor.verdict()
    for loss in verdict.degradations:
        if loss.name in STORE_LOST:
            left_s = verdict.begun[loss.name].expected_end_s - portal.clock.now_s()
            reason = next((each.reason for each in verdict.results if each.part == "store"), None)
            raise Unavailable(
                f"this takes something away, and the store is not well: {reason or loss.lost}",
                code="held_back",
                hint="It is likely to be over in the time named. What adds something still goes through.",
                retry_s=max(1.0, left_s),
            )


def sender(who: Principal) -> Sender:
    """A principal as intake needs them: the org they act in first, then their others."""
    own = [membership.org_id for membership in who.orgs]
    if who.org in own:
        own.remove(who.org)
        own.insert(0, who.org)
    known: dict[tuple[str, str], bool] = {}

    def may(action: str, org: str) -> bool:
        allowed = known.get((action, org))
        if allowed is None:
            try:
                policy.require(who, action, org)
            except Rejected:
                allowed = False
            else:
                allowed = True
            known[action, org] = allowed
        return allowed

    return Sender(who.user_id, own, may, who.service)


PASSED_ON: Final = frozenset(
    {"forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"}
)
"""What proxies add to a request."""


def is_here(client: str, headers: Mapping[str, str]) -> bool:
    """Whether this machine asks. Behind a proxy on it everybody would, but for what proxies add."""
    if not PASSED_ON.isdisjoint(headers):
        return False
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False
