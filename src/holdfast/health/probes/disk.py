"""Is there room on the disk, and does the folder take a file?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from holdfast.health.probe import Outcome

_NAME: Final = ".probe"


class DiskProbe:
    """Free space against the marks; a small file written, synced and removed.

    Nobody else's work tells that a new file can be made: a portal holds its files open for days,
    and needs a new one exactly when a segment is full.
    """

    part = "disk"
    lines = ("room", "files")
    deadline_s = 3.0
    votes = (2, 3)

    def __init__(
        self, folder: Path, free_bytes: Callable[[], int | None], low_bytes: int, period_s: float
    ) -> None:
        """`free_bytes`: on the journal's volume. `low_bytes`: below that it counts as filling."""
        self._folder = folder
        self._free_bytes = free_bytes
        self._low_bytes = low_bytes
        self.period_s = period_s
        self.took_ms: float | None = None

    def evidence(self) -> Iterable[Outcome]:
        """The room there is; one call that never waits."""
        free = self._free_bytes()
        if free is None or free >= self._low_bytes:
            return [Outcome("room", "ok")]
        return [Outcome("room", "degraded", f"{free >> 20} MiB are free on the journal's volume")]

    async def ask(self) -> Iterable[Outcome]:
        """Try."""
        return [await asyncio.to_thread(self._try)]

    def _try(self) -> Outcome:
        began_s = time.perf_counter()
        try:
            self._write()
        except OSError as fault:
            return Outcome("files", "down", f"the data folder takes no new file: {fault.strerror}")
        self.took_ms = (time.perf_counter() - began_s) * 1000
        return Outcome("files", "ok")

    def _write(self) -> None:
        path = self._folder / _NAME
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"The portal writes this to see whether it can.\n")
            os.fdatasync(fd)
        finally:
            os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()

    def latency_ms(self) -> tuple[float | None, float | None]:
        """Of the last try."""
        return None if self.took_ms is None else round(self.took_ms, 3), None
