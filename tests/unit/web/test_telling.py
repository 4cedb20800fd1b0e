"""Health's documents: what they cost, and that a fault in making one does not end the telling."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.core.clock import ManualClock
from holdfast.feed.hub import Hub
from holdfast.web.telling import ASKED_S, FRESH_S, STRANGERS, Audience, Telling

MEMBERS = [Audience("member", org) for org in ("tide", "high", "low")]


class Desk:
    """A telling that counts how often it gathers."""

    def __init__(self, clock: ManualClock) -> None:
        self.gathered = 0
        self.broken = 0
        """Which gathering fails."""
        self.clock = clock
        self.feed = Hub()
        self.telling = Telling(self.feed, clock, self.facts, self.build)

    def facts(self) -> int:
        self.gathered += 1
        if self.gathered == self.broken:
            raise ZeroDivisionError
        return self.gathered

    def build(self, whom: Audience, facts: int) -> dict[str, Any]:
        return {"kind": whom.kind, "n": facts}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_turn_s_numbers_are_gathered_once_however_many_audiences_ask(clock: ManualClock) -> None:
    desk = Desk(clock)
    for whom in (STRANGERS, *MEMBERS):
        desk.telling.now(whom)
    assert desk.gathered == 1
    await turns()
    clock.advance(FRESH_S)
    for whom in (STRANGERS, *MEMBERS):
        desk.telling.now(whom)
    assert desk.gathered == 2


async def test_who_asks_first_never_gets_numbers_that_were_gathered_for_another_before(
    clock: ManualClock,
) -> None:
    desk = Desk(clock)
    desk.telling.now(STRANGERS)
    await desk.telling.tell()
    await turns()
    desk.telling.now(MEMBERS[0])
    assert desk.gathered == 3


async def test_a_change_is_gathered_at_once(clock: ManualClock) -> None:
    desk = Desk(clock)
    desk.telling.now(STRANGERS)
    desk.telling.changed()
    desk.telling.now(STRANGERS)
    assert desk.gathered == 2


async def test_whom_nobody_asks_about_any_more_keeps_no_patches(clock: ManualClock) -> None:
    desk = Desk(clock)
    desk.telling.now(STRANGERS)
    for _ in range(20):
        clock.advance(1.0)
        await desk.telling.tell()
    assert desk.feed._topics[STRANGERS.topic].ring
    clock.advance(ASKED_S)
    await desk.telling.tell()
    topic = desk.feed._topics[STRANGERS.topic]
    assert (len(topic.ring), topic.ring_bytes) == (0, 0)


async def test_a_fault_in_one_telling_does_not_end_the_next(clock: ManualClock) -> None:
    desk = Desk(clock)
    before = desk.telling.now(STRANGERS)
    desk.broken = 2
    running = asyncio.create_task(desk.telling.run())
    for _ in range(2):
        await turns()
        desk.telling.changed()
    await turns()
    told = desk.feed.now(STRANGERS.topic)
    assert not running.done()
    running.cancel()
    assert (desk.gathered, told is not None and told.seq) == (4, before.seq + 2)


async def turns() -> None:
    """Let what can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)
