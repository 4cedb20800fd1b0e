"""Somebody who takes what PagerDuty would take, over real HTTP, and can refuse it for a while."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """`taken`: events it answered 202; `asked`: all that came."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.status = 202
        self.url = ""

    def acts(self) -> list[tuple[str, str]]:
        """What was done to which incident, in order."""
        return [(each["event_action"], each["dedup_key"]) for each in self.taken]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that runs."""
    known = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            known.asked.append(body)
            status = known.status
            if status == 202:
                known.taken.append(body)
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_address[1]}/v2/enqueue"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
