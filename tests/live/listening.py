"""A browser at the stream of health, without the browser: reads, merges, remembers when it heard what."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from holdfast.feed.patch import merged

PATH = "/api/health/stream"


class Heard(NamedTuple):
    """An event and when it came, by `time.monotonic`."""

    at_s: float
    event: str
    data: dict[str, Any]
    retry_ms: int | None


class Listener:
    """One stream. `document` is what the reader knows; a patch that does not fit it is a failure."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, path: str = PATH) -> None:
        self.url = url
        self.path = path
        self.headers = dict(headers or {})
        self.document: dict[str, Any] = {}
        self.last_id: str | None = None
        self.events: list[Heard] = []
        self.raw = b""
        self.retry_ms: int | None = None
        self.status_line = ""
        self.head: dict[str, str] = {}
        self.ended = asyncio.Event()
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect and read the head; raises OSError when nobody answers."""
        self.ended.clear()
        address = urlsplit(self.url)
        reader, self._writer = await asyncio.open_connection(address.hostname, address.port)
        resume = {} if self.last_id is None else {"Last-Event-ID": self.last_id}
        lines = [f"GET {self.path} HTTP/1.1", f"Host: {address.netloc}"]
        lines += [f"{name}: {value}" for name, value in {**self.headers, **resume}.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.status_line, *fields = head.strip().split("\r\n")
        self.head = {
            name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)
        }
        self._task = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        text = b""
        with contextlib.suppress(OSError):
            while got := await reader.read(65_536):
                self.raw += got
                text += got
                *blocks, text = text.split(b"\n\n")
                for block in blocks:
                    self._take(block.decode())
        if self._writer is not None:
            self._writer.close()
        self.ended.set()
        self._news.set()

    def _take(self, block: str) -> None:
        fields = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        if "retry" in fields:
            self.retry_ms = int(fields["retry"])
        if "event" not in fields:
            return
        data = json.loads(fields["data"])
        if fields["event"] == "snapshot":
            self.document = data
        elif fields["event"] == "patch":
            assert data["base"] == self.document["seq"], "a patch is missing"
            self.document = merged(self.document, data["patch"])
        if "id" in fields:
            self.last_id = fields["id"]
            assert self.last_id == f"{self.document['epoch']}.{self.document['seq']}"
        self.events.append(Heard(time.monotonic(), fields["event"], data, self.retry_ms))
        self._news.set()

    async def until(self, look: Callable[[dict[str, Any]], Any], timeout_s: float = 60.0) -> float:
        """When the document first was as `look` wants it, by `time.monotonic`."""
        end_s = time.monotonic() + timeout_s
        while not (self.document and look(self.document)):
            left_s = end_s - time.monotonic()
            assert left_s > 0, f"never heard within {timeout_s} s; last: {self.document}"
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_s)
            assert self._task is not None
            if self._task.done():
                self._task.result()
        return self.events[-1].at_s

    def names(self, event: str) -> list[Heard]:
        """The events of a name."""
        return [each for each in self.events if each.event == event]

    async def close(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()


@asynccontextmanager
async def listening(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Listener]:
    """A listener that has heard its snapshot."""
    listener = Listener(url, headers)
    await listener.open()
    try:
        await listener.until(bool)
        yield listener
    finally:
        await listener.close()


def proof(client: Any) -> dict[str, str]:  # noqa: ANN401 - httpx2's client
    """A signed-in client's proof, as headers."""
    return {"Cookie": client.headers["Cookie"]}
