"""What handing lines over to a writing thread costs, when nothing else is done to them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


class Handing:
    """Tasks that wait, and a thread that writes and syncs all that waits, again and again."""

    def __init__(self, path: Path) -> None:
        """`path`: of the file that is written to, anew."""
        self._path = path
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._gate = threading.Condition()
        self._done = False

    async def took_s(self, texts: Sequence[bytes], tasks: int) -> float:
        """Hand every text over, each task waiting for one before the next; the seconds that took."""
        loop = asyncio.get_running_loop()
        self._path.unlink(missing_ok=True)
        thread = threading.Thread(target=self._write, args=(loop,), daemon=True)
        thread.start()
        began = time.perf_counter()
        waiting = iter(texts)
        await asyncio.gather(*(self._task(loop, waiting) for _ in range(tasks)))
        took = time.perf_counter() - began
        with self._gate:
            self._done = True
            self._gate.notify()
        await asyncio.to_thread(thread.join)
        return took

    async def _task(self, loop: asyncio.AbstractEventLoop, texts: Iterator[bytes]) -> None:
        for text in texts:
            done: asyncio.Future[None] = loop.create_future()
            with self._gate:
                self._waiting.append((text, done))
                self._gate.notify()
            await done

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        offset = 0
        try:
            while True:
                with self._gate:
                    while not (self._waiting or self._done):
                        self._gate.wait()
                    if not self._waiting:
                        return
                    group, self._waiting = self._waiting, []
                offset += os.pwrite(fd, b"".join([text for text, _ in group]), offset)
                os.fdatasync(fd)
                loop.call_soon_threadsafe(_answer, [done for _, done in group])
        finally:
            os.close(fd)


def _answer(waiting: list[asyncio.Future[None]]) -> None:
    for done in waiting:
        done.set_result(None)
