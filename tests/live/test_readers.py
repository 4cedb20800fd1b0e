"""Readers who do not read, over real sockets: bounded memory, one snapshot, and in the end the door."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from holdfast.core.clock import ManualClock
from holdfast.feed.hub import Hub
from holdfast.web import streams
from holdfast.web.streams import BEAT_S, Limits, Streams
from holdfast.web.telling import STRANGERS, Telling


class Desk:
    """Streams without a portal: everybody is a stranger, and the test says what is told."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.feed = Hub()
        self.document: dict[str, Any] = {"n": 0, "text": "x" * 500}
        self.telling = Telling(self.feed, self.clock, lambda: self.document, lambda _, facts: dict(facts))
        self.telling.fresh_s = 0.0
        self.streams = Streams(
            self.feed,
            self.telling,
            self.clock,
            Limits(100, 100, 600.0),
            audience=lambda _: STRANGERS,
            prove=lambda _: None,
            refresh=lambda _: None,
        )
        self.taken: list[asyncio.Transport] = []

    async def tell(self, number: int) -> None:
        self.document = {"n": number, "text": str(number % 10) * 500}
        await self.telling.tell()
        await asyncio.sleep(0)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        desk = self

        class Door(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transport = cast("asyncio.Transport", transport)  # uvloop's own class is none of asyncio's
                desk.taken.append(transport)
                asyncio.get_running_loop().call_soon(desk.streams.take, transport, [], "")

        server = await asyncio.get_running_loop().create_server(Door, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for transport in desk.taken:
                transport.abort()
            server.close()
            await asyncio.sleep(0.05)  # uvloop closes a handle a turn of the loop after it was asked to
            await server.wait_closed()


def deaf(port: int) -> socket.socket:
    """Somebody who connects and does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.settimeout(0.0)
    return sock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The portal's own loop: buffers differ from one to the other."""
    return "asyncio", {"use_uvloop": True}


async def lagging(desk: Desk) -> int:
    """Tell until the reader lags; how many changes that took."""
    number = 0
    while not desk.streams.lagging:
        number += 1
        await desk.tell(number)
        assert number < 2_000, "the kernel takes everything"
    return number


async def test_who_does_not_read_costs_a_small_buffer_and_gets_one_snapshot_when_they_read() -> None:
    desk = Desk()
    async with desk.open() as port:
        sock = deaf(port)
        number = await lagging(desk)
        assert number * 500 < 200_000, "the kernel's buffer is the one that was asked for"
        held = desk.taken[0].get_write_buffer_size()
        for more in range(1_000):
            await desk.tell(number + more)
        assert desk.taken[0].get_write_buffer_size() == held <= 1_000, "nothing is kept for them"
        last = desk.document["n"]
        got = b""
        loop = asyncio.get_running_loop()
        while f'"n":{last}'.encode() not in got.rpartition(b"event: snapshot")[2]:
            got += await asyncio.wait_for(loop.sock_recv(sock, 65_536), 5.0)
        assert got.count(b"event: snapshot") == 2, "one at the start, one instead of all that was missed"
        assert desk.streams.lagging == 0
        await desk.tell(last + 1)
        got = b""
        while b"\n\n:" not in got:
            got += await asyncio.wait_for(loop.sock_recv(sock, 65_536), 5.0)
        (patch,) = [line for line in got.decode().split("\n") if line.startswith("data: ")]
        assert json.loads(patch[6:])["patch"]["n"] == last + 1, "and then each change again"
        sock.close()


async def test_who_reads_nothing_for_a_minute_is_let_go() -> None:
    desk = Desk()
    async with desk.open() as port:
        sock = deaf(port)
        await lagging(desk)
        for seconds, still in ((streams.UNREAD_S - 1, 1), (2, 0)):
            desk.clock.advance(seconds)
            for _ in range(BEAT_S):
                desk.streams.beat()
            await asyncio.sleep(0.05)
            assert desk.streams.open == still
        assert desk.streams.stats().evicted == 1
        assert desk.streams.lagging == 0
        assert desk.feed.readers(STRANGERS.topic) == 0
        sock.close()


async def test_who_comes_and_goes_leaves_nothing_behind() -> None:
    desk = Desk()
    async with desk.open() as port:
        for round_ in range(20):
            socks = [deaf(port) for _ in range(10)]
            await asyncio.sleep(0.02)
            for number, sock in enumerate(socks):
                if number % 2:
                    # A reset instead of a goodbye.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.close()
            await desk.tell(round_)
        for _ in range(200):
            if desk.streams.open == 0:
                break
            await asyncio.sleep(0.02)
        assert desk.streams.open == 0
        assert desk.feed.readers(STRANGERS.topic) == 0
        assert desk.streams._per_user == {}
