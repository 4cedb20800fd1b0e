"""What the store knows of a person now: a session's facts, kept fresh and kept through outages.

A session carries its facts in its cookie, so that it works without the store. Here they are read
again every `ttl_s`, so that somebody who was removed is out within that time. When the store can't
answer, the last known facts stand, and the records sent meanwhile are checked again when applied.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, NamedTuple, cast

import msgspec
from sqlalchemy import select, update

from holdfast.access.principal import Membership, Principal, Role
from holdfast.core.clock import Clock
from holdfast.core.errors import Corrupt, Rejected, Unavailable
from holdfast.store.port import Store, Tx
from holdfast.store.schema import memberships, orgs, users

WAIT_S: Final = 2.0
"""How long a request waits for the facts before it goes on with those at hand."""
PAUSE_S: Final = 5.0
"""How long after a failed read nobody else tries: an outage must not cost each request a wait."""


class Facts(NamedTuple):
    """A person as the store knows them."""

    name: str
    email: str
    orgs: tuple[Membership, ...]
    operator: bool
    active: bool


class Login(NamedTuple):
    """What signing in needs to know of a person."""

    principal: Principal
    password_hash: str | None
    active: bool
    demo: bool


class _Read(NamedTuple):
    """Facts, and when they were read (the clock's ticks). None: there is no such person."""

    facts: Facts | None
    at_s: float


class Members:
    """Membership facts by user, remembered for `ttl_s`; for one event loop.

    `limit`: how many users are remembered; the one read longest ago goes first.
    """

    def __init__(self, store: Store, clock: Clock, ttl_s: float = 30.0, limit: int = 50_000) -> None:
        self._store = store
        self._clock = clock
        self._ttl_s = ttl_s
        self._limit = limit
        self._known: dict[str, _Read] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._paused_until_s = float("-inf")
        self.kept = 0
        """How often old facts stood because the store gave no new ones."""

    def cached(self, principal: Principal) -> Principal | None:
        """The principal with fresh facts, at the price of a look-up; None when `refresh` must be asked."""
        if principal.via == "bearer" and (principal.service or principal.operator):
            return principal  # a machine: its facts are its token
        known = self._known.get(principal.user_id)
        now = self._clock.ticks_s()
        if known is None:
            return self._keep(principal) if now < self._paused_until_s else None
        if known.facts is None or not known.facts.active:
            return None
        if now - known.at_s < self._ttl_s:
            return _merged(principal, known.facts)
        return self._keep(_merged(principal, known.facts)) if now < self._paused_until_s else None

    def left(self, user_id: str, org: str) -> bool:
        """Whether somebody is known, from memory, to be no member of an org now; never waits."""
        known = self._known.get(user_id)
        if known is None:
            return False
        facts = known.facts
        return facts is None or not facts.active or all(own.org_id != org for own in facts.orgs)

    async def refresh(self, principal: Principal) -> Principal:
        """The principal with facts no older than `ttl_s`, or the last known if the store can't say.

        Many may ask for one user at once: one read is made. `org` is the first of the fresh ones
        unless the old one is still among them. Raises Rejected `not_signed_in` when the person is
        gone or no longer active; that stands through an outage too.
        """
        found = self.cached(principal)
        if found is not None:
            return found
        user_id = principal.user_id
        known = self._known.get(user_id)
        now = self._clock.ticks_s()
        if now >= self._paused_until_s and (known is None or now - known.at_s >= self._ttl_s):
            read = self._reading.get(user_id)
            if read is None:
                read = self._reading[user_id] = asyncio.create_task(self._read(user_id))
            # The read belongs to all who wait for it, so nobody's time-out may end it.
            done, _ = await asyncio.wait([read], timeout=WAIT_S)
            if read in done:
                read.result()
            else:
                self._pause()
            known = self._known.get(user_id)
        if known is None:
            return self._keep(principal)
        if known.facts is None or not known.facts.active:
            raise Rejected(
                "this account is closed", code="not_signed_in", hint="Ask an admin of your school to open it."
            )
        merged = _merged(principal, known.facts)
        fresh = self._clock.ticks_s() - known.at_s < self._ttl_s
        return merged if fresh else self._keep(merged)

    async def by_email(self, email: str) -> Login | None:
        """Who signs in with an e-mail address; None when nobody does. Always asks the store.

        Raises what the store raises: signing in can't do without it.
        """
        login = await self._store.read(None, partial(login_of, email=normal_email(email)))
        if login is not None:
            who = login.principal
            self._note(who.user_id, Facts(who.name, who.email, who.orgs, who.operator, login.active))
        return login

    def learn(self, tx: Tx, user_id: str) -> None:
        """Know of a change of a person's facts from its commit on, and not only when they grow old.

        Called in the unit of work that made it.
        """
        facts = facts_of(tx, user_id)
        tx.on_commit(lambda: self._note(user_id, facts))

    def _keep(self, principal: Principal) -> Principal:
        self.kept += 1
        return principal

    async def _read(self, user_id: str) -> None:
        began_s = self._clock.ticks_s()
        try:
            facts = await self._store.read(None, partial(facts_of, user_id=user_id))
        except (Unavailable, Corrupt):
            # Translated into a pause: the facts at hand stand, and `kept` counts it.
            self._pause()
        else:
            known = self._known.get(user_id)
            if known is None or known.at_s <= began_s:
                self._note(user_id, facts)
            # else somebody changed them meanwhile, and what was read may be from before
        finally:
            del self._reading[user_id]

    def _pause(self) -> None:
        self._paused_until_s = self._clock.ticks_s() + PAUSE_S

    def _note(self, user_id: str, facts: Facts | None) -> None:
        self._known.pop(user_id, None)
        if len(self._known) >= self._limit:
            del self._known[next(iter(self._known))]
        self._known[user_id] = _Read(facts, self._clock.ticks_s())


def _merged(principal: Principal, facts: Facts) -> Principal:
    same = (
        principal.orgs == facts.orgs
        and principal.operator == facts.operator
        and principal.name == facts.name
        and principal.email == facts.email
    )
    if same:
        return principal
    ids = [one.org_id for one in facts.orgs]
    org = principal.org if principal.org in ids else next(iter(ids), None)
    return msgspec.structs.replace(
        principal, name=facts.name, email=facts.email, orgs=facts.orgs, operator=facts.operator, org=org
    )


def normal_email(text: str) -> str:
    """The one spelling of an e-mail address that is stored and looked up."""
    return text.strip().lower()


# Units of work; unbound, because a person belongs to more than one org


def facts_of(tx: Tx, user_id: str) -> Facts | None:
    """A person's facts by id; None when there is no such person."""
    rows = tx.rows(select(users).where(users.c.id == user_id))
    if not rows:
        return None
    row = rows[0]
    return Facts(row.name, row.email, _orgs_of(tx, user_id), row.operator, row.active)


def login_of(tx: Tx, email: str) -> Login | None:
    """What signing in needs, by `normal_email`; None when nobody has the address."""
    rows = tx.rows(select(users).where(users.c.email == email))
    if not rows:
        return None
    row = rows[0]
    own = _orgs_of(tx, row.id)
    principal = Principal(
        user_id=row.id,
        name=row.name,
        email=row.email,
        orgs=own,
        operator=row.operator,
        org=own[0].org_id if own else None,
    )
    return Login(principal, row.password_hash, row.active, row.demo)


def set_password_hash(tx: Tx, user_id: str, old: str, new: str) -> bool:
    """Put a new hash in the place of an old one; False when another was faster."""
    change = update(users).where(users.c.id == user_id, users.c.password_hash == old)
    return tx.run(change.values(password_hash=new)) == 1


def _orgs_of(tx: Tx, user_id: str) -> tuple[Membership, ...]:
    """The person's active memberships, the oldest first; admin before learner in each."""
    found = (
        select(memberships.c.org_id, memberships.c.role, orgs.c.name)
        .join(orgs, orgs.c.id == memberships.c.org_id)
        .where(memberships.c.user_id == user_id, memberships.c.active)
        .order_by(memberships.c.created_at, memberships.c.org_id, memberships.c.role)
    )
    names: dict[str, str] = {}
    roles: dict[str, list[Role]] = {}
    for row in tx.rows(found):
        names[row.org_id] = row.name
        roles.setdefault(row.org_id, []).append(cast("Role", row.role))
    return tuple(Membership(org, names[org], tuple(sorted(own))) for org, own in roles.items())
