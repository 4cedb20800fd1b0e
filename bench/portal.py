"""A portal's own parts without a server: what they take in, and the records that come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop

from bench.school import Frame
from holdfast.core.clock import SystemClock
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.port import Journal
from holdfast.journal.record import Event, Record
from holdfast.settings import Settings
from holdfast.store.port import Store
from holdfast.store.sqlite import SqliteStore
from holdfast.web.portal import Portal
from holdfast.wiring import assemble, make_keys

RECEIVED_AT = "2026-01-01T00:00:00.000Z"


class Kept(MemoryJournal):
    """A journal that keeps what it is given as it is given."""

    def __init__(self) -> None:
        """Empty."""
        super().__init__()
        self.events: list[Event] = []

    def append(self, events: Sequence[Event]) -> asyncio.Future[int]:
        """Keep them; the position of the first."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(len(self.events) + 1)
        self.events += events
        return done


@contextmanager
def store_in(folder: Path) -> Iterator[SqliteStore]:
    """A store in a folder, closed when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    store = SqliteStore(folder / "store.sqlite3")
    try:
        yield store
    finally:
        store.close()


def joined(folder: Path, journal: Journal, store: Store) -> Portal:
    """The parts of a portal, joined as wiring joins them. Call it on the event loop."""
    settings = Settings(data_dir=folder)
    return assemble(settings, journal, store, SystemClock(), make_keys(settings))


async def take(portal: Portal, frames: Iterable[Frame], door: str) -> int:
    """Send frames through intake, one after another; how many events were accepted."""
    accepted = 0
    for sender, batch in frames:
        answer = await portal.intake.batch(sender, batch, door)
        accepted += sum(receipt.status == "accepted" for receipt in answer.receipts)
    return accepted


def judged(folder: Path, frames: Iterable[Frame], door: str) -> list[Event]:
    """The events as intake words them for the journal. Raises RuntimeError when one was refused."""

    async def work() -> list[Event]:
        journal = Kept()
        store = SqliteStore(None)
        try:
            sent = list(frames)
            accepted = await take(joined(folder, journal, store), sent, door)
        finally:
            store.close()
        wanted = sum(len(batch.events) for _, batch in sent)
        if accepted != wanted:
            raise RuntimeError(f"intake accepted {accepted} of {wanted} events")
        return journal.events

    return uvloop.run(work())


def records(events: Iterable[Event]) -> list[Record]:
    """The events as the applier reads them."""
    return [Record(at, RECEIVED_AT, event.data) for at, event in enumerate(events, 1)]
