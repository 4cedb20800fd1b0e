"""Health as each kind of caller may know it: one document per audience, built once for all of them.

`/api/health` and the stream tell the same documents, so that a number means the same in both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import structlog

from holdfast.access.principal import Principal
from holdfast.core.clock import Clock
from holdfast.feed.port import Feed, Told

log = structlog.get_logger(__name__)

TICK_S: Final = 1.0
"""Numbers that move all the time, such as lag, are told once a second."""
FRESH_S: Final = 0.1
"""A request is answered from a document of this age: asking often costs nothing but the answer."""
ASKED_S: Final = 30.0
"""Whom nobody asked about for so long, and nobody follows, is not built."""
FLAGS_S: Final = 10.0
"""For so long somebody's features are not asked for again."""
MOST_KNOWN: Final = 20_000
AT_ONCE: Final = 50
"""So many documents are built before others get a turn."""


Facts = TypeVar("Facts")


class Audience(NamedTuple):
    """Who hears the same: strangers, an org's members, operators (of all, or looking at one org)."""

    kind: Literal["stranger", "member", "operator"]
    org: str | None
    flags: tuple[tuple[str, bool], ...] = ()
    """The features and whether they are on: people of one org may differ in those."""

    @property
    def topic(self) -> str:
        """The feed's name for it."""
        on = ",".join(name for name, is_on in self.flags if is_on)
        return f"health/{self.kind}/{self.org or ''}/{on}"


STRANGERS: Final = Audience("stranger", None)


class Audiences:
    """Which audience a caller belongs to."""

    def __init__(self, flags: Callable[[Principal], Mapping[str, bool]], clock: Clock) -> None:
        """`flags` answers which features are on for whom; asked once in a while for each."""
        self._flags = flags
        self._clock = clock
        self._known: dict[tuple[str, str | None], tuple[float, Audience]] = {}

    def of(self, who: Principal | None) -> Audience:
        """Theirs."""
        if who is None:
            return STRANGERS
        now_s = self._clock.ticks_s()
        known = self._known.get((who.user_id, who.org))
        kind: Literal["member", "operator"] = "operator" if who.operator else "member"
        if known is not None and now_s < known[0] and known[1].kind == kind:
            return known[1]
        found = Audience(kind, who.org, tuple(sorted(self._flags(who).items())))
        self._known.pop((who.user_id, who.org), None)
        self._known[who.user_id, who.org] = (now_s + FLAGS_S, found)
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return found


class Telling(Generic[Facts]):
    """Keeps the documents of those who listen or ask up to date in the feed."""

    def __init__(
        self,
        feed: Feed,
        clock: Clock,
        facts: Callable[[], Facts],
        build: Callable[[Audience, Facts], dict[str, Any]],
    ) -> None:
        """`facts` gathers a moment's numbers, `build` makes an audience's document of them; from memory."""
        self._feed = feed
        self._clock = clock
        self._facts = facts
        self._build = build
        self.fresh_s = FRESH_S
        self._held: tuple[float, Facts] | None = None
        """This turn's numbers and when they were gathered: one gathering serves a beat's hundreds of topics,
        and requests that pile up. Who was answered before they ask never gets numbers of before that."""
        self._built_s: dict[Audience, float] = {}
        self._asked_s: dict[Audience, float] = {}
        self._changed = asyncio.Event()

    def now(self, whom: Audience) -> Told:
        """An audience's document, a tenth of a second old at most."""
        now_s = self._clock.ticks_s()
        self._asked_s[whom] = now_s
        if now_s - self._built_s.get(whom, float("-inf")) < self.fresh_s:
            told = self._feed.now(whom.topic)
            if told is not None:
                return told
        if self._held is None or now_s - self._held[0] >= self.fresh_s:
            self._held = (now_s, self._facts())
            asyncio.get_running_loop().call_soon(self._let_go)
        return self._publish(whom, self._held[1])

    def _let_go(self) -> None:
        self._held = None

    def changed(self) -> None:
        """The verdict is another: tell everybody now, not with the next tick. Event loop only."""
        self._held = None
        self._built_s.clear()
        self._changed.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self.tell()
            except Exception:
                # A fault of ours must not end the news for good; what is asked for is still answered.
                log.exception("health could not be told")
            try:
                async with asyncio.timeout(TICK_S):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def tell(self) -> None:
        """Bring every document that somebody wants up to date."""
        now_s, facts = self._clock.ticks_s(), self._facts()
        for number, (whom, asked_s) in enumerate(list(self._asked_s.items())):
            if now_s - asked_s > ASKED_S and not self._feed.readers(whom.topic):
                del self._asked_s[whom]
                self._built_s.pop(whom, None)
                self._feed.release(whom.topic)
                continue
            self._publish(whom, facts)
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)

    def _publish(self, whom: Audience, facts: Facts) -> Told:
        self._built_s[whom] = self._clock.ticks_s()
        return self._feed.publish(whom.topic, self._build(whom, facts), QUIET)


QUIET: Final = frozenset({"observedAt"})
"""When something was looked at is no news by itself; the stream's beat tells it."""
