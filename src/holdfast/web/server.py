"""uvicorn, embedded, with the holes closed that no Python server closes by itself.

Streams leave it: it would wait for them when it stops (Kludex/uvicorn #2913), and a stream needs none of it.
A request head that never ends gets a deadline here (Kludex/uvicorn #157 asks for one since 2018);
a body that never comes gets one in `app.read_body`.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Mapping

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from holdfast.core.errors import Rejected
from holdfast.web.app import refusal

MAX_HEAD_BYTES = 64 << 10
"""How much of an unfinished head is kept; one that comes in a piece may be a little longer."""


Take = Callable[[asyncio.Transport, list[tuple[bytes, bytes]]], None]
"""Takes a connection over whose request's headers were read, and gives it another protocol."""


def protocol(  # noqa: C901 - small methods of one class, which ruff adds up
    head_timeout_s: float, taken: Mapping[bytes, Take]
) -> type[HttpToolsProtocol]:
    """The server's own protocol, with a deadline for each request's head.

    `taken`: addresses whose GET is not for the app: the connection is taken from the server.
    """

    class Deadlined(HttpToolsProtocol):
        """Closes a connection whose head does not arrive in time."""

        _late: asyncio.TimerHandle | None = None
        _in_head = False
        _head_bytes = 0
        _take: Take | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._late = self.loop.call_later(head_timeout_s, transport.close)

        def data_received(self, data: bytes) -> None:
            if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
                # The parser itself keeps whatever comes: an endless head would fill the memory.
                self.send_400_response(f"the head has more than {MAX_HEAD_BYTES} bytes")
                return
            super().data_received(data)
            if self._take is not None:
                self._let_go(self._take)
                return
            # A head that came whole, the common case, needs no timer.
            if self._in_head:
                self._head_bytes += len(data)
                if self._late is None:
                    self._late = self.loop.call_later(head_timeout_s, self.transport.close)

        def send_400_response(self, msg: str) -> None:
            """Refuse what is no HTTP, in the words everything else is refused in."""
            status, headers, body = refusal(Rejected(msg, code="malformed"))
            headers += [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
            head = b"".join(b"%b: %b\r\n" % pair for pair in headers)
            self.transport.write(b"HTTP/1.1 %d Bad Request\r\n%b\r\n%b" % (status, head, body))
            self.transport.close()

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_head = True
            self._head_bytes = 0

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._cancel()
            # One that waits behind another on the same connection is answered by the app, once.
            cycle: RequestResponseCycle | None = self.cycle
            if cycle is None or cycle.response_complete:
                self._take = taken.get(self.url.partition(b"?")[0])
            if self._take is None or self.parser.get_method() != b"GET":
                self._take = None
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if self._take is None:
                super().on_body(body)

        def on_message_complete(self) -> None:
            if self._take is None:
                super().on_message_complete()

        def _let_go(self, take: Take) -> None:
            """The server knows nothing of this connection from now on, and waits for it no more."""
            self.connections.discard(self)
            self.parser = None  # type: ignore[assignment]
            take(self.transport, self.headers)

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _cancel(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return Deadlined


class Server(uvicorn.Server):
    """The server, which says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.opened = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.opened.set()


def server(
    app: ASGIApp,
    *,
    head_timeout_s: float,
    drain_timeout_s: float,
    taken: Mapping[bytes, Take] | None = None,
) -> Server:
    """A server for an app; the caller brings the listening socket. `taken`: see `protocol`."""
    config = uvicorn.Config(
        app,
        http=protocol(head_timeout_s, taken or {}),
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        # Who the peer is decides who may read metrics: no header may say it is another.
        proxy_headers=False,
        date_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=max(1, int(drain_timeout_s)),
    )
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    listening.set_inheritable(True)
    return listening


def settle_memory() -> None:
    """Take what start-up made out of the collector's sight: measured to cut p99 by a third or more.

    Threads take turns every millisecond instead of every five: the journal's writer would else wait
    that long after each sync before it can say so.
    """
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
