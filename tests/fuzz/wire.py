"""HTTP by hand: what no client library would send, and the answer as it came."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.served import Served

WAIT_S = 8.0
"""Longer than any deadline of the portals under test: an answer that takes longer is a hang."""


@dataclass(frozen=True)
class Answered:
    """One answer; status 0 when the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool
    """Whether the portal closed the connection after it."""
    took_s: float

    @property
    def code(self) -> str:
        """The problem's code."""
        code: str = msgspec.json.decode(self.body)["code"]
        return code


def speak(portal: Served, *pieces: bytes, pause_s: float = 0.0, finish: bool = False) -> Answered:
    """Send pieces, then read one answer. `finish` says that no more will come (a half-closed socket)."""
    host, _, port = portal.url.removeprefix("http://").partition(":")
    began = time.monotonic()
    with socket.create_connection((host, int(port)), WAIT_S) as line:
        try:
            for piece in pieces:
                line.sendall(piece)
                time.sleep(pause_s)
            if finish:
                line.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has heard enough; its answer may still be read
        return read_answer(line, began)


def read_answer(line: socket.socket, began: float) -> Answered:
    """One answer off a connection; `began`: when the wait for it did, on the monotonic clock."""
    data = b""
    closed = False
    while not closed and not _whole(data):
        try:
            more = line.recv(65_536)
        except ConnectionResetError:
            more = b""
        data += more
        closed = not more
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    status = int(status_line.split(" ")[1]) if data else 0
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    closed = closed or headers.get("connection") == "close"
    return Answered(status, headers, body, closed, time.monotonic() - began)


def _whole(data: bytes) -> bool:
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
        if name.lower() == b"content-type" and value.strip().startswith(b"text/event-stream"):
            return True  # it goes on for as long as somebody listens: its head is the answer
    return head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304"))


def request(method: bytes, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> bytes:
    """A request, as written; nothing is checked or added but the length of a body."""
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: portal"]
    lines += [b"%b: %b" % pair for pair in headers]
    if body and not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in headers):
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def require_sane(answer: Answered, what: Any, *, head: bool = False) -> None:  # noqa: ANN401 - for a message
    """A good answer or a problem document in the portal's own words; never a fault, never a trace.

    `head`: the request was HEAD, so the document itself stayed away.
    """
    assert answer.took_s < WAIT_S, what
    assert answer.status != 500, (what, answer)
    assert b"Traceback" not in answer.body, what
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/problem+json", (what, answer)
        if head:
            return
        said = msgspec.json.decode(answer.body)
        assert said["status"] == answer.status, what
        assert said["code"], what
