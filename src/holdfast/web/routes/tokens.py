"""Service tokens: made, listed, revoked one by one."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Annotated, Final, Literal

import anyio
from msgspec import Meta
from sqlalchemy import select

from holdfast.access import token_list
from holdfast.access.audit import note_for
from holdfast.core.clock import rfc3339
from holdfast.core.errors import HoldfastError, Rejected
from holdfast.core.ids import uuid7
from holdfast.store.port import Tx
from holdfast.store.schema import orgs
from holdfast.web.calls import Answer, Ask, Call, Said, Wire

REVOKE_WAIT_S: Final = 2.0
"""How long a revocation waits for the store before it leaves the writing for later."""
_DAY_S: Final = 86_400
_NO_STORE: Final = {"cache-control": "no-store"}

OrgId = Annotated[str, Meta(min_length=1, max_length=64)]


class TokenBody(Wire):
    """What token is wanted."""

    role: Literal["service"]
    org_id: OrgId
    ttl_days: Annotated[int, Meta(ge=1, le=365)] = 90


class TokenSaid(Said):
    """A token, shown this once; `id` is what it is listed and revoked by."""

    id: str
    token: str
    expires_at: Annotated[datetime, Meta(tz=True)]


class TokenRow(Said):
    """A token on the list; `lastUsedAt` is good to a minute, and both may be null."""

    id: str
    org_id: str
    made_by: str
    made_at: str
    expires_at: str
    last_used_at: str | None
    revoked_at: str | None


class TokenRows(Said):
    """Service tokens that have not expired, the newest first."""

    items: list[TokenRow]


class TokensOf(Wire):
    """Of which org; of all if none is named."""

    org_id: OrgId | None = None


class Revoked(Said):
    """A token that counts no more. `listed` says whether it was on the list.

    What an earlier version or an operator at the command line made is not, and is revoked all the same;
    while the store is out nobody can say, and it is null.
    """

    id: str
    listed: bool | None


async def mint(ask: Ask) -> Answer:
    """Make a service token for an org. It is listed and noted in the audit, and kept nowhere."""
    portal, body, actor = ask.portal, ask.body, ask.me.user_id
    token_id = uuid7()
    token = portal.tokens.mint(body.role, body.org_id, ttl_s=body.ttl_days * _DAY_S, token_id=token_id)
    expires_at_s = portal.tokens.expires_at_s(token)

    def work(tx: Tx) -> None:
        if not tx.rows(select(orgs.c.id).where(orgs.c.id == body.org_id)):
            raise Rejected(
                "there is no org with this orgId", code="not_found", hint="Give the org's id, not its slug."
            )
        now_s = portal.clock.now_s()
        token_list.enter(tx, token_id, org=body.org_id, by=actor, at_s=now_s, expires_at_s=expires_at_s)
        details = {"role": body.role, "ttlDays": body.ttl_days}
        note_for(tx, body.org_id, actor, "token.minted", token_id, details)

    await portal.store.run(None, work)
    expires_at = datetime.fromisoformat(rfc3339(expires_at_s))
    return Answer(TokenSaid(id=token_id, token=token, expires_at=expires_at), status=201, headers=_NO_STORE)


async def listing(ask: Ask) -> TokenRows:
    """The tokens, when each was last used, and which were revoked."""
    portal, org = ask.portal, ask.query.org_id
    now_s, used = portal.clock.now_s(), dict(portal.tokens.used)
    found = await portal.store.read(None, lambda tx: token_list.listed(tx, now_s, used, org))
    return TokenRows(items=[TokenRow(**one._asdict()) for one in found])


async def revoke(ask: Ask) -> Revoked:
    """Let one token count no more: here at once, also while the store is out."""
    portal, token_id = ask.portal, ask.path["token_id"]
    portal.tokens.revoke(token_id)
    portal.streams.recheck()
    await portal.ended.keep()
    org: str | None = None
    listed: bool | None = None
    with anyio.move_on_after(REVOKE_WAIT_S), contextlib.suppress(HoldfastError):
        await portal.ended.flush(portal.store)
        org = await portal.store.read(None, lambda tx: token_list.org_of(tx, token_id))
        listed = org is not None
    portal.owed.add([org], ask.me.user_id, "token.revoked", token_id, {})
    with anyio.move_on_after(REVOKE_WAIT_S):
        await portal.owed.flush(portal.store)
    return Revoked(id=token_id, listed=listed)


CALLS: Final = (
    Call(
        "POST", "/api/admin/tokens", mint, "token.mint", TokenSaid, "Make a service token for an org",
        body=TokenBody, status=201,
    ),
    Call(
        "GET", "/api/admin/tokens", listing, "token.read", TokenRows,
        "Service tokens: for which org, by whom, last used, revoked", query=TokensOf,
    ),
    Call(
        "DELETE", "/api/admin/tokens/{token_id}", revoke, "token.revoke", Revoked,
        "Revoke one token at once, also while the store is out",
    ),
)  # fmt: skip
