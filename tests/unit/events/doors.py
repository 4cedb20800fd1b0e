"""Intake by hand: a sender, a batch, a journal that answers when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from holdfast.core.clock import Clock, ManualClock
from holdfast.core.errors import Unavailable
from holdfast.events.devices import DeviceBook, Ranges
from holdfast.events.envelope import Batch, Judge, Sender
from holdfast.events.intake import Intake, Receipt
from holdfast.events.window import Window
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.port import Journal
from holdfast.journal.record import Event
from tests.records import event_id
from tests.unit.events.spine import SCHOOL_KINDS

BODY = b'{"courseId":"knots","lessonId":"one","percent":50}'


class GatedJournal(MemoryJournal):
    """A journal whose appends land when the test says so, or fail."""

    def __init__(self, clock: Clock) -> None:
        """Open at first."""
        super().__init__(clock=clock)
        self.held: list[tuple[Sequence[Event], asyncio.Future[int]]] = []
        self.closed_gate = False
        self.refuses: Unavailable | None = None
        """Raised by `append` itself."""

    def append(self, events: Sequence[Event]) -> asyncio.Future[int]:
        """Keep the events, at once or when the gate opens."""
        if self.refuses is not None:
            raise self.refuses
        if not self.closed_gate:
            return super().append(events)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.held.append((events, done))
        return done

    def land(self) -> None:
        """Let what is held become durable."""
        for events, done in self.held:
            done.set_result(super().append(events).result())
        self.held.clear()

    def fail(self, error: Unavailable) -> None:
        """Let what is held fail."""
        for _, done in self.held:
            done.set_exception(error)
            done.exception()
        self.held.clear()


async def _nothing_stored(*_: Any) -> Ranges | None:  # noqa: ANN401 - as `Load` has it
    return []


def intake(
    journal: Journal,
    *,
    enforce_org: bool = True,
    clock: Clock | None = None,
    room: Callable[[str], Unavailable | None] = lambda _: None,
    window: Window | None = None,
) -> Intake:
    """An intake over a journal."""
    return Intake(
        journal,
        Judge(SCHOOL_KINDS, enforce_org=enforce_org),
        clock=clock or ManualClock(),
        window=window or Window(),
        devices=DeviceBook(_nothing_stored),
        slow_down_ms=lambda: 0,
        room=room,
    )


def sender(
    user: str = "ada",
    orgs: Sequence[str] = ("tide",),
    may: Callable[[str, str], bool] = lambda _, __: True,
    *,
    on_behalf: bool = False,
) -> Sender:
    """Who sends."""
    return Sender(user, orgs, may, on_behalf)


def sent(number: int, body: bytes = BODY, **members: Any) -> bytes:  # noqa: ANN401 - JSON
    """One event as a device sends it; a member of None is left out."""
    stated = {"id": event_id(number), "kind": "lesson.progressed", "orgId": "tide"} | members
    head = b",".join(
        b"%b:%b" % (msgspec.json.encode(name), msgspec.json.encode(value))
        for name, value in stated.items()
        if value is not None
    )
    return b'{%b,"body":%b}' % (head, body)


def batch(*raws: bytes, device: str | None = None, generation: int = 1) -> Batch:
    """Events as one request brings them."""
    return Batch(events=[msgspec.Raw(raw) for raw in raws], device_id=device, generation=generation)


async def post(
    door: Intake, *raws: bytes, who: Sender | None = None, at: str = "progress", device: str | None = None
) -> list[Receipt]:
    """Send events as one batch; their receipts."""
    answer = await door.batch(who or sender(), batch(*raws, device=device), at)
    return answer.receipts


def statuses(receipts: Sequence[Receipt]) -> list[str]:
    """What the receipts say."""
    return [receipt.status for receipt in receipts]
