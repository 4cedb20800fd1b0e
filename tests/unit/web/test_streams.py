"""The streams of health by themselves: what a beat asks of the store."""

from __future__ import annotations

import asyncio

from holdfast.access.principal import Membership, Principal
from holdfast.core.clock import ManualClock
from holdfast.core.errors import Unavailable
from holdfast.feed.hub import Hub
from holdfast.web.streams import BEAT_S, Limits, Proof, Streams
from holdfast.web.telling import Audience, Telling

ADA = Principal("ada", "Ada", "ada@tide.example", (Membership("tide", "Tide", ("learner",)),), org="tide")
HERS, ANOTHERS = b"holdfast=one", b"holdfast=another"


class Wire(asyncio.Transport):
    """A connection whose other end takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Desk:
    """Streams whose proofs can be made old, and a store that answers when it is told to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.feed = Hub()
        self.old = False
        self.asked: list[str | None] = []
        self.answer = asyncio.Event()
        self.out = False
        self.streams = Streams(
            self.feed,
            Telling(self.feed, self.clock, int, lambda whom, _: {"kind": whom.kind}),
            self.clock,
            Limits(100, 100, 900.0),
            audience=lambda _: Audience("member", "tide"),
            prove=self.prove,
            refresh=self.refresh,
        )

    def prove(self, _: Proof) -> Principal:
        if self.old:
            raise LookupError("ada")
        return ADA

    async def refresh(self, proof: Proof) -> Principal:
        self.asked.append(proof[1])
        await self.answer.wait()
        if self.out:
            raise Unavailable("the store is out")
        return ADA

    def take(self, cookie: bytes) -> Wire:
        wire = Wire()
        self.streams.take(wire, [(b"cookie", cookie)], "")
        return wire

    def beats(self, number: int = BEAT_S) -> None:
        for _ in range(number):
            self.streams.beat()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_while_the_store_is_asked_who_somebody_is_it_is_not_asked_again_for_another_of_their_tabs() -> (
    None
):
    desk = Desk()
    wires = [desk.take(cookie) for cookie in [HERS] * 20 + [ANOTHERS] * 20]
    desk.old = True
    desk.beats(3 * BEAT_S)
    await turns()
    assert sorted(desk.asked, key=str) == [ANOTHERS.decode(), HERS.decode()]
    assert not any(wire.closed for wire in wires), "they stay until the store has said otherwise"
    assert all(b"event: beat" in wire.sent for wire in wires)


async def test_once_the_store_has_answered_or_failed_the_next_beat_may_ask_again() -> None:
    desk = Desk()
    desk.take(HERS)
    desk.old = True
    desk.answer.set()
    for out in (False, True, False):
        desk.out = out
        desk.beats()
        await turns()
    assert desk.asked == [HERS.decode()] * 3
