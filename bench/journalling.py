"""The journal alone: appending, against the same bytes written raw in the groups it made of them.

The raw peer is a bare loop in one thread: nobody waits for it, and nothing is handed over. What the
hand-over alone costs stands beside it without a bar: tasks that wait for a thread which writes and
syncs lines worded before (see `handing`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import uvloop

from bench.figure import Figure, Scale, alternate
from bench.folder import work_folder
from bench.handing import Handing
from bench.portal import RECEIVED_AT, judged
from bench.school import frames
from holdfast.journal import segment
from holdfast.journal.disk import OsDisk
from holdfast.journal.file import FileJournal
from holdfast.journal.record import Event
from holdfast.web.server import settle_memory

_SHAPES: Final = ((8, 100), (256, 1))
"""(appenders at once, events in each frame)"""


class Noting(OsDisk):
    """The machine's disk, which remembers what was written with each sync."""

    def __init__(self) -> None:
        """Nothing written yet."""
        self.groups: list[tuple[int, int]] = []
        """Where each begins, and how many bytes it has: the bytes themselves would be memory to find."""

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """Write, sync, note."""
        wrote = super().write_synced(fd, parts, offset)
        if wrote < sum(map(len, parts)):
            raise RuntimeError("the disk took less than all of a group")
        self.groups.append((offset, wrote))
        return wrote


def run(scale: Scale) -> list[Figure]:
    """One figure a shape of load."""
    found = []
    with work_folder() as folder:
        for appenders, per_frame in _SHAPES:
            number = scale.size(240_000 if per_frame > 1 else 60_000, 8_000)
            made = islice(frames("lesson.progressed", 100), number // 100)
            found += _measure(folder, judged(folder, made, "progress"), appenders, per_frame, scale)
    return found


def _measure(folder: Path, events: list[Event], appenders: int, per_frame: int, scale: Scale) -> list[Figure]:
    settle_memory()
    groups: list[bytes] = []
    sizes: list[int] = []

    def ours() -> float:
        disk = Noting()
        at = folder / "journal"
        shutil.rmtree(at, ignore_errors=True)
        journal = FileJournal(at, disk=disk, segment_bytes=1 << 30)
        began = 0.0

        async def work() -> None:
            nonlocal began
            waiting = iter(_framed(events, per_frame))
            began = time.perf_counter()
            await asyncio.gather(*(_append(journal, waiting) for _ in range(appenders)))

        try:
            uvloop.run(work())
            took_s = time.perf_counter() - began
        finally:
            journal.close()
        text = (at / segment.ACTIVE).read_bytes()
        groups[:] = [text[start : start + size] for start, size in disk.groups]
        sizes.append(len(groups))
        return len(events) / took_s

    def raw() -> float:
        at = folder / "raw"
        at.unlink(missing_ok=True)
        fd = os.open(at, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        offset = 0
        try:
            began = time.perf_counter()
            for group in groups:
                offset += os.pwrite(fd, group, offset)
                os.fdatasync(fd)
            return len(events) / (time.perf_counter() - began)
        finally:
            os.close(fd)

    texts = [
        segment.event_lines(1, RECEIVED_AT.encode(), [event.data for event in frame])
        for frame in _framed(events, per_frame)
    ]

    def handed() -> float:
        return len(events) / uvloop.run(Handing(folder / "handed").took_s(texts, appenders))

    mine, peers, handings = alternate(scale.size(2 * scale.rounds - 1, 1), ours, raw, handed)
    written = sum(map(len, groups))
    strict = Figure(
        bench="journal",
        name=f"{appenders} appenders of {per_frame}",
        unit="events/s",
        how=f"{len(events):,} events appended to the file journal by {appenders} tasks at once, "
        f"{per_frame} a frame, each task waiting for its frame to be durable before the next.",
        ours=mine,
        peer_is="pwrite and fdatasync of the same bytes in the same groups, as the journal made them in "
        "the round before.",
        peer=peers,
        least_ratio=0.65,
        facts={
            "bytesPerEvent": round(written / len(events)),
            "eventsPerGroup": round(len(events) * len(sizes) / sum(sizes), 1),
        },
    )
    beside = Figure(
        bench="journal",
        name=f"{appenders} appenders of {per_frame}, against a bare hand-over",
        unit="events/s",
        how="The same rounds of ours.",
        ours=mine,
        peer_is="As many tasks, each waiting for its future, and a thread that takes what waits, writes it, "
        "syncs and answers, as the journal does; the lines were worded before. No bar.",
        peer=handings,
    )
    return [strict, beside]


def _framed(events: list[Event], per_frame: int) -> Iterator[Sequence[Event]]:
    for at in range(0, len(events), per_frame):
        yield events[at : at + per_frame]


async def _append(journal: FileJournal, waiting: Iterator[Sequence[Event]]) -> None:
    for frame in waiting:
        await journal.append(frame)
