"""A mail server as small as one can be: it takes messages over real SMTP, refuses them, or hangs."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Literal

Mood = Literal["takes", "refuses", "hangs"]


PATIENCE = "cto=120&rto=120"
"""For apprise's addresses: what took four seconds counts as not told, and would be told twice."""


class Mailbox:
    """`taken`: messages it answered 250; `asked`: how many were begun."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.asked = 0
        self.mood: Mood = "takes"
        self.url = ""
        self.stopped = threading.Event()

    def subjects(self) -> list[str]:
        """What they were about, in the order they came."""
        return [str(each["subject"]) for each in self.taken]


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mailbox that runs; its `url` is as apprise reads it."""
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            box.asked += 1
            if box.mood == "hangs":
                box.stopped.wait()
                return
            self._say("220 mailbox")
            for raw in self.rfile:
                word = raw.decode().split(" ")[0].strip().upper()
                if word == "MAIL" and box.mood == "refuses":
                    self._say("451 later, please")
                elif word == "DATA":
                    self._say("354 go on")
                    box.taken.append(self._message())
                    self._say("250 taken")
                elif word == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 mailbox")

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def _message(self) -> EmailMessage:
            lines: list[bytes] = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b"."))
            return message_from_bytes(b"".join(lines), policy=policy.default)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        port = server.server_address[1]
        people = "from=portal@school.example&to=oncall@school.example"
        box.url = f"mailto://127.0.0.1:{port}/?{people}&mode=insecure&{PATIENCE}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield box
        finally:
            box.stopped.set()
            server.shutdown()
            thread.join()
