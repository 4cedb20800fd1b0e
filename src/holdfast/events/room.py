"""Marks on free disk space: analytics wait first, progress last."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.core.clock import Clock
from holdfast.core.errors import Unavailable
from holdfast.journal.port import Journal
from holdfast.settings import Settings


def marks_on_room(settings: Settings, journal: Journal, clock: Clock) -> Callable[[str], Unavailable | None]:
    """Watermarks on free space, looked at once a second at most."""
    looked_at_s = -10.0
    free: int | None = None

    def room(lane: str) -> Unavailable | None:
        nonlocal looked_at_s, free
        now_s = clock.ticks_s()
        if now_s - looked_at_s >= 1.0:
            looked_at_s, free = now_s, journal.stats().free_bytes
        if free is None or free >= settings.disk_soft_bytes:
            return None
        words = f"{free >> 20} MiB are free on the journal's volume"
        if free < settings.disk_hard_bytes:
            return Unavailable(words, code="disk_full", retry_s=60.0)
        if lane == "analytics":
            code = "disk_nearly_full" if free < settings.disk_high_bytes else "analytics_paused"
            return Unavailable(words, code=code, retry_s=60.0)
        return None

    return room
