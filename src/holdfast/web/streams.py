"""The streams of health: each a connection taken over from the HTTP server, on the same port.

A framework's stream costs a task, a request, an iterator and a heartbeat timer; here it is a protocol
of a few words, and a patch is one `write` of bytes that were encoded once for everybody (see the ADR).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import structlog

from holdfast.access.principal import Principal
from holdfast.core.clock import Clock, rfc3339
from holdfast.core.errors import HoldfastError
from holdfast.feed.message import frame
from holdfast.feed.port import Feed
from holdfast.web.telling import Audience, Telling

log = structlog.get_logger(__name__)

PATH: Final = "/api/health/stream"
MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = {
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}
BEAT_S: Final = 15
SEND_BUFFER_BYTES: Final = 16 << 10
"""What the kernel may hold for one reader. Left alone it takes megabytes for each that does not read."""
UNREAD_S: Final = 60.0
"""A reader who takes nothing for so long is let go; who comes back gets a snapshot anyway."""
RETRY_MS: Final = (1_000, 4_000)
"""How long a browser waits after a line broke: drawn for each, so that a crowd does not come at once."""
POLL_MS: Final = (15_000, 45_000)
"""When somebody may come again for whom there is no place now."""
RETURNS_PER_S: Final = 500
"""How fast those come back whom a stopping portal sends away."""
RESTART_MS: Final = 1_000
AGE_SHARE: Final = (0.8, 1.2)

Proof = tuple[str | None, str | None, str | None]
"""What a caller proved who they are with: the headers Authorization, Cookie and X-Org-Id."""


class Limits(NamedTuple):
    """How many streams there may be, and how old."""

    most: int
    per_user: int
    age_s: float


class StreamStats(NamedTuple):
    """The streams' condition, and counts since start."""

    open: int
    lagging: int
    opened: int
    turned_away: int
    evicted: int
    rejected: int
    """Ended because their session did."""


class Stream(asyncio.Protocol):
    """One reader. Its kernel buffer is the only queue: who lags gets one snapshot, not all they missed."""

    __slots__ = ("ends_s", "lagging_s", "missed", "proof", "seat", "streams", "transport", "user", "whom")

    def __init__(self, streams: Streams, transport: asyncio.Transport, proof: Proof) -> None:
        self.streams = streams
        self.transport = transport
        self.proof = proof
        self.whom: Audience | None = None
        self.user = ""
        self.seat = -1
        self.ends_s = 0.0
        self.lagging_s: float | None = None
        self.missed = False

    def deliver(self, frame: bytes) -> None:
        """Send, unless what was sent before is still unread."""
        if self.lagging_s is None:
            self.transport.write(frame)
        else:
            self.missed = True

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self.lagging_s = self.streams.clock.ticks_s()
        self.streams.lagging += 1

    def resume_writing(self) -> None:
        """It does again: one snapshot instead of everything."""
        if self.lagging_s is not None:
            self.lagging_s = None
            self.streams.lagging -= 1
        if self.missed and self.whom is not None:
            self.missed = False
            self.transport.write(self.streams.telling.now(self.whom).snapshot)

    def connection_lost(self, exc: Exception | None) -> None:
        """They are gone."""
        del exc
        if self.lagging_s is not None:
            self.lagging_s = None
            self.streams.lagging -= 1
        self.streams.left(self)


class Streams:
    """All streams of a portal; event loop only."""

    def __init__(
        self,
        feed: Feed,
        telling: Telling[Any],
        clock: Clock,
        limits: Limits,
        *,
        audience: Callable[[Principal | None], Audience],
        prove: Callable[[Proof], Principal | None],
        refresh: Callable[[Proof], object],
    ) -> None:
        """`audience`: whom somebody belongs to. `prove` tells from memory who it is.

        It raises LookupError where the store must be asked; `refresh`, a coroutine function, then does.
        """
        self.feed = feed
        self.telling = telling
        self.clock = clock
        self.limits = limits
        self.open = 0
        self.lagging = 0
        self.draining = False
        self._audience = audience
        self._prove = prove
        self._refresh = refresh
        self._seats: list[dict[Stream, None]] = [{} for _ in range(BEAT_S)]
        self._turn = 0
        self._per_user: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: set[Proof] = set()
        self._opened = self._turned_away = self._evicted = self._rejected = 0
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        self._head = f"HTTP/1.1 200 OK\r\ncontent-type: {MEDIA_TYPE}\r\n{head}connection: close\r\n"

    def stats(self) -> StreamStats:
        """The streams' condition."""
        return StreamStats(
            self.open, self.lagging, self._opened, self._turned_away, self._evicted, self._rejected
        )

    # Coming

    def take(self, transport: asyncio.Transport, headers: Iterable[tuple[bytes, bytes]], more: str) -> None:
        """Take a connection over whose request for the stream was read. `more`: further header lines."""
        named = {name: value.decode("latin-1") for name, value in headers}
        proof = (named.get(b"authorization"), named.get(b"cookie"), named.get(b"x-org-id"))
        stream = Stream(self, transport, proof)
        transport.set_protocol(stream)
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_S * 1000))
        # Nothing waits in this process: what the kernel does not take makes the reader lag.
        transport.set_write_buffer_limits(high=0)
        head = (self._head + more + "\r\n").encode("latin-1")
        last_id = named.get(b"last-event-id")
        try:
            who = self._prove(proof)
        except LookupError:
            self._later(self._admit_later(stream, head, last_id))
        else:
            self._admit(stream, who, head, last_id)

    async def _admit_later(self, stream: Stream, head: bytes, last_id: str | None) -> None:
        who: Principal | None = None
        with contextlib.suppress(HoldfastError):
            who = await self._refresh(stream.proof)  # type: ignore[misc]
        if not stream.transport.is_closing():
            self._admit(stream, who, head, last_id)

    def _admit(self, stream: Stream, who: Principal | None, head: bytes, last_id: str | None) -> None:
        whom = self._audience(who)
        told = self.telling.now(whom)
        user = who.user_id if who is not None else ""
        full = self.open >= self.limits.most or (user and self._per_user.get(user, 0) >= self.limits.per_user)
        if self.draining or full:
            self._turned_away += 1
            stream.transport.write(head + self.once(told.snapshot))
            stream.transport.close()
            return
        self._opened += 1
        stream.whom, stream.user, stream.seat = whom, user, (self._turn - 1) % BEAT_S
        stream.ends_s = self.clock.ticks_s() + self.limits.age_s * random.uniform(*AGE_SHARE)  # noqa: S311
        self._seats[stream.seat][stream] = None
        self.open += 1
        if user:
            self._per_user[user] = self._per_user.get(user, 0) + 1
        first = self.feed.join(whom.topic, stream, last_id)
        stream.transport.write(head + _retry(_draw(RETRY_MS)) + first)

    def once(self, snapshot: bytes) -> bytes:
        """What somebody gets for whom there is no place: all there is to know, and when to come again."""
        return _retry(_draw((RESTART_MS, 5_000) if self.draining else POLL_MS)) + snapshot

    # Staying

    async def run(self) -> None:
        """Beat until cancelled: a fifteenth of the streams each second."""
        while True:
            await asyncio.sleep(1.0)
            try:
                self.beat()
            except Exception:
                # A fault of ours must not silence every screen.
                log.exception("a beat failed")

    def beat(self) -> None:
        """Tell those whose turn it is that we live, and look whether they may still listen."""
        turn, self._turn = self._turn, (self._turn + 1) % BEAT_S
        now_s = self.clock.ticks_s()
        beats: dict[str, bytes] = {}
        for stream in tuple(self._seats[turn]):
            if stream.whom is None or not self._may_stay(stream, now_s):
                continue
            topic = stream.whom.topic
            if topic not in beats:
                told = self.telling.now(stream.whom)
                beats[topic] = frame("beat", {"seq": told.seq, "observedAt": rfc3339(self.clock.now_s())})
            stream.deliver(beats[topic])

    def recheck(self) -> None:
        """A session was ended: whoever listens with it is sent away now."""
        for seat in self._seats:
            for stream in tuple(seat):
                self._still_theirs(stream)

    def _may_stay(self, stream: Stream, now_s: float) -> bool:
        if stream.lagging_s is not None and now_s - stream.lagging_s > UNREAD_S:
            self._evicted += 1
            stream.transport.abort()
            return False
        if now_s > stream.ends_s:
            self._bye(stream, "age", _draw(RETRY_MS))
            return False
        return self._still_theirs(stream)

    def _still_theirs(self, stream: Stream) -> bool:
        try:
            who = self._prove(stream.proof)
        except LookupError:
            # Asked in the background, once for all who hold the same proof; the next beat knows.
            if stream.proof not in self._asked:
                self._asked.add(stream.proof)
                self._later(self._ask(stream.proof))
            return True
        if self._audience(who) == stream.whom:
            return True
        self._rejected += 1
        self._bye(stream, "session", _draw(RETRY_MS))
        return False

    async def _ask(self, proof: Proof) -> None:
        try:
            with contextlib.suppress(HoldfastError):
                await self._refresh(proof)  # type: ignore[misc]
        finally:
            self._asked.discard(proof)

    def _later(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Going

    def left(self, stream: Stream) -> None:
        """A stream's connection is no more."""
        if stream.seat < 0 or stream.whom is None:
            return
        del self._seats[stream.seat][stream]
        self.open -= 1
        self.feed.leave(stream.whom.topic, stream)
        if stream.user:
            rest = self._per_user.pop(stream.user, 1) - 1
            if rest:
                self._per_user[stream.user] = rest
        stream.seat = -1

    def _bye(self, stream: Stream, reason: str, retry_ms: int) -> None:
        stream.transport.write(frame("bye", {"reason": reason, "retryMs": retry_ms}, retry_ms=retry_ms))
        stream.transport.close()
        self.left(stream)

    async def drain(self, within_s: float = 1.0) -> None:
        """End every stream: each hears when to come back, so that not all do at once. Returns in time."""
        self.draining = True
        leaving = [stream for seat in self._seats for stream in seat]
        random.shuffle(leaving)
        window_ms = max(1_000.0, 1_000 * len(leaving) / RETURNS_PER_S)
        for number, stream in enumerate(leaving):
            retry_ms = RESTART_MS + int(window_ms * number / len(leaving))
            if stream.lagging_s is None:
                self._bye(stream, "restart", retry_ms)
            else:
                stream.transport.abort()
        until_s = self.clock.ticks_s() + within_s
        # A second at most, once in a portal's life: no event for that.
        while any(not _is_gone(each) for each in leaving) and self.clock.ticks_s() < until_s:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for stream in leaving:
            stream.transport.abort()
        for task in tuple(self._tasks):
            task.cancel()


def proof_of(headers: Mapping[str, str]) -> Proof:
    """The proof in a request's headers, named in lower case."""
    return headers.get("authorization"), headers.get("cookie"), headers.get("x-org-id")


def headers_of(proof: Proof) -> dict[str, str]:
    """A proof as the headers it was."""
    names = ("authorization", "cookie", "x-org-id")
    return {name: value for name, value in zip(names, proof, strict=True) if value is not None}


def _is_gone(stream: Stream) -> bool:
    return stream.transport.is_closing() and stream.transport.get_write_buffer_size() == 0


def _retry(retry_ms: int) -> bytes:
    return b"retry: %d\n\n" % retry_ms


def _draw(between: tuple[int, int]) -> int:
    return random.randint(*between)  # noqa: S311 - spreads load, hides nothing
