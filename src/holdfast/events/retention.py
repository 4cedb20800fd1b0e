"""Sealed segments beyond the replay window go to the archive, once nothing can need them at hand.

A segment stays while a lane has not finished it, and all of them while a replay or an erasure is open.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from sqlalchemy import func, select

from holdfast.core.clock import Clock, rfc3339
from holdfast.core.errors import HoldfastError
from holdfast.core.log import COUNT
from holdfast.events.applier import Applier
from holdfast.events.kind import LANES
from holdfast.events.replay import open_orgs
from holdfast.journal.port import Journal
from holdfast.store import schema
from holdfast.store.port import Store, Tx

log = structlog.get_logger(__name__)

LOOK_S: Final = 3600.0
AGAIN_S: Final = 5.0
"""When it is tried again while the store or the disk refuses, or the applier has not begun."""
DAY_S: Final = 86_400.0


class Retention:
    """Archives what is old, now and then."""

    def __init__(
        self, journal: Journal, store: Store, applier: Applier, *, clock: Clock, days: int | None
    ) -> None:
        """`days`: how long a sealed segment stays at hand; None leaves all of them where they are."""
        self._engine: Any = journal
        self._store = store
        self._applier = applier
        self._clock = clock
        self._days = days

    async def run(self) -> None:
        """Look once an hour, until cancelled; a journal that closes ends what is under way at a safe step."""
        while self._days is not None:
            wait_s = LOOK_S
            try:
                await self.turn()
            except HoldfastError as later:
                log.debug("archiving waits", reason=later.message)
                wait_s = AGAIN_S
            except Exception:
                # A fault of ours must not end this for good; it is loud and tried again.
                log.exception("archiving failed")
            await asyncio.sleep(wait_s)

    async def turn(self) -> list[str]:
        """Archive what may go; the names of those segments. Raises Unavailable: nothing is lost then."""
        if self._days is None or not hasattr(self._engine, "archive"):
            return []
        if await self._store.read(None, _is_busy):
            return []
        held = await self._applier.keep_cursors()
        through = min(held.get(lane, 0) for lane in LANES)
        before = rfc3339(self._clock.now_s() - self._days * DAY_S)
        done: list[str] = await asyncio.to_thread(self._engine.archive, before, through)
        if done:
            log.info("segments archived", **{COUNT: len(done)})
        return done


def _is_busy(tx: Tx) -> bool:
    """Whether a replay or an erasure is open."""
    table = schema.erasures
    # JSON null is not SQL's: a receipt that is not there yet may be either.
    unfinished = select(func.count()).select_from(table).where(table.c.user_id.is_not(None))
    return bool(open_orgs(tx)) or tx.rows(unfinished)[0][0] > 0
