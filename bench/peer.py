"""The peer of the receipts bench: the same server and the same bodies, and none of the work.

`/read` reads the body, each event of it and each event's body with the portal's own structs, and
answers a receipt for each: what no server that gives receipts can do without. There is no session,
no CSRF token, no org, no policy, no digest, no journal, no disk, no window, no device. `/drain`
only takes the body off the wire and answers two bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import Final

import msgspec
import uvloop
from starlette.types import Receive, Scope, Send

from holdfast.core.ids import position_text
from holdfast.events.envelope import Batch, EventIn
from holdfast.events.intake import Receipt, Receipts
from holdfast.learning.progress import LessonProgressed
from holdfast.web.server import listen, server, settle_memory

_batch: Final = msgspec.json.Decoder(Batch).decode
_event: Final = msgspec.json.Decoder(EventIn).decode
_bodies: Final = {"lesson.progressed": msgspec.json.Decoder(LessonProgressed).decode}
_encode: Final = msgspec.json.Encoder().encode


class Peer:
    """An ASGI app without a router: that too is less than a portal needs."""

    def __init__(self) -> None:
        """No position given yet."""
        self._position = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, answer."""
        if scope["type"] != "http":
            return
        message = await receive()
        raw: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            raw += message.get("body", b"")
        status, answer = (202, self._read(raw)) if scope["path"] == "/read" else (200, b"{}")
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _read(self, raw: bytes) -> bytes:
        position = self._position
        receipts: list[Receipt] = []
        for each in _batch(raw).events:
            event = _event(each)
            _bodies[event.kind](event.body)
            position += 1
            receipts.append(Receipt(event.id, "accepted", position_text(position), "fsync"))
        self._position = position
        return _encode(Receipts(receipts, None, 0))


async def serve() -> None:
    """Serve until SIGTERM, on a port of the system's choice, as the portal serves."""
    listening = listen("127.0.0.1", 0)
    web = server(Peer(), head_timeout_s=15.0, drain_timeout_s=1.0)
    settle_memory()
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: setattr(web, "should_exit", True))
    await web.serve(sockets=[listening])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve())
    sys.exit(0)
