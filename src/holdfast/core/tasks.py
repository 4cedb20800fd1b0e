"""Tasks that are told to end, and do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

AGAIN_S: Final = 1.0


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended.

    Once may not be enough: `asyncio.wait_for` of Python 3.11 forgets a cancellation that comes in the
    moment in which what it waits for does (python/cpython#86296). Nothing here calls it, libraries may.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
