"""Take events in: judge each, append the good ones as one frame, answer a receipt for every one.

One bad event never sinks its neighbours. A receipt that says `accepted` or `duplicate` is given
only for what is durable.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

import msgspec

from holdfast.core.clock import Clock, rfc3339
from holdfast.core.errors import Rejected, Unavailable
from holdfast.core.ids import position_text, position_texts
from holdfast.events.devices import DeviceBook, DeviceState
from holdfast.events.entry import UNREADABLE
from holdfast.events.envelope import Batch, Count, Judge, Sender, Stamp
from holdfast.events.window import Window
from holdfast.journal.port import Journal
from holdfast.journal.record import Event
from holdfast.journal.segment import owner

Status = Literal["accepted", "duplicate", "invalid", "forbidden", "conflict", "later"]


class Receipt(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    """The server's word about one event. `accepted` and `duplicate` mean: it is on disk."""

    id: str
    status: Status
    position: str | None = None
    durable: str | None = None
    code: str | None = None
    reason: str | None = None
    retry_after_s: float | None = None


class Receipts(msgspec.Struct, rename="camel"):
    """The answer to a batch: a receipt an event, in order."""

    receipts: list[Receipt]
    device: DeviceState | None
    slow_down_ms: Count


class Number(NamedTuple):
    """An event's place in the numbering of the device it comes from; nothing where no device numbered it."""

    device_id: str | None = None
    generation: int = 1
    seq: int | None = None


UNNUMBERED: Final = Number()


class Counters(msgspec.Struct):
    """What intake answered since start, by status."""

    accepted: int = 0
    duplicate: int = 0
    invalid: int = 0
    forbidden: int = 0
    conflict: int = 0
    later: int = 0

    def count(self, receipts: Sequence[Receipt]) -> None:
        """Add a batch's receipts."""
        for status, number in Counter([receipt.status for receipt in receipts]).items():
            setattr(self, status, getattr(self, status) + number)


FORBIDDEN: Final = 403


class _Twin(NamedTuple):
    """An event whose like is being written: its receipt follows from that one's."""

    at: int
    event: Event
    write: _Write | None
    """None when the like is in the same batch."""


class _Write(NamedTuple):
    """A frame on its way to the disk."""

    done: asyncio.Future[int]
    events: list[Event]

    def digest(self, org: str, event_id: str) -> int:
        """The digest of one of its events."""
        return next(each.digest for each in self.events if each.id == event_id and each.org == org)

    def position(self, org: str, event_id: str) -> int:
        """The position of one of its events, once it is on the disk."""
        at = next(at for at, each in enumerate(self.events) if each.id == event_id and each.org == org)
        return self.done.result() + at


class _Work:
    """One batch's working state."""

    def __init__(self, number: int) -> None:
        self.receipts: list[Receipt | None] = [None] * number
        self.places: Sequence[int] = ()
        """Where the receipts of `fresh` go."""
        self.fresh: list[Event] = []
        """To be appended and answered."""
        self.ids: dict[str, list[str]] = {}
        """Org -> the ids of its fresh events."""
        self.conflicts: list[Event] = []
        """To be appended beside them; the receipt says that they are kept, so it waits for that too."""
        self.conflict_places: list[int] = []
        self.twins: list[_Twin] = []


class _IdOnly(msgspec.Struct):
    id: str = ""


class _SeqOnly(msgspec.Struct):
    seq: int | None = None


_id_only = msgspec.json.Decoder(_IdOnly)
_seq_only = msgspec.json.Decoder(_SeqOnly)

KEPT: Final = frozenset({"accepted", "duplicate", "conflict"})
"""What these say is on disk, so its number has arrived; the rest is on its device alone."""


class Intake:
    """Takes events in. One a process; used from the event loop only."""

    def __init__(
        self,
        journal: Journal,
        judge: Judge,
        *,
        clock: Clock,
        window: Window,
        devices: DeviceBook,
        slow_down_ms: Callable[[], int],
        room: Callable[[str], Unavailable | None],
    ) -> None:
        """`room` says of a lane why it may not be written now, given the disk's free space."""
        self._journal = journal
        self._judge = judge
        self._clock = clock
        self._window = window
        self._devices = devices
        self._slow_down_ms = slow_down_ms
        self._room = room
        self._durable = journal.stats().durable
        self._flight: dict[str, dict[str, _Write]] = {}
        """Org -> id -> the write it is in."""
        self.counters = Counters()

    async def batch(self, sender: Sender, batch: Batch, door: str) -> Receipts:
        """Judge each event, append the good ones as one frame, answer for every one in order.

        Raises Unavailable when not one of them could be answered for; then nothing is certain
        but that the same ids may be sent again.
        """
        work = _Work(len(batch.events))
        stamp = Stamp(sender, batch, door, rfc3339(self._clock.now_s()))
        judge = self._judge.judge
        events: list[Event] = []
        places: Sequence[int] = range(len(batch.events))
        for at, raw in enumerate(batch.events):
            try:
                events.append(judge(raw, stamp))
            except Rejected as refused:
                work.receipts[at] = _refusal(raw, refused)
        if len(events) < len(places):
            places = [at for at in places if work.receipts[at] is None]
        self._place(places, events, {plan.org for plan in stamp.plans.values()}, work)
        try:
            await self._append(work)
            for twin in work.twins:
                await self._join(twin, work)
        except Unavailable as refused:
            if not any(work.receipts):
                raise
            for at, raw in enumerate(batch.events):
                if work.receipts[at] is None:
                    work.receipts[at] = _later(raw, refused)
        answers = [receipt for receipt in work.receipts if receipt is not None]
        self.counters.count(answers)
        device = None
        if batch.device_id is not None and sender.orgs:
            # Each event was read, and either every one of them was kept or the exceptions are looked at.
            seqs = stamp.seqs if len(work.fresh) == len(answers) else _kept_seqs(batch, answers)
            device = await self._devices.saw(
                sender.orgs[0], sender.user, batch.device_id, batch.generation, seqs
            )
        return Receipts(answers, device, self._slow_down_ms())

    async def one(
        self,
        sender: Sender,
        *,
        kind: str,
        event_id: str,
        org: str,
        body: bytes,
        door: str,
        number: Number = UNNUMBERED,
    ) -> Receipt:
        """Take one event that a route words itself, such as an assignment: same rules, same receipt."""
        event = {"id": event_id, "kind": kind, "version": 1, "orgId": org, "body": msgspec.Raw(body)}
        if number.seq is not None:
            event["seq"] = number.seq
        batch = Batch([msgspec.Raw(msgspec.json.encode(event))], number.device_id, number.generation)
        answer = await self.batch(sender, batch, door)
        return answer.receipts[0]

    def position(self, org: str, event_id: str) -> tuple[str, int] | None:
        """Lane and position of an id that was committed lately, for whoever waits for its effect."""
        known = self._window.get(org, event_id.lower())
        if known is None:
            return None
        found = self._journal.read(known[1] - 1, 1)
        return (owner(found.records[0].data)[1], known[1]) if found.records else None

    def holds(self, org: str, event_id: str) -> bool:
        """Whether the id is among the lately committed ones."""
        return self._window.get(org, event_id.lower()) is not None

    def _place(self, places: Sequence[int], events: list[Event], orgs: set[str], work: _Work) -> None:
        """Tell fresh from duplicate, from being written, from conflict."""
        if not events:
            return
        org = events[0].org
        ids = [event[0] for event in events]
        flight = self._flight.get(org)
        if (
            len(orgs) == 1
            and (flight is None or flight.keys().isdisjoint(ids))
            and len(set(ids)) == len(ids)
            and self._window.strangers(org, ids)
        ):
            work.places, work.fresh, work.ids = places, events, {org: ids}
            return
        seen: dict[tuple[str, str], int] = {}
        work.places = [
            at for at, event in zip(places, events, strict=True) if self._is_fresh(at, event, seen, work)
        ]

    def _is_fresh(self, at: int, event: Event, seen: dict[tuple[str, str], int], work: _Work) -> bool:
        key = (event.org, event.id)
        known = self._window.get(event.org, event.id)
        flight = self._flight.get(event.org, {}).get(event.id)
        digest = known[0] if known else flight.digest(*key) if flight else seen.get(key, event.digest)
        if digest != event.digest:
            if self._window.conflicted(event.org, event.id, event.digest):
                work.receipts[at] = _conflict(event.id)
            else:
                # Journalled like any other: the applier keeps it as a dead letter.
                work.conflicts.append(event)
                work.conflict_places.append(at)
        elif known:
            work.receipts[at] = Receipt(event.id, "duplicate", position_text(known[1]), self._durable)
        elif flight or key in seen:
            work.twins.append(_Twin(at, event, flight))
        else:
            seen[key] = event.digest
            work.fresh.append(event)
            work.ids.setdefault(event.org, []).append(event.id)
            return True
        return False

    async def _append(self, work: _Work) -> None:
        fresh = work.fresh
        written = [*fresh, *work.conflicts] if work.conflicts else fresh
        if not written:
            return
        for lane in {event.lane for event in written}:
            if (refused := self._room(lane)) is not None:
                raise refused
        done = self._journal.append(written)
        write = _Write(done, fresh)
        for org, ids in work.ids.items():
            self._flight.setdefault(org, {}).update(dict.fromkeys(ids, write))
        if done.done():
            # An engine may answer at once; a callback would come too late for this batch's own twins.
            self._landed(work, done)
        else:
            # By callback: a sender that goes away must not leave ids in flight, nor committed ones unknown.
            done.add_done_callback(partial(self._landed, work))
        first = await asyncio.shield(done)
        durable = self._durable
        answers = [
            Receipt(event[0], "accepted", position, durable)
            for event, position in zip(fresh, position_texts(first, len(fresh)), strict=True)
        ]
        receipts = work.receipts
        if len(answers) == len(receipts):
            receipts[:] = answers
        else:
            for at, answer in zip(work.places, answers, strict=True):
                receipts[at] = answer
        for at, event in zip(work.conflict_places, work.conflicts, strict=True):
            receipts[at] = _conflict(event.id)

    def _landed(self, work: _Work, future: asyncio.Future[int]) -> None:
        for org, ids in work.ids.items():
            flight = self._flight[org]
            for event_id in ids:
                del flight[event_id]
            if not flight:
                del self._flight[org]
        if future.cancelled() or future.exception() is not None:
            return
        if len(work.ids) == 1:
            ((org, ids),) = work.ids.items()
            self._window.extend(org, ids, [event[3] for event in work.fresh], future.result())
        else:
            for position, event in enumerate(work.fresh, future.result()):
                self._window.add(event.org, event.id, event.digest, position)
        for event in work.conflicts:
            self._window.note_conflict(event.org, event.id, event.digest)

    async def _join(self, twin: _Twin, work: _Work) -> None:
        org, event_id = twin.event.org, twin.event.id
        if twin.write is not None:
            await asyncio.shield(twin.write.done)
            # Not by the window: what came meanwhile may have pushed it out again.
            position = twin.write.position(org, event_id)
        elif (known := self._window.get(org, event_id)) is not None:
            position = known[1]
        else:
            raise Unavailable("the write this event waited for failed", code="unknown_outcome", retry_s=1.0)
        work.receipts[twin.at] = Receipt(event_id, "duplicate", position_text(position), self._durable)


def _kept_seqs(batch: Batch, answers: Sequence[Receipt]) -> list[int]:
    """The numbers of what is on disk: one that was refused, or put off, has not arrived."""
    kept = [raw for raw, answer in zip(batch.events, answers, strict=True) if answer.status in KEPT]
    return [seq for raw in kept if (seq := _seq_only.decode(raw).seq) is not None]


def _conflict(event_id: str) -> Receipt:
    return Receipt(
        event_id,
        "conflict",
        code="conflict",
        reason="this id came before with another body; both are kept, this one as a dead letter",
    )


def _refusal(raw: msgspec.Raw, refused: Rejected) -> Receipt:
    status: Status = "forbidden" if refused.status == FORBIDDEN else "invalid"
    return Receipt(_id(raw), status, code=refused.code, reason=refused.message)


def _later(raw: msgspec.Raw, refused: Unavailable) -> Receipt:
    return Receipt(
        _id(raw), "later", code=refused.code, reason=refused.message, retry_after_s=refused.retry_s
    )


def _id(raw: msgspec.Raw) -> str:
    """The id an unreadable event states, empty where it states none."""
    try:
        return _id_only.decode(raw).id[:64]
    except UNREADABLE:
        return ""
