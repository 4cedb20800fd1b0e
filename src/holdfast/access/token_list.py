"""The list of service tokens: what each is for and when it was last used, without the tokens themselves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import delete, insert, or_, select, update

from holdfast.access import endings
from holdfast.access.tokens import Tokens
from holdfast.core.clock import Clock, rfc3339
from holdfast.core.errors import Corrupt, Unavailable
from holdfast.store.port import Store, Tx
from holdfast.store.schema import endings as ended
from holdfast.store.schema import service_tokens

EVERY_S: Final = 60.0
"""How often uses are written down."""
MOST: Final = 1_000


class Listed(NamedTuple):
    """One token; times are RFC 3339 UTC."""

    id: str
    org_id: str
    made_by: str
    made_at: str
    expires_at: str
    last_used_at: str | None
    revoked_at: str | None


def enter(tx: Tx, token_id: str, *, org: str, by: str, at_s: float, expires_at_s: float) -> None:
    """Put a token that is being made on the list; let go of those that have expired."""
    tx.run(delete(service_tokens).where(service_tokens.c.expires_at <= rfc3339(at_s)))
    row = {"id": token_id, "org_id": org, "made_by": by, "made_at": rfc3339(at_s)}
    tx.run(insert(service_tokens).values(**row, expires_at=rfc3339(expires_at_s)))


def org_of(tx: Tx, token_id: str) -> str | None:
    """The org a listed token acts in; None for one that is not on the list."""
    rows = tx.rows(select(service_tokens.c.org_id).where(service_tokens.c.id == token_id))
    return rows[0].org_id if rows else None


def listed(tx: Tx, now_s: float, used: Mapping[str, float], org: str | None = None) -> list[Listed]:
    """Tokens that have not expired, the newest first, at most 1,000; of one org if it is named.

    `used`: uses that are not written down yet, as `Tokens.used` has them.
    """
    revoked = ended.c.what == endings.token("") + service_tokens.c.id
    asked = (
        select(service_tokens, ended.c.ended_at)
        .join(ended, revoked, isouter=True)
        .where(service_tokens.c.expires_at > rfc3339(now_s))
        .order_by(service_tokens.c.made_at.desc(), service_tokens.c.id)
        .limit(MOST)
    )
    if org is not None:
        asked = asked.where(service_tokens.c.org_id == org)
    return [
        Listed(
            row.id,
            row.org_id,
            row.made_by,
            row.made_at,
            row.expires_at,
            rfc3339(used[row.id]) if row.id in used else row.last_used_at,
            row.ended_at,
        )
        for row in tx.rows(asked)
    ]


class Uses:
    """Writes uses down once a minute."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock
        self._written_at_s = clock.ticks_s()

    async def flush(self, store: Store, *, now: bool = False) -> None:
        """Write them if a minute is over, or `now`; what can't be written is kept for the next time."""
        ticks = self._clock.ticks_s()
        used = self._tokens.used
        if not used or not (now or ticks - self._written_at_s >= EVERY_S):
            return
        self._written_at_s = ticks
        self._tokens.used = {}
        try:
            await store.run(None, partial(_write_uses, used=used))
        except (Unavailable, Corrupt):
            self._tokens.used = {**used, **self._tokens.used}


def _write_uses(tx: Tx, used: Mapping[str, float]) -> None:
    for token_id, at_s in used.items():
        at = rfc3339(at_s)
        older = or_(service_tokens.c.last_used_at.is_(None), service_tokens.c.last_used_at < at)
        this = (service_tokens.c.id == token_id) & older
        tx.run(update(service_tokens).where(this).values(last_used_at=at))
