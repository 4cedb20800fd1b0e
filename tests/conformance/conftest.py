"""The engines of each port. A new one joins by a line here, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.core.clock import Clock, ManualClock
from holdfast.feed.hub import Hub
from holdfast.feed.port import Feed
from holdfast.journal.file import FileJournal
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.port import Journal
from holdfast.store.port import Store
from holdfast.store.sqlite import SqliteStore


@dataclass(frozen=True)
class JournalEngine:
    """A way to open a journal, and what that engine promises beyond the port."""

    name: str
    open: Callable[[Path, Clock, int], Journal]
    survives: bool
    """Whether what it holds is there after it was closed and opened again."""
    lines: Callable[[Path], list[Path]] = lambda _: []
    """The files whose damage `verify` must find; none where there are no files."""


@dataclass(frozen=True)
class StoreEngine:
    """A way to open a store, and what that engine promises beyond the port."""

    name: str
    open: Callable[[Path], Store]
    survives: bool
    reads_beside_a_write: bool
    """Whether a unit that reads sees a snapshot while one that writes is under way."""


@dataclass(frozen=True)
class FeedEngine:
    """A way to open a feed."""

    name: str
    open: Callable[[], Feed]


FEEDS = (FeedEngine("hub", Hub),)

JOURNALS = (
    JournalEngine(
        "file",
        lambda folder, clock, after: FileJournal(
            folder / "logs", clock=clock, segment_bytes=3000, after=after
        ),
        survives=True,
        lines=lambda folder: sorted((folder / "logs").glob("*.jsonl")),
    ),
    JournalEngine("memory", lambda _, clock, after: MemoryJournal(clock=clock, after=after), survives=False),
)

STORES = (
    StoreEngine(
        "sqlite file",
        lambda folder: SqliteStore(folder / "store.sqlite3"),
        survives=True,
        reads_beside_a_write=True,
    ),
    StoreEngine("sqlite memory", lambda _: SqliteStore(None), survives=False, reads_beside_a_write=False),
)


@pytest.fixture(params=JOURNALS, ids=lambda engine: engine.name)
def journals(request: pytest.FixtureRequest) -> JournalEngine:
    """A journal's engine."""
    engine: JournalEngine = request.param
    return engine


@pytest.fixture(params=STORES, ids=lambda engine: engine.name)
def stores(request: pytest.FixtureRequest) -> StoreEngine:
    """A store's engine."""
    engine: StoreEngine = request.param
    return engine


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture
def journal(journals: JournalEngine, tmp_path: Path, clock: ManualClock) -> Iterator[Journal]:
    """An empty journal."""
    opened = journals.open(tmp_path, clock, 0)
    yield opened
    opened.close()


@pytest.fixture
def store(stores: StoreEngine, tmp_path: Path) -> Iterator[Store]:
    """A store with its tables and nothing in them."""
    opened = stores.open(tmp_path)
    yield opened
    opened.close()
