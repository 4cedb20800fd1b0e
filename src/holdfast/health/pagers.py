"""Who is told of an alarm: PagerDuty by its Events API v2, everybody else through apprise."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

import apprise
import httpx2
import structlog

from holdfast.core.errors import Misconfigured
from holdfast.health.alarm_book import Entry
from holdfast.settings import Settings

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 10.0
KEY_CHARS: Final = 255
_REFUSED: Final = 400


class Pager(Protocol):
    """One receiver."""

    @property
    def name(self) -> str:
        """Stable over restarts: what was told is remembered by it."""
        ...

    async def tell(self, entry: Entry) -> bool:
        """Whether they took it; False means try again. What they will never take counts as taken."""
        ...


class PagerDuty:
    """PagerDuty's Events API v2. The key makes sending it twice one incident."""

    name = "pagerduty"

    def __init__(self, routing_key: str, url: str, source: str) -> None:
        """`source`: which portal speaks."""
        self._routing_key = routing_key
        self._url = url
        self._source = source

    async def tell(self, entry: Entry) -> bool:
        """Trigger or resolve."""
        body: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": entry.act,
            "dedup_key": f"{self._source}/{entry.key}"[:KEY_CHARS],
        }
        if entry.act == "trigger":
            body["payload"] = {
                "summary": entry.summary[:1024],
                "source": self._source,
                "severity": "critical" if entry.severity == "page" else "warning",
                "timestamp": entry.at,
                "component": entry.component,
                "group": entry.org,
                "class": entry.rule,
                "custom_details": {"runbook": entry.runbook},
            }
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
                answer = await client.post(self._url, json=body)
        except httpx2.HTTPError as fault:
            log.warning("pagerduty was not reached", fault=type(fault).__name__)
            return False
        if answer.status_code == _REFUSED:
            # It will never take this one; those behind it must not wait for ever.
            log.error("pagerduty refuses an alarm", key=entry.key, said=answer.text[:500])
            return True
        return answer.is_success


class Apprise:
    """Anything apprise knows: e-mail, chat. It has no keys, so a message may come twice after a crash."""

    def __init__(self, url: str, name: str, source: str) -> None:
        """`url`: as apprise reads it. Raises ValueError where it can't."""
        self.name = name
        self._source = source
        self._told = apprise.Apprise()
        if not self._told.add(url):
            raise ValueError("apprise does not know that kind of address")

    async def tell(self, entry: Entry) -> bool:
        """Send a message."""
        over = entry.act == "resolve"
        title = f"{'Over' if over else 'Holdfast'}: {entry.summary}"
        body = f"{entry.rule} {entry.component} {entry.org}\n{self._source}, {entry.at}\n{entry.runbook}"
        kind = apprise.NotifyType.SUCCESS if over else apprise.NotifyType.FAILURE
        return await _by_itself(
            lambda: bool(self._told.notify(body=body, title=title, notify_type=kind)), self.name
        )


async def _by_itself(work: Callable[[], bool], name: str) -> bool:
    """What `work` answers, from a thread that nobody waits for at the end.

    apprise blocks: a mail server that takes a connection and says nothing must not keep the portal from
    stopping, as it would in a thread of the loop's own. The entry stays owed.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def settle(said: bool, fault: Exception | None) -> None:  # noqa: FBT001
        if answer.done():
            return
        if fault is None:
            answer.set_result(said)
        else:
            answer.set_exception(fault)

    def run() -> None:
        said, fault = False, None
        try:
            said = work()
        except Exception as caught:  # noqa: BLE001 - it is raised where somebody waits
            fault = caught
        with contextlib.suppress(RuntimeError):  # the loop is closed: the portal has stopped
            loop.call_soon_threadsafe(settle, said, fault)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer


def pagers_for(settings: Settings) -> list[Pager]:
    """The receivers that settings name. Raises Misconfigured for an address that can't be read."""
    pagers: list[Pager] = []
    source = settings.portal_name
    if settings.pagerduty_key:
        pagers.append(PagerDuty(settings.pagerduty_key, settings.pagerduty_url, source))
    addresses = (settings.alarm_urls or "").split()
    for number, address in enumerate(addresses, start=1):
        if address in addresses[: number - 1]:
            continue
        # Not by its place, which another may take, and not by itself: it may hold a password.
        name = f"apprise {hashlib.sha256(address.encode()).hexdigest()[:8]}"
        try:
            pagers.append(Apprise(address, name, source))
        except ValueError as fault:
            raise Misconfigured(f"HOLDFAST_ALARM_URLS, address {number}: {fault}") from None
    return pagers
