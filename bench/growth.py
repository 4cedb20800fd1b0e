"""Growth: what one more event costs, the more of them there are in journal and store."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import uvloop

from bench.figure import Figure, Scale, say
from bench.folder import size_bytes, work_folder
from bench.portal import joined, store_in
from bench.school import LEARNERS, Frame, frames, put_learners
from holdfast.journal.file import FileJournal
from holdfast.web.portal import Portal
from holdfast.web.server import settle_memory

POINTS: Final = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 5_000_000)
QUICK_POINTS: Final = 3
STEP: Final = 10_000
"""Events between two looks: what is measured is the last of these before each point."""
SENDERS: Final = 8
MOST_S: Final = 480.0
"""When this is over, the points not yet reached are left out, and the results say so."""
FLAT: Final = 1.5
"""The bar: the last point costs at most so many times the median of all points."""
FREE_BYTES: Final = 12 << 30
"""What the whole run needs on the disk, with room to spare."""


class Point(msgspec.Struct, rename="camel"):
    """What the events before a number of them cost."""

    events: int
    intake_us: float
    apply_us: float
    intake_cpu_us: float
    apply_cpu_us: float
    journal_bytes: int
    store_bytes: int


class Step(msgspec.Struct):
    """Seconds that a number of events took: by the clock, and of the processor."""

    took_s: float = 0.0
    cpu_s: float = 0.0


def run(scale: Scale) -> list[Figure]:
    """The last point against the median of all, for intake and for apply."""
    wanted: tuple[int, ...] = POINTS[:QUICK_POINTS] if scale.quick else POINTS
    with work_folder() as folder:
        free = shutil.disk_usage(folder).free
        if not scale.quick and free < FREE_BYTES:
            wanted = tuple(each for each in wanted if each * FREE_BYTES <= free * wanted[-1])
            say(f"  only {free >> 30} GiB are free: the last point is {wanted[-1]:,} events")
        points = uvloop.run(_grown(folder, wanted))
    left_out = [each for each in wanted if each > points[-1].events]
    return [
        _figure("intake", [each.intake_us for each in points], points, left_out),
        _figure("apply", [each.apply_us for each in points], points, left_out),
    ]


async def _grown(folder: Path, wanted: tuple[int, ...]) -> list[Point]:
    points: list[Point] = []
    until = time.perf_counter() + MOST_S
    with store_in(folder) as store:
        put_learners(store)
        journal = FileJournal(folder / "logs")
        try:
            portal = joined(folder, journal, store)
            made = frames("lesson.progressed", 100)
            settle_memory()
            for events in range(STEP, wanted[-1] + STEP, STEP):
                some = list(islice(made, STEP // 100))
                taken = await _taken(portal, some)
                applied = await _applied(portal)
                if events in wanted:
                    point = _point(folder, events, taken, applied)
                    points.append(point)
                    costs = f"intake {point.intake_us:.1f} µs, apply {point.apply_us:.1f} µs"
                    say(f"  {events:,} events: {costs}")
                if time.perf_counter() > until:
                    say(f"  {MOST_S:g} s are over after {events:,} events")
                    if events not in wanted:
                        points.append(_point(folder, events, taken, applied))
                    break
        finally:
            journal.close()
    return points


async def _taken(portal: Portal, some: list[Frame]) -> Step:
    """Send a step's requests through intake, several at a time."""
    waiting = iter(some)

    async def send(those: Iterator[Frame]) -> int:
        accepted = 0
        for sender, batch in those:
            answer = await portal.intake.batch(sender, batch, "progress")
            accepted += sum(receipt.status == "accepted" for receipt in answer.receipts)
        return accepted

    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    accepted = sum(await asyncio.gather(*(send(waiting) for _ in range(SENDERS))))
    step = Step(time.perf_counter() - began_s, time.process_time() - began_cpu_s)
    if accepted != STEP:
        raise RuntimeError(f"intake accepted {accepted} of {STEP} events")
    return step


async def _applied(portal: Portal) -> Step:
    """Let the applier finish what is there."""
    head = portal.journal.stats().head
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    while portal.applier.cursor("progress") < head:
        await portal.applier.turn()
    step = Step(time.perf_counter() - began_s, time.process_time() - began_cpu_s)
    if portal.applier.outage is not None or portal.applier.stopped:
        raise RuntimeError(f"the applier stopped: {portal.applier.outage or portal.applier.stopped}")
    return step


def _point(folder: Path, events: int, taken: Step, applied: Step) -> Point:
    def us(seconds: float) -> float:
        return round(seconds * 1e6 / STEP, 2)

    store = sum(file.stat().st_size for file in folder.glob("store.sqlite3*"))
    return Point(
        events,
        us(taken.took_s),
        us(applied.took_s),
        us(taken.cpu_s),
        us(applied.cpu_s),
        size_bytes(folder / "logs"),
        store,
    )


def _figure(name: str, costs: list[float], points: list[Point], left_out: list[int]) -> Figure:
    return Figure(
        bench="growth",
        name=f"{name}, the last point against the median",
        unit="times the median",
        how=f"`lesson.progressed` of {LEARNERS:,} learners through intake into the file journal, {SENDERS} "
        "requests of 100 at a time, then applied to SQLite, in one process; µs an event over the last "
        f"{STEP:,} events before each point. Flat means: the last point costs at most {FLAT:g} times the "
        "median of the points.",
        ours=[costs[-1] / median(costs)],
        most=FLAT,
        facts={
            "usPerEvent": costs,
            "points": [msgspec.to_builtins(each) for each in points],
            **({"leftOut": left_out} if left_out else {}),
        },
    )
