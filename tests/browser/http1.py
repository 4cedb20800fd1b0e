"""As much of HTTP/1.1 as the faulty network reads: where a request and an answer end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

PIECE_BYTES: Final = 65_536
BODILESS: Final = frozenset({204, 304})


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _without_connection(head: bytes) -> list[bytes]:
    lines = head.rstrip(b"\r\n").split(b"\r\n")
    return [line for line in lines if not line.lower().startswith(b"connection:")]


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    target: str
    head: bytes
    body: bytes

    @property
    def closing(self) -> bytes:
        """The same request, asking the portal to end the connection after its answer."""
        return b"\r\n".join([*_without_connection(self.head), b"Connection: close", b"", b""]) + self.body


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; None once the browser has ended it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = head.decode("latin-1").split(" ", 2)
    headers = _headers(head)
    assert "transfer-encoding" not in headers, "no browser here sends a body of unknown length"
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, head, body)


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    head: bytes
    body: bytes

    @property
    def whole(self) -> bytes:
        return self.head + self.body

    @classmethod
    def made(cls, status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
        """An answer of the test's own. An underscore in a header's name stands for its hyphen."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return cls(status, ("\r\n".join(lines) + "\r\n\r\n").encode(), body)


@dataclass(frozen=True)
class Head:
    """The head of a portal's answer, without its word on the connection, which is the proxy's to keep."""

    status: int
    text: bytes
    length: int | None
    """None: the body is chunked, and the portal ends the connection after it."""

    async def pieces(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """The body as it comes; IncompleteReadError when it ends before its end."""
        left = self.length
        tail = b""
        while left is None or left > 0:
            piece = await reader.read(PIECE_BYTES if left is None else min(left, PIECE_BYTES))
            if not piece:
                if left is None and tail.endswith(b"0\r\n\r\n"):
                    return
                raise asyncio.IncompleteReadError(tail, left)
            tail = (tail + piece)[-5:]
            if left is not None:
                left -= len(piece)
            yield piece


async def read_answer_head(reader: asyncio.StreamReader, method: str) -> Head | None:
    """The portal's next answer; None when it ended the connection instead."""
    try:
        text = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    status = int(text[9:12])
    headers = _headers(text)
    length = (
        None if headers.get("transfer-encoding") == "chunked" else int(headers.get("content-length", "0"))
    )
    if method == "HEAD" or status in BODILESS:
        length = 0
    return Head(status, b"\r\n".join([*_without_connection(text), b"", b""]), length)
