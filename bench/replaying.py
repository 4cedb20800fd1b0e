"""Replaying, part by part as the replayer does, against applying the same events the first time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.applying import Load, _apply, _batches, _catalog, _loads, _store
from bench.figure import Figure, Scale, alternate
from bench.folder import work_folder
from bench.portal import RECEIVED_AT
from holdfast.events.entry import Entry, Kinds, read_record
from holdfast.events.numbers import Remembered
from holdfast.events.replay import Counts, Tally
from holdfast.events.replaying import CHUNK, WATCHED, replay_entries
from holdfast.store.sqlite import SqliteStore
from holdfast.web.server import settle_memory

LOADS: Final = 3
"""The first loads of the bench of applying: one learner's work, many learners', analytics."""


def run(scale: Scale) -> list[Figure]:
    """One figure a kind of load."""
    with work_folder() as folder:
        found = _loads(folder, scale)
        return [_measure(folder, next(found), scale) for _ in range(LOADS)]


def _measure(folder: Path, load: Load, scale: Scale) -> Figure:
    known = Kinds(_catalog())
    settle_memory()

    def applied(store: SqliteStore) -> None:
        remembered = Remembered()
        for batch in _batches(load.records):
            _apply(store, known, load.lane, batch, remembered)

    def ours() -> float:
        with _store(folder, load) as store:
            applied(store)
            began = time.perf_counter()
            for entries in _parts(load):
                _replay(store, known, entries)
            return len(load.records) / (time.perf_counter() - began)

    def plain() -> float:
        with _store(folder, load) as store:
            began = time.perf_counter()
            applied(store)
            return len(load.records) / (time.perf_counter() - began)

    mine, peers = alternate(scale.rounds, ours, plain)
    return Figure(
        bench="replay",
        name=load.name,
        unit="events/s",
        how=f"{len(load.records):,} events that were applied before, replayed {CHUNK:,} a transaction: read, "
        "looked up among the marks, applied again where their kind repeats, with every changed row noted.",
        ours=mine,
        peer_is="Applying the same events the first time, through `apply_batch`.",
        peer=peers,
        least_ratio=1.0,
    )


def _parts(load: Load) -> Iterator[list[Entry]]:
    for at in range(0, len(load.records), CHUNK):
        batch = load.records[at : at + CHUNK]
        yield [entry for record in batch if isinstance(entry := read_record(record), Entry)]


def _replay(store: SqliteStore, known: Kinds, entries: list[Entry]) -> None:
    tally = Tally(Counts(), [], [])
    with store.transaction(None) as tx, tx.watching(WATCHED) as taken:
        replay_entries(tx, known, entries, tally, lambda _: 0, RECEIVED_AT)
        tally.saw(taken())
    counts = tally.counts
    if counts.repeated + counts.already != len(entries) or counts.rows_added + counts.rows_changed:
        raise RuntimeError(f"a replay of what was applied changed something: {counts}")
