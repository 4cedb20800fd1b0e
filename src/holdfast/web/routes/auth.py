"""Signing in, staying signed in, signing out, and a password of one's own."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import msgspec
from anyio.lowlevel import RunVar
from msgspec import Meta

from holdfast.access import passwords, sessions
from holdfast.access.audit import note_for
from holdfast.access.members import Login, normal_email, set_password_hash
from holdfast.access.principal import Principal
from holdfast.core.errors import Conflict, Corrupt, Rejected, Unavailable
from holdfast.store.port import Tx
from holdfast.web.calls import Answer, Ask, Call, Said, Wire

HASHERS: Final = 4
"""Passwords verified at once: each takes 19 MiB and a core."""
ADDRESS_COST: Final = 0.1
"""A failed sign-in costs its e-mail address a whole turn and its network address a tenth: a school
shares one network address."""
LOGIN_WAIT_S: Final = 5.0
"""How long signing in waits for the store before it says that it can't."""
STORE_WAIT_S: Final = 2.0
"""How long signing out waits for the store before it leaves the writing for later."""
NOTE_WAIT_S: Final = 0.5
"""How long a sign-in waits for its note in the audit before it leaves the writing for later."""

_NO_STORE: Final = {"cache-control": "no-store"}
_hashing: Final[RunVar[anyio.CapacityLimiter]] = RunVar("holdfast_hashing")


class LoginBody(Wire):
    """Who signs in."""

    email: Annotated[str, Meta(min_length=3, max_length=254)]
    password: Annotated[str, Meta(min_length=1, max_length=passwords.MAX_CHARS)]


class OrgSaid(Said):
    """One of the person's orgs, and what they are there."""

    id: str
    name: str
    roles: list[str]


class PrincipalSaid(Said):
    """Who is signed in; `roles` are those in `orgId`, the org that calls act in by default."""

    user_id: str
    org_id: str | None
    orgs: list[OrgSaid]
    roles: list[str]
    email: str
    name: str


class SessionSaid(Said):
    """A session; `csrfToken` goes with each write, and is null for a bearer token, which needs none."""

    principal: PrincipalSaid
    csrf_token: str | None
    demo: bool


class PasswordBody(Wire):
    """The password as it is, and as it is to be."""

    current: Annotated[str, Meta(min_length=1, max_length=passwords.MAX_CHARS)]
    new: Annotated[str, Meta(min_length=passwords.MIN_CHARS, max_length=passwords.MAX_CHARS)]


async def login(ask: Ask) -> Answer:
    """Sign in with e-mail and password; the answer sets the session cookie."""
    portal, body = ask.portal, ask.body
    _refuse_cross_site(ask.headers)
    passwords.refuse_demo_password(body.password, demo=portal.settings.demo)
    turns = _take_turns(ask, normal_email(body.email))
    asked_at_s = portal.clock.now_s()
    try:
        with anyio.fail_after(LOGIN_WAIT_S):
            found = await portal.members.by_email(body.email)
    except (Unavailable, Corrupt, TimeoutError) as fault:
        _give_back(ask, turns)
        raise Unavailable(
            "signing in needs the store, and it does not answer now",
            hint="Try again shortly. Whoever is signed in stays signed in, and their work is kept.",
        ) from fault
    try:
        who = await _proven(body.password, found)
    except Rejected:
        known = found.principal if found is not None else None
        portal.owed.refused(_orgs(known) if known else [None], known.user_id if known else "")
        raise
    _give_back(ask, turns)
    if found is not None and found.demo and not portal.settings.demo:
        raise Rejected(
            "this is a demo account, and this portal is no demo",
            code="demo_only",
            hint="Sign in with an account of your own, or start the portal in demo mode.",
        )
    if not who.orgs and not who.operator:
        raise Rejected(
            "this account belongs to no org",
            code="not_a_member",
            hint="Ask an admin of your school to add you.",
        )
    await _renew_hash(ask, body.password, found)
    # A password that was changed, or a membership that ended, while this was going on ends it too.
    token = portal.sessions.issue(who, asked_at_s)
    session_id = portal.sessions.verify(token).session_id
    portal.owed.add(_orgs(who), who.user_id, "session.begun", who.user_id, {})
    with anyio.move_on_after(NOTE_WAIT_S):
        await portal.owed.flush(portal.store)
    return _session(ask, msgspec.structs.replace(who, session_id=session_id), token)


async def session(ask: Ask) -> Answer:
    """Who is signed in, with a new CSRF token; an old cookie is renewed."""
    renewed: str | None = None
    if ask.me.via == "session":
        secure = ask.portal.settings.secure_cookies
        token = sessions.from_cookie_header(ask.headers.get("cookie", ""), secure=secure)
        renewed = ask.portal.sessions.renew_if_old(token, ask.me) if token else None
    return _session(ask, ask.me, renewed)


async def logout(ask: Ask) -> Answer:
    """Sign out: the session ends here at once, and in the store as soon as it answers."""
    portal = ask.portal
    if ask.me.via != "session":
        return Answer(None, status=204)
    portal.sessions.revoke(ask.me.session_id)
    portal.streams.recheck()
    await portal.ended.keep()
    with anyio.move_on_after(STORE_WAIT_S):
        await portal.ended.flush(portal.store)
    gone = sessions.clear_cookie(secure=portal.settings.secure_cookies)
    return Answer(None, status=204, headers=_NO_STORE, cookies=(gone,))


async def change_password(ask: Ask) -> Answer:
    """Change one's own password. All other sessions of the person end; this one goes on."""
    portal, body, who = ask.portal, ask.body, ask.me
    if who.via != "session":
        raise Rejected(
            "a token has no password", code="forbidden", hint="Sign in as the person to change it."
        )
    passwords.check_new_password(body.new, demo=portal.settings.demo)
    # Whoever found an open screen must not guess at the password any faster than at the door.
    turns = _take_turns(ask, normal_email(who.email))
    try:
        found = await portal.members.by_email(who.email)
    except (Unavailable, Corrupt):
        _give_back(ask, turns)
        raise
    stored = found.password_hash if found is not None and found.principal.user_id == who.user_id else None
    good = stored is not None and await anyio.to_thread.run_sync(
        passwords.verify_password, stored, body.current, limiter=_limiter()
    )
    if not good or stored is None:
        portal.owed.refused(_orgs(who), who.user_id)
        raise Rejected("the password you have now is another one", hint="An admin can set a new one.")
    _give_back(ask, turns)
    new = await anyio.to_thread.run_sync(passwords.hash_password, body.new, limiter=_limiter())

    def work(tx: Tx) -> None:
        if not set_password_hash(tx, who.user_id, stored, new):
            raise Conflict("the password was changed elsewhere just now", hint="Sign in with the newer one.")
        portal.sessions.end_person(tx, who.user_id, kept=who.session_id)
        for org in _orgs(who):
            note_for(tx, org, who.user_id, "password.changed", who.user_id, {})

    await portal.store.run(None, work)
    await portal.ended.flush(portal.store)
    portal.streams.recheck()
    return Answer(None, status=204, headers=_NO_STORE)


def _orgs(who: Principal) -> list[str | None]:
    """Whose audit an act on an account belongs to: each of the person's orgs, or the platform's."""
    return [one.org_id for one in who.orgs] or [None]


def _session(ask: Ask, who: Principal, token: str | None) -> Answer:
    said = SessionSaid(
        principal=PrincipalSaid(
            user_id=who.user_id,
            org_id=who.org,
            orgs=[OrgSaid(id=one.org_id, name=one.name, roles=list(one.roles)) for one in who.orgs],
            roles=list(who.roles_in(who.org)),
            email=who.email,
            name=who.name,
        ),
        csrf_token=ask.portal.csrf.issue(who.session_id) if who.via == "session" else None,
        demo=ask.portal.settings.demo,
    )
    secure = ask.portal.settings.secure_cookies
    cookies = () if token is None else (sessions.cookie(token, secure=secure),)
    return Answer(said, headers=_NO_STORE, cookies=cookies)


# Signing in, step by step


def _refuse_cross_site(headers: Mapping[str, str]) -> None:
    """Refuse login CSRF: a foreign page that signs its visitor in as somebody else.

    A browser's own word that the page is ours outweighs names, which a proxy may have changed.
    """
    site = headers.get("sec-fetch-site", "")
    if site in ("same-origin", "none"):
        return
    origin = headers.get("origin")
    if site == "cross-site" or (origin is not None and not _same_host(origin, headers.get("host", ""))):
        raise Rejected(
            "signing in works from the portal's own pages only",
            code="csrf_refused",
            hint="Open the portal itself and sign in there. Behind a proxy, let it pass the Host header on.",
        )


def _same_host(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
        other = urlsplit(f"{parts.scheme}://{host}")
        return parts.hostname == other.hostname and port == (
            other.port or {"https": 443, "http": 80}[parts.scheme]
        )
    except (ValueError, KeyError):
        return False


def _take_turns(ask: Ask, email: str) -> list[tuple[str, float]]:
    """Take a turn for the e-mail address and one for the network address, or refuse."""
    wanted = [(f"address {_network(_client(ask))}", ADDRESS_COST), (f"email {email}", 1.0)]
    taken: list[tuple[str, float]] = []
    for key, cost in wanted:
        wait_s = ask.portal.login_rate.take(key, cost)
        if wait_s > 0:
            _give_back(ask, taken)
            raise Rejected(
                "too many failed sign-ins in a short time",
                code="rate_limited",
                hint="Wait as long as Retry-After says, then try again.",
                retry_s=wait_s,
            )
        taken.append((key, cost))
    return taken


def _give_back(ask: Ask, turns: list[tuple[str, float]]) -> None:
    """Only wrong passwords count: a class that signs in at nine must not be held back."""
    for key, cost in turns:
        ask.portal.login_rate.give_back(key, cost)


def _client(ask: Ask) -> str:
    """Who signs in: the peer, or behind proxies whom the outermost of ours saw.

    What stands further left in X-Forwarded-For the asker may have written.
    """
    hops = ask.portal.settings.trusted_proxies
    seen = ask.headers.get("x-forwarded-for", "").split(",")
    if not hops or len(seen) < hops:
        return ask.client
    try:
        return str(ipaddress.ip_address(seen[-hops].strip()))
    except ValueError:
        return ask.client


def _network(client: str) -> str:
    """An address, or for IPv6 the /64 it is in: whoever has one address there has them all."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return client


async def _proven(password: str, found: Login | None) -> Principal:
    """Who it is; the same words and the same work whether the e-mail or the password is wrong."""
    stored = found.password_hash if found is not None and found.active else None
    work = (
        partial(passwords.verify_nobody, password)
        if stored is None
        else partial(passwords.verify_password, stored, password)
    )
    good = await anyio.to_thread.run_sync(work, limiter=_limiter())
    if found is None or not good:
        raise Rejected(
            "e-mail and password do not belong together",
            code="wrong_credentials",
            hint="Check both; an admin of your school can set a new password.",
        )
    return found.principal


async def _renew_hash(ask: Ask, password: str, found: Login | None) -> None:
    """Bring an old hash to today's cost. Best effort: the old one goes on working."""
    if found is None or found.password_hash is None or not passwords.needs_rehash(found.password_hash):
        return
    new = await anyio.to_thread.run_sync(passwords.hash_password, password, limiter=_limiter())
    change = partial(set_password_hash, user_id=found.principal.user_id, old=found.password_hash, new=new)
    with anyio.move_on_after(STORE_WAIT_S):
        try:
            await ask.portal.store.run(None, change)
        except (Unavailable, Corrupt):
            return  # the next sign-in tries again


def _limiter() -> anyio.CapacityLimiter:
    limiter = _hashing.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(HASHERS)
        _hashing.set(limiter)
    return limiter


CALLS: Final = (
    Call(
        "POST",
        "/api/auth/login",
        login,
        "public",
        SessionSaid,
        "Sign in",
        body=LoginBody,
        limit_bytes=16 << 10,
    ),
    Call("GET", "/api/auth/session", session, "session.read", SessionSaid, "Who is signed in"),
    Call("POST", "/api/auth/logout", logout, "session.end", None, "Sign out", status=204),
    Call(
        "POST",
        "/api/auth/password",
        change_password,
        "password.change",
        None,
        "Change your password; your other sessions end",
        body=PasswordBody,
        status=204,
        limit_bytes=16 << 10,
    ),
)
