"""A network that fails on demand: a proxy on loopback between a browser and a portal.

The browser knows one origin, the proxy's, whatever happens behind it; so its service worker and its
databases stay. A fault is either the whole link's (`refuse`, `hang`, `cut`) or a strike on the requests
whose path matches; each strike counts what it did, so that a test can show that its fault took place.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias, TypeVar

from tests.browser.http1 import Answer, Request, read_answer_head, read_request
from tests.ports import PORTS

PATIENCE_S: Final = 20.0
TURNS: Final = 5
"""So many turns of the loop a connection takes at most, from accepted to served, from aborted to closed."""
RESET: Final = struct.pack("ii", 1, 0)


@dataclass
class Exchange:
    """One request, and the ways to answer it."""

    request: Request
    ask_portal: Callable[[], Coroutine[Any, Any, Answer]]
    send: Callable[[bytes], Coroutine[Any, Any, None]]
    reset: Callable[[], None]
    passed_on: Callable[[], Coroutine[Any, Any, None]]
    """What happens to a request that nothing strikes."""
    lifted: asyncio.Event


T = TypeVar("T")
Act: TypeAlias = Callable[["Exchange", "Strike"], Coroutine[Any, Any, None]]


@dataclass
class Strike:
    """A fault for the requests whose path matches."""

    act: Act
    path: re.Pattern[str]
    times: int
    """How many requests it still strikes; below 0 there is no end."""
    holding: bytes = b""
    """What a request's body must contain."""
    begun: int = 0
    done: int = 0
    """How often it has really happened."""
    answers: list[Answer] = field(default_factory=list)
    """What the portal had answered where the browser was not told, or not at once, or not only."""
    lifted: asyncio.Event = field(default_factory=asyncio.Event)

    def hits(self, request: Request) -> bool:
        """Whether this request is struck."""
        fits = self.path.search(request.target) is not None and self.holding in request.body
        return self.times != 0 and fits


# ---- what a strike does --------------------------------------------------------------------------


async def cut_before(exchange: Exchange, strike: Strike) -> None:
    """The connection dies before the portal hears of the request."""
    strike.done += 1
    exchange.reset()


async def lose_answer(exchange: Exchange, strike: Strike) -> None:
    """The portal did it and said so; the connection died before the browser heard."""
    strike.answers.append(await exchange.ask_portal())
    strike.done += 1
    exchange.reset()


async def cut_within_answer(exchange: Exchange, strike: Strike) -> None:
    """Half of the answer's body arrives."""
    answer = await exchange.ask_portal()
    strike.answers.append(answer)
    await exchange.send(answer.head + answer.body[: len(answer.body) // 2])
    strike.done += 1
    exchange.reset()


async def ask_twice(exchange: Exchange, strike: Strike) -> None:
    """The request reaches the portal twice, and the browser hears the second answer."""
    strike.answers.append(await exchange.ask_portal())
    again = await exchange.ask_portal()
    strike.answers.append(again)
    strike.done += 1
    await exchange.send(again.whole)


async def answer_twice(exchange: Exchange, strike: Strike) -> None:
    """The same answer comes twice on the connection, the second time to a question nobody asked."""
    answer = await exchange.ask_portal()
    strike.answers.append(answer)
    strike.done += 1
    await exchange.send(answer.whole + answer.whole)


async def withhold(exchange: Exchange, strike: Strike) -> None:
    """The portal's answer waits in the proxy until the strike is lifted, as in one that buffers."""
    answer = await exchange.ask_portal()
    strike.answers.append(answer)
    strike.done += 1
    await strike.lifted.wait()
    await exchange.send(answer.whole)


async def hang(exchange: Exchange, strike: Strike) -> None:
    """Nothing comes of the request, and nobody says so, until the strike is lifted."""
    strike.done += 1
    await strike.lifted.wait()
    exchange.reset()


def reply(status: int, body: str = "", content_type: str = "text/plain", **headers: str) -> Act:
    """Somebody on the way answers instead of the portal: a captive portal, a gateway, a limiter."""
    answer = Answer.made(status, body.encode(), {"Content-Type": content_type, **headers})

    async def replied(exchange: Exchange, strike: Strike) -> None:
        strike.done += 1
        await exchange.send(answer.whole)

    return replied


def slow(delay_s: float) -> Act:
    """The request takes this much longer to arrive."""

    async def slowed(exchange: Exchange, strike: Strike) -> None:
        await asyncio.sleep(delay_s)
        strike.done += 1
        await exchange.passed_on()

    return slowed


# ---- the proxy -----------------------------------------------------------------------------------


class Proxy:
    """Runs in a thread of its own; every method may be called from the test's."""

    def __init__(self, upstream: Callable[[], int]) -> None:
        """`upstream` gives the portal's port, asked anew for each request: a restarted one may move."""
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._strikes: list[Strike] = []
        self._hung = False
        self._flows = asyncio.Event()
        self.pages: dict[str, tuple[str, bytes]] = {}
        """Pages of the test's own, on the same origin: path to content type and content."""
        self.passed: list[tuple[str, str, int]] = []
        """Method, path and status of what the portal answered to the browser, faults left out."""
        self.asked: list[str] = []
        """Every path that a request arrived for, whatever became of it."""
        self.cuts = 0
        self.refusals = 0
        self.hangs = 0
        self.port = 0

    @property
    def url(self) -> str:
        """The origin the browser knows."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._flows.set()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    # ---- the link's faults

    def restore(self) -> None:
        """The link works, and no strike is left."""
        self._call(self._restore())

    def open_again(self) -> None:
        """The link works again; strikes go on."""
        self._call(self._open_again())

    def refuse(self) -> None:
        """Every connection is cut, and every new one is refused."""
        self._call(self._refuse())

    def hang(self) -> None:
        """Requests are taken, and nothing comes back; also on connections that are open."""
        self._call(self._hang())

    def cut(self) -> int:
        """Reset every open connection once; the count of them."""
        return self._call(self._cut())

    # ---- strikes

    def strike(self, act: Act, path: str = "/api/", times: int = -1, holding: bytes = b"") -> Strike:
        """Strike the next `times` requests whose path matches and whose body holds this; the oldest wins."""
        return self._call(self._struck(Strike(act, re.compile(path), times, holding)))

    def lift(self, strike: Strike) -> None:
        """End a strike; what it withheld goes out."""
        self._call(self._lifted(strike))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    # ---- in the loop

    async def _listen(self) -> None:
        if self._server is not None:
            return
        # The first time any port will do; after that the browser knows it.
        tries = [self.port] * 50 if self.port else random.sample(PORTS, 50)
        for port in tries:
            try:
                self._server = await asyncio.start_server(self._accepted, "127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            self.port = port
            return
        raise OSError(f"no port could be listened on, last {tries[-1]}")

    async def _restore(self) -> None:
        for strike in list(self._strikes):
            await self._lifted(strike)
        await self._open_again()

    async def _open_again(self) -> None:
        self._hung = False
        self._flows.set()
        await self._listen()

    async def _refuse(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            # What was accepted a moment ago must be served first: asyncio trips over a server that is closed
            # in between, and its connection is left open.
            for listening in server.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            await _settle()
            server.close()
        self.refusals += 1
        await self._cut()

    async def _hang(self) -> None:
        await self._listen()
        self._hung = True
        self._flows.clear()

    async def _cut(self) -> int:
        open_now = list(self._writers)
        for writer in open_now:
            _reset(writer)
        self.cuts += len(open_now)
        return len(open_now)

    async def _struck(self, strike: Strike) -> Strike:
        self._strikes.append(strike)
        return strike

    async def _lifted(self, strike: Strike) -> None:
        if strike in self._strikes:
            self._strikes.remove(strike)
        strike.lifted.set()

    async def _close(self) -> None:
        await self._refuse()
        while self._tasks:
            await self._cut()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await _settle()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while (request := await read_request(reader)) is not None:
                await self._answered(request, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the browser or the test has gone
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            with suppress(Exception):
                writer.close()

    async def _answered(self, request: Request, writer: asyncio.StreamWriter) -> None:
        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        self.asked.append(request.target)
        if self._hung:
            self.hangs += 1
            await self._flows.wait()
        own = self.pages.get(request.target.partition("?")[0])
        if own is not None:
            content_type, content = own
            headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
            await send(Answer.made(200, content, headers).whole)
            return
        strike = next((each for each in self._strikes if each.hits(request)), None)

        async def ask() -> Answer:
            return await self._asked(request)

        async def passed_on() -> None:
            await self._relayed(request, writer)

        if strike is None:
            await passed_on()
            return
        strike.times -= 1
        strike.begun += 1
        reset = _resetter(writer)
        await strike.act(Exchange(request, ask, send, reset, passed_on, strike.lifted), strike)

    async def _asked(self, request: Request) -> Answer:
        """The portal's whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream())
        try:
            writer.write(request.closing)
            head = await read_answer_head(reader, request.method)
            if head is None:
                raise ConnectionResetError("the portal ended the connection before it answered")
            body = bytearray()
            async for piece in head.pieces(reader):
                body += piece
            return Answer(head.status, head.text, bytes(body))
        finally:
            writer.close()

    async def _relayed(self, request: Request, writer: asyncio.StreamWriter) -> None:
        """The portal's answer, piece by piece as it comes: a stream stays a stream."""
        try:
            reader, portal = await asyncio.open_connection("127.0.0.1", self._upstream())
        except OSError:
            _reset(writer)  # as a portal that is down is seen without a proxy
            return
        self._writers.add(portal)
        try:
            portal.write(request.closing)
            head = await read_answer_head(reader, request.method)
            if head is None:
                raise ConnectionResetError("the portal ended the connection before it answered")
            self.passed.append((request.method, request.target, head.status))
            writer.write(head.text)
            async for piece in head.pieces(reader):
                if self._hung:
                    self.hangs += 1
                    await self._flows.wait()
                writer.write(piece)
                await writer.drain()
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            _reset(writer)
        finally:
            self._writers.discard(portal)
            portal.close()


async def _settle() -> None:
    """Let what is under way in the loop take its turns: a connection's birth, and its end."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Not a tidy end: what was under way is lost on both sides."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def _resetter(writer: asyncio.StreamWriter) -> Callable[[], None]:
    return lambda: _reset(writer)
