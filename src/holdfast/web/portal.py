"""A portal's parts, as routes see them. `wiring.py` builds one; nothing else does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from holdfast.core.clock import Clock, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from holdfast.access.csrf import Csrf
    from holdfast.access.endings import Endings
    from holdfast.access.flags import Flags
    from holdfast.access.members import Members
    from holdfast.access.owed import Owed
    from holdfast.access.rate import RateLimit
    from holdfast.access.sessions import Sessions
    from holdfast.access.tokens import Tokens
    from holdfast.events.applier import Applier
    from holdfast.events.backlog import Backlog
    from holdfast.events.envelope import Judge
    from holdfast.events.erasing import Eraser
    from holdfast.events.intake import Intake
    from holdfast.events.kind import Kind
    from holdfast.events.replayer import Replayer
    from holdfast.events.reported import ReportedQueues
    from holdfast.feed.port import Feed
    from holdfast.health.alarm_book import AlarmBook
    from holdfast.health.alarms import Alarms
    from holdfast.health.metrics import Metrics
    from holdfast.health.monitor import Monitor
    from holdfast.health.probes.deadletters import Letters
    from holdfast.journal.port import Journal
    from holdfast.settings import Settings
    from holdfast.store.port import Store
    from holdfast.web.streams import Streams
    from holdfast.web.telling import Audiences, Telling

BACKLOG_LIMIT = 50
"""Bulk work waits while an org has more events than this waiting."""


@dataclass
class Portal:
    """Everything a handler may call."""

    settings: Settings
    clock: Clock
    store: Store
    journal: Journal
    kinds: tuple[Kind, ...]
    judge: Judge
    intake: Intake
    open_letters: Callable[[], dict[str, Letters]]
    applier: Applier
    replayer: Replayer
    eraser: Eraser
    file_store: Callable[[Path], Store]
    waiting: Backlog
    ended: Endings
    owed: Owed
    sessions: Sessions
    csrf: Csrf
    tokens: Tokens
    members: Members
    reported: ReportedQueues
    login_rate: RateLimit
    batch_rate: RateLimit
    monitor: Monitor
    feed: Feed
    metrics: Metrics
    alarm_book: AlarmBook
    flags: Flags
    alarms: Alarms = field(init=False)
    audiences: Audiences = field(init=False)
    telling: Telling[Any] = field(init=False)
    streams: Streams = field(init=False)
    draining: bool = False
    requests_under_way: int = field(default=0)

    def now(self) -> str:
        """The time, RFC 3339 UTC."""
        return rfc3339(self.clock.now_s())

    def data_as_of(self, org: str | None) -> str:
        """How fresh what the store shows of an org is: now, or since when events of it wait."""
        if org is not None and self.waiting.known and self.waiting.of(org) == 0:
            return self.now()
        return rfc3339(self.clock.now_s() - self.waiting.lag_ms() / 1000)

    def backlog(self, org: str) -> int:
        """How many of an org's events are durable and not yet applied."""
        return self.waiting.of(org)

    async def applied(self, org: str, event_id: str, timeout_s: float) -> bool:
        """Wait until an event that was just taken in is settled by the applier; whether it is."""
        known = self.intake.position(org, event_id)
        if known is None:
            return False
        lane, position = known
        return await self.applier.reached(lane, position, timeout_s)
