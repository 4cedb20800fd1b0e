"""Calls and events as JSON over one websocket: what CDP and BiDi have in common."""

from __future__ import annotations

import itertools
import json
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import Any, Final

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

CALL_S: Final = 30.0
LARGEST_BYTES: Final = 256 * 1024 * 1024


class Refused(Exception):
    """The browser said no."""


class Gone(Exception):
    """The browser, or the tab that was spoken to, is not there any more."""


class Talk:
    """One socket to one browser. Events are heard in the order they came in, in a thread of their own:
    whoever hears may itself make calls."""

    def __init__(self, url: str, heard: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        self._held = ExitStack()
        self._socket: ClientConnection = self._held.enter_context(
            connect(url, max_size=LARGEST_BYTES, open_timeout=CALL_S, ping_interval=None)
        )
        self._ids = itertools.count(1)
        self._asked: dict[int, Future[dict[str, Any]]] = {}
        self._heard = heard
        self._events: queue.SimpleQueue[dict[str, Any] | threading.Event | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._gone = False
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._tell)]
        for thread in self._threads:
            thread.start()

    def begin(self, method: str, params: dict[str, Any] | None = None, **more: str) -> Future[dict[str, Any]]:
        """Ask, and go on: the answer comes into the future. `more` stands beside the method."""
        number = next(self._ids)
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._gone:
                raise Gone(method)
            self._asked[number] = answer
        text = json.dumps({"id": number, "method": method, "params": params or {}, **more})
        try:
            self._socket.send(text)
        except ConnectionClosed as ended:
            raise Gone(method) from ended
        return answer

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        timeout_s: float = CALL_S,
        **more: str,
    ) -> dict[str, Any]:
        """Ask, and wait for the answer; `Refused`, `Gone` or TimeoutError where none comes."""
        try:
            return self.begin(method, params, **more).result(timeout_s)
        except TimeoutError:
            raise TimeoutError(f"{method} was not answered within {timeout_s} s") from None

    def heard_so_far(self) -> None:
        """Wait until every event that has come in by now has been heard."""
        all_heard, teller = threading.Event(), self._threads[-1]
        self._events.put(all_heard)
        # Whoever hears is on the way to it; and one that has ended hears nothing more.
        while teller is not threading.current_thread() and teller.is_alive():
            if all_heard.wait(0.1):
                return

    def close(self) -> None:
        """End the connection; the browser goes on."""
        with suppress(Exception):
            self._held.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(CALL_S)

    def _read(self) -> None:
        try:
            for text in self._socket:
                self._take(json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            with self._lock:
                self._gone = True
                left, self._asked = list(self._asked.values()), {}
            for answer in left:
                answer.set_exception(Gone("the browser ended the connection"))
            self._events.put(None)

    def _take(self, said: dict[str, Any]) -> None:
        if said.get("id") is None:
            self._events.put(said)
        elif (answer := self._asked.pop(said["id"], None)) is None:
            pass  # nobody waits for it any more
        elif "error" in said:
            answer.set_exception(Refused(json.dumps({each: said.get(each) for each in ("error", "message")})))
        else:
            answer.set_result(said.get("result", {}))

    def _tell(self) -> None:
        while (event := self._events.get()) is not None:
            if isinstance(event, threading.Event):
                event.set()
            else:
                self._heard(event)
