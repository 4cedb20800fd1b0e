"""Breaks the portal it is loaded into, where nothing outside can: a lever is pulled while its file is there.

`LEVERS` names their folder. A portal that `systemctl` starts afterwards does not load this: it is whole.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from pathlib import Path
from typing import Any

from holdfast.access.tokens import Tokens
from holdfast.core.clock import SystemClock
from holdfast.events.applier import Applier
from holdfast.health.probes import applier
from holdfast.journal.disk import OsDisk

FOLDER = Path(os.environ["LEVERS"])


def pulled(name: str) -> str | None:
    """What a lever's file says; None while it is not there."""
    try:
        return (FOLDER / name).read_text()
    except FileNotFoundError:
        return None


def jumped() -> float:
    """By how much the machine's clock was set ahead."""
    return float(pulled("clock") or 0)


def passed() -> float:
    """How much time went by at once."""
    return float(pulled("time") or 0)


def broken(*_: object) -> None:
    """A process that is damaged."""
    raise ValueError("a key is not what it was")


_verify, _batch, _write = Tokens.verify, Applier._batch, OsDisk.write_synced


def now_s(self: SystemClock) -> float:
    """As it was, and what was set and went by."""
    del self
    return time.time() + passed() + jumped()


def ticks_s(self: SystemClock) -> float:
    """As it was, and what went by."""
    del self
    return time.monotonic() + passed()


def verify(self: Tokens, token: str) -> Any:  # noqa: ANN401
    """As it was, unless `keys` is pulled."""
    return broken() if pulled("keys") is not None else _verify(self, token)


async def batch(self: Applier, lane: str) -> bool:
    """As it was, unless `stuck` is pulled: then it never comes back."""
    if pulled("stuck") is not None:
        await asyncio.Event().wait()
    return await _batch(self, lane)


def write_synced(self: OsDisk, fd: int, parts: Any, offset: int) -> int:  # noqa: ANN401
    """As it was, unless `disk` is pulled, which fails, or `slow`."""
    if pulled("disk") is not None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    if pulled("slow") is not None:
        time.sleep(0.6)
    return _write(self, fd, parts, offset)


SystemClock.now_s = now_s  # type: ignore[method-assign]
SystemClock.ticks_s = ticks_s  # type: ignore[method-assign]
Tokens.verify = verify  # type: ignore[method-assign]
Applier._batch = batch  # type: ignore[method-assign]
OsDisk.write_synced = write_synced  # type: ignore[method-assign]
applier.STUCK_S = 0.5
