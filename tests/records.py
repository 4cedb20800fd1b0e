"""Events as a journal takes them, for tests of what lies below the doors."""

from __future__ import annotations

import time
from typing import Any
from zlib import crc32

import msgspec

from holdfast.core.ids import uuid7
from holdfast.journal.port import Journal
from holdfast.journal.record import Event, Record, envelope_head

OCCURRED = "2026-11-23T09:59:00.000Z"


def event_id(number: int) -> str:
    """The same id for the same number."""
    return uuid7(1_795_000_000_000 + number, number.to_bytes(10, "big"))


def event(
    number: int,
    *,
    org: str = "tidewater",
    lane: str = "progress",
    kind: str = "lesson.progressed",
    user: str = "ada",
    body: Any = None,  # noqa: ANN401 - JSON is anything by nature
    raw: bytes | None = None,
    **facts: Any,  # noqa: ANN401 - members of the envelope
) -> Event:
    """An event with its envelope; `raw` is the body's bytes, where they matter."""
    data = raw if raw is not None else msgspec.json.encode({} if body is None else body)
    digest = crc32(data, crc32(f"{user}\n{kind}\n1\n".encode()))
    members = {"userId": user, "actorId": user, "kind": kind, "version": 1, "occurredAt": OCCURRED} | facts
    its_id = event_id(number)
    rest = b"".join(b',"%b":%b' % (name.encode(), msgspec.json.encode(it)) for name, it in members.items())
    head = envelope_head(its_id, digest, lane, org)
    return Event(its_id, org, lane, digest, head + rest + b',"body":' + data + b"}")


def events(first: int, number: int, **facts: Any) -> list[Event]:  # noqa: ANN401 - as `event` takes them
    """Several events, numbered from `first` on."""
    return [event(at, **facts) for at in range(first, first + number)]


def record(made: Event, position: int, received_at: str = "2026-11-23T10:00:00.000Z") -> Record:
    """The event as a journal gives it back."""
    return Record(position, received_at, made.data)


def everything(journal: Journal, lane: str | None = None) -> list[Record]:
    """All records, read in small steps, as the applier does."""
    found: list[Record] = []
    after = 0
    while True:
        part = journal.read(after, 7, lane)
        found += part.records
        if part.through <= after:
            return found
        after = part.through


def seal(journal: Journal) -> None:
    """Seal the active segment, and wait until it is."""
    before = journal.stats().segments
    journal.seal()
    end = time.monotonic() + 10.0
    while journal.stats().segments == before:
        assert time.monotonic() < end, "the segment was not sealed"
        time.sleep(0.0005)


async def put(journal: Journal, made: list[Event]) -> int:
    """Append as one frame; the first position."""
    return await journal.append(made)
