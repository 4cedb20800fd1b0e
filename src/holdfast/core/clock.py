"""Clocks: the system's, and one that tests move by hand. Times are UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """What time it is (`now_s`, seconds since 1970) and how much has passed (`ticks_s`)."""

    def now_s(self) -> float:
        """Seconds since 1970 UTC; may jump when the machine's clock is set."""
        ...

    def ticks_s(self) -> float:
        """Seconds of a clock that never jumps; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_s(self) -> float:
        """Seconds since 1970 UTC."""
        return time.time()

    def ticks_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start_s: float = 1_790_000_000.0) -> None:
        self._now_s = start_s
        self._ticks_s = 0.0

    def now_s(self) -> float:
        """Seconds since 1970 UTC."""
        return self._now_s

    def ticks_s(self) -> float:
        """Monotonic seconds."""
        return self._ticks_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_s += seconds
        self._ticks_s += seconds


@lru_cache(maxsize=64)
def _to_the_second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def rfc3339(at_s: float) -> str:
    """Seconds since 1970 as `2026-11-23T14:50:00.123Z`: always 24 characters, always UTC."""
    whole, milli = divmod(round(at_s * 1000), 1000)
    return f"{_to_the_second(whole)}.{milli:03d}Z"


def parse_rfc3339(text: str) -> float:
    """An RFC 3339 time with its offset, as seconds since 1970. Raises ValueError on anything else."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC: end it in Z or +hh:mm")
    return at.astimezone(UTC).timestamp()
