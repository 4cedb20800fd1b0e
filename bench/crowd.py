"""A crowd that listens: opens streams, reads what comes, and says in the end how late it was, as JSON.

`python -m bench.crowd PORT PATH STREAMS SECONDS`: prints `open` when all are, reads for so long.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Final

import uvloop

_AT: Final = re.compile(rb'"at":(\d+)')
BURST: Final = 200
"""Connections under way at once."""


class Ear(asyncio.Protocol):
    """One listener."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.transport: asyncio.Transport | None = None
        self.heard = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(self.crowd.request)  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        """Note when it came."""
        now = time.monotonic_ns()
        self.heard.set()
        if self.crowd.counts:
            for found in _AT.finditer(data):
                self.crowd.late_ns.append(now - int(found[1]))


class Crowd:
    """All of them."""

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        self.request = head.encode()
        self.counts = False
        self.late_ns: list[int] = []

    async def come(self, number: int, *, hear: bool) -> float:
        """Open so many streams; seconds until all are open, and with `hear` until each heard something."""
        loop = asyncio.get_running_loop()
        ears: list[Ear] = []
        began_s = time.monotonic()

        async def one() -> None:
            ear = Ear(self)
            ears.append(ear)
            await loop.create_connection(lambda: ear, "127.0.0.1", self.port)
            if hear:
                await ear.heard.wait()

        for start in range(0, number, BURST):
            await asyncio.gather(*(one() for _ in range(min(BURST, number - start))))
        return time.monotonic() - began_s


async def main() -> None:
    """Come, listen, say."""
    port, path, number, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    crowd = Crowd(port, path)
    took_s = await crowd.come(number, hear=True)
    print(json.dumps({"open": number, "tookS": took_s}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    crowd.counts = True
    await asyncio.sleep(seconds)
    crowd.counts = False
    late = sorted(crowd.late_ns) or [0]
    said = {
        "heard": len(crowd.late_ns),
        "p50Ms": late[len(late) // 2] / 1e6,
        "p99Ms": late[int(len(late) * 0.99)] / 1e6,
    }
    print(json.dumps(said), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


if __name__ == "__main__":
    uvloop.run(main())
