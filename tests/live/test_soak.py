"""Ten minutes of a thousand streams, of which fifty never read and fifty come and go: memory stays flat."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.live.listening import PATH, Listener, proof
from tests.live.test_streams import MANY, closed, opened, told
from tests.served import served

MINUTES = float(os.environ.get("HOLDFAST_SOAK_MINUTES", "10"))
READING, DEAF, RESTLESS = 900, 50, 50
PATIENT = {**MANY, "HOLDFAST_HEAD_TIMEOUT_S": "120"}
"""Nobody who comes is sent away because the machine was busy."""
GROWTH_MB = 8.0
"""What ten minutes may add; a leak of one stream in each coming and going would be far more."""


def own_mb(pid: int) -> float:
    """What it has for itself, wherever it lies. Pages of files are no part of it: they count in full for
    whoever is the last to share them, so another program's end would look like a leak.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return (kilobytes["Anonymous"] + kilobytes["Swap"]) / 1024


async def whole(work: Coroutine[Any, Any, None]) -> None:
    """Whoever is stopped while it opens or closes leaves no connection behind that is open after its end."""
    doing = asyncio.ensure_future(work)
    try:
        await asyncio.shield(doing)
    finally:
        await asyncio.gather(doing, return_exceptions=True)


async def restless(url: str, headers: dict[str, str], draw: random.Random) -> None:
    """Comes and goes."""
    while True:
        stream = Listener(url, headers)
        try:
            await whole(stream.open())
            await asyncio.sleep(draw.random())
        finally:
            await whole(stream.close())


async def come_back(stream: Listener) -> None:
    """Whoever is told to come back does."""
    while True:
        await stream.ended.wait()
        await asyncio.sleep((stream.retry_ms or 1_000) / 1000)
        await whole(stream.open())


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_thousand_streams_for_ten_minutes(tmp_path: Path) -> None:
    draw = random.Random(10)
    with served(tmp_path, PATIENT) as portal, portal.client("ada") as ada, portal.client("olu") as olu:
        assert portal.process is not None
        reading = await opened(portal, READING, proof(ada))
        host = urlsplit(portal.url)
        deaf = []
        for _ in range(DEAF):
            sock = socket.create_connection((host.hostname or "", host.port or 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            cookie = ada.headers["Cookie"]
            sock.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
            deaf.append(sock)
        comers = [asyncio.create_task(restless(portal.url, proof(ada), draw)) for _ in range(RESTLESS)]
        comers += [asyncio.create_task(come_back(each)) for each in reading]
        sizes: list[float] = []
        number = 0
        end_s = time.monotonic() + 60 * MINUTES
        while time.monotonic() < end_s:
            number += 1
            await told(portal, "ada", number)
            sizes.append(own_mb(portal.process.pid))
            await asyncio.sleep(1.0)
        died = [task.exception() for task in comers if task.done()]
        assert died == [], "all came and went to the end: who stops coming costs nothing"
        for task in comers:
            task.cancel()
        await asyncio.gather(*comers, return_exceptions=True)
        tenth = max(1, len(sizes) // 10)
        early, late = median(sizes[tenth : 2 * tenth]), median(sizes[-tenth:])
        assert late - early < GROWTH_MB, f"{early:.1f} MB became {late:.1f} MB"
        await closed(reading)
        for sock in deaf:
            sock.close()
        end_s = time.monotonic() + 30.0
        while still := olu.get("/api/health").json()["streams"]["open"]:
            assert time.monotonic() < end_s, f"{still} streams that nobody listens to are still counted"
            await asyncio.sleep(0.5)
