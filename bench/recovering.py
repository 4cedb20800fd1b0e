"""Recovery: the scan of a journal, against a bare loop over its lines; and a start with much to apply."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from zlib import crc32

import uvloop

from bench.figure import Figure, Scale, alternate, say
from bench.folder import size_bytes, work_folder
from bench.portal import joined, store_in, take
from bench.school import ORG, frames, put_learners
from bench.serving import Served, seeded
from holdfast.core.clock import SystemClock
from holdfast.journal.disk import OsDisk
from holdfast.journal.file import FileJournal
from holdfast.journal.recovery import recover

START_S = 5.0
"""The bar for a start."""


def run(scale: Scale) -> list[Figure]:
    """The scan, and the start."""
    lines = scale.size(1_000_000, 50_000)
    with work_folder() as folder:
        say(f"  writing a journal of {lines:,} events")
        data = folder / "data"
        _fill(data, lines)
        return [
            _scan(data / "logs", lines, scale),
            *(_start(folder, data, lines, scale, indexed=indexed) for indexed in (True, False)),
        ]


def _fill(data: Path, lines: int) -> None:
    """A portal's folder whose journal holds events that nobody has applied."""
    with seeded(data), store_in(data) as store:
        put_learners(store)

        async def work() -> None:
            journal = FileJournal(data / "logs", disk=_Quick())
            try:
                made = islice(frames("lesson.progressed", 100), lines // 100)
                accepted = await take(joined(data, journal, store), made, "progress")
            finally:
                journal.close()
            if accepted != lines:
                raise RuntimeError(f"{accepted} of {lines} events were accepted")

        uvloop.run(work())


class _Quick(OsDisk):
    """A disk that is not waited for: what is measured comes later."""

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """Write only."""
        return self.write(fd, b"".join(parts), offset)

    def sync(self, fd: int) -> None:
        """Nothing."""


def _scan(logs: Path, lines: int, scale: Scale) -> Figure:
    size = size_bytes(logs)

    def ours() -> float:
        # Without what sealed segments note of themselves: every byte is read and proved.
        for index in logs.glob("*.index.json"):
            index.unlink()
        began = time.perf_counter()
        found = recover(logs, OsDisk(), SystemClock())
        took_s = time.perf_counter() - began
        if found.fd is not None:
            OsDisk().close(found.fd)
        if sum(found.counts.get(ORG, {}).values()) != lines:
            raise RuntimeError(f"recovery counted {found.counts} instead of {lines}")
        return lines / took_s

    def bare() -> float:
        began = time.perf_counter()
        for _ in _summed(logs):
            pass
        return lines / (time.perf_counter() - began)

    mine, peers = alternate(scale.rounds, ours, bare)
    return Figure(
        bench="recovery",
        name="scan",
        unit="lines/s",
        how=f"`recover` of a journal of {lines:,} events ({size >> 20} MiB), without the indexes of its "
        "sealed segments: every byte is read and proved.",
        ours=mine,
        peer_is="Reading the same files line by line, and the crc32 of each line.",
        peer=peers,
        least_ratio=0.6,
    )


def _summed(logs: Path) -> Iterator[int]:
    for segment in sorted(logs.glob("*.jsonl")):
        with segment.open("rb") as file:
            for line in file:
                yield crc32(line)


def _start(folder: Path, data: Path, lines: int, scale: Scale, *, indexed: bool) -> Figure:
    took: list[float] = []
    status = ""
    for _ in range(scale.rounds):
        copy = folder / "started"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy, ignore=None if indexed else shutil.ignore_patterns("*.index.json"))
        began = time.perf_counter()
        with Served.portal(copy) as served:
            answer = served.health()
            took.append(time.perf_counter() - began)
            status = answer["status"]
        shutil.rmtree(copy)
    return Figure(
        bench="recovery",
        name=f"start with {lines:,} events to apply" + ("" if indexed else ", every index lost"),
        unit="s",
        how="`holdfast serve` on a copy of that folder, from the process's start until `/readyz` said 200 "
        "and `/api/health` after it; nothing has been applied. "
        + (
            "Sealed segments have their indexes, as after any orderly growth."
            if indexed
            else "No sealed segment has its index, so that all of them are read."
        ),
        ours=took,
        most=START_S,
        facts={"statusThen": status},
    )
