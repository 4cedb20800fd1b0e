"""What a busy machine does to a test, and how a test keeps clear of it."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LATE_S = 0.02
"""How much later than it wished a thread may wake on a machine that is not held up."""


@contextmanager
def quick_disk(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, where the machine has one: for what is not about the disk."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder made in it is private
    if not os.access(memory, os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@contextmanager
def stalls() -> Iterator[Callable[[float, float], float]]:
    """How many seconds between two moments the machine let nobody work, by `time.monotonic`.

    A thread that only sleeps wakes late only then. A slow portal does not hold it up, so what is slow about
    the portal is not taken for the machine's.
    """
    late: list[tuple[float, float]] = []
    woken_s = time.monotonic()
    over = threading.Event()

    def sleep() -> None:
        nonlocal woken_s
        while not over.is_set():
            time.sleep(LATE_S / 2)
            now_s = time.monotonic()
            if now_s - woken_s > LATE_S:
                late.append((woken_s + LATE_S, now_s))
            woken_s = now_s

    def lost(from_s: float, to_s: float) -> float:
        while woken_s < to_s:
            time.sleep(LATE_S / 2)  # it may be late just now
        return sum(max(0.0, min(end_s, to_s) - max(begin_s, from_s)) for begin_s, end_s in late)

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        over.set()
        thread.join()
