"""Do live changes reach those who listen?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from holdfast.feed.port import Feed
from holdfast.health.probe import Outcome

TOPIC: Final = "probe"
FULL: Final = 0.95
"""From this share of the streams there may be, newcomers will soon be asked to poll."""


class FeedProbe:
    """Publishes to itself, and looks at how many streams there are of those there may be."""

    part = "feed"
    lines = ("told", "places")
    deadline_s = 1.0
    votes = (1, 1)

    def __init__(self, feed: Feed, places: Callable[[], tuple[int, int]], period_s: float) -> None:
        """`places` gives how many streams there are, and how many there may be."""
        self._feed = feed
        self._places = places
        self._heard = 0
        self._count = 0
        self.period_s = period_s

    def deliver(self, frame: bytes) -> None:
        """Hear one's own."""
        self._heard += bool(frame)

    def evidence(self) -> Iterable[Outcome]:
        """How many places are left."""
        open_, most = self._places()
        if open_ < FULL * most:
            return [Outcome("places", "ok")]
        return [Outcome("places", "degraded", f"{open_} of {most} streams are open: newcomers poll")]

    async def ask(self) -> Iterable[Outcome]:
        """Publish, and hear it."""
        if self._feed.now(TOPIC) is None:
            self._feed.publish(TOPIC, {"count": 0})
            self._feed.join(TOPIC, self)
        before = self._heard
        self._count += 1
        self._feed.publish(TOPIC, {"count": self._count})
        if self._heard == before + 1:
            return [Outcome("told", "ok")]
        return [Outcome("told", "down", "a change was published and nobody heard it")]

    def latency_ms(self) -> tuple[float | None, float | None]:
        """None."""
        return None, None
