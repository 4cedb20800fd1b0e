"""Memory: what a served portal holds when it has nothing to do, after traffic, and over a long time."""

from __future__ import annotations

import asyncio
import time
from statistics import linear_regression
from typing import Any, Final, NamedTuple

from bench.figure import Figure, Scale, say
from bench.folder import work_folder
from bench.serving import Held, Served, SignedIn, seeded
from bench.traffic import UNLIMITED, devices, flood, trickle
from holdfast.learning import demo

IDLE_MB: Final = 90.0
"""The bar for a portal that has nothing to do."""
SLOPE_MB: Final = 1.0
"""The bar for how much a busy one may grow in ten minutes."""
TEN_MINUTES_S: Final = 600.0
DRAIN_S: Final = 300.0
SAMPLE_S: Final = 2.0
LIGHT_PER_S: Final = 10.0
LIGHT_EVENTS: Final = 50
"""A batch of the light load: enough to turn over the remembered ids many times in the soak."""


SOAKED: Final = {**UNLIMITED, "HOLDFAST_WINDOW_IDS": "8192"}
"""The remembered ids are dropped by halves, which makes a saw of the line: here one with small teeth."""


class Sample(NamedTuple):
    """One look at a portal."""

    at_s: float
    rss_mb: float


def run(scale: Scale) -> list[Figure]:
    """Idle, which has a bar, and after traffic, which has none."""
    idle_s, rest_s, events = scale.size(60, 20), scale.size(30, 10), scale.size(300_000, 50_000)
    idle: list[Held] = []
    after: list[Held] = []
    for _ in range(scale.rounds):
        with (
            work_folder() as folder,
            seeded(folder / "data") as data,
            Served.portal(data, UNLIMITED) as portal,
        ):
            time.sleep(idle_s)
            idle.append(portal.held())
            asyncio.run(flood(portal, devices(portal, 16), events))
            wait_drained(portal, operator(portal))
            time.sleep(rest_s)
            after.append(portal.held())
    return [
        _figure("idle", f"{idle_s} s after the start of a portal with the demo's data", idle, IDLE_MB),
        _figure(
            f"after {events:,} events",
            f"Then 16 devices sent {events:,} events in batches of 100 as fast as they were answered; all of "
            f"them were applied, and {rest_s} s passed",
            after,
            None,
        ),
    ]


def soak(scale: Scale) -> list[Figure]:
    """The slope of a portal's memory under light load."""
    warm_s, for_s = scale.size(120, 10), scale.size(600, 60)
    with work_folder() as folder, seeded(folder / "data") as data, Served.portal(data, SOAKED) as portal:
        # What has a size of its own (remembered ids, SQLite's pages) fills it first: growth with an end.
        those = devices(portal, 16)
        asyncio.run(flood(portal, those, scale.size(300_000, 200_000)))
        wait_drained(portal, operator(portal))
        say(f"  {for_s} s of light load")
        samples, sent = asyncio.run(_soaked(portal, for_s))
    counted = [sample for sample in samples if sample.at_s >= warm_s]
    line = linear_regression([sample.at_s for sample in counted], [sample.rss_mb for sample in counted])
    sizes = [sample.rss_mb for sample in counted]
    return [
        Figure(
            bench="soak",
            name="growth of RSS in 10 minutes",
            unit="MB",
            how=f"{LIGHT_PER_S:g} batches of {LIGHT_EVENTS} events a second for {for_s} s, {sent:,} in all, "
            f"and reads of courses; RSS every {SAMPLE_S:g} s. The slope of the least-squares line through "
            f"what was seen after the first {warm_s} s, over ten minutes. The portal remembers "
            f"{SOAKED['HOLDFAST_WINDOW_IDS']} ids; these and SQLite's pages had filled their room before.",
            ours=[line.slope * TEN_MINUTES_S],
            most=SLOPE_MB,
            facts={
                "rssMb": [round(sizes[0], 1), round(sizes[-1], 1)],
                "rssMbMost": round(max(sizes), 1),
                "rssMbLeast": round(min(sizes), 1),
                "samples": [[round(each.at_s), round(each.rss_mb, 2)] for each in samples],
            },
        )
    ]


async def _soaked(portal: Served, for_s: float) -> tuple[list[Sample], int]:
    """Light load for so long, looked at all the while."""
    samples: list[Sample] = []
    began = time.perf_counter()

    async def look() -> None:
        while True:
            samples.append(Sample(time.perf_counter() - began, portal.held().rss))
            await asyncio.sleep(SAMPLE_S)

    looking = asyncio.create_task(look())
    try:
        sent = await trickle(portal, devices(portal, 16), LIGHT_PER_S, LIGHT_EVENTS, for_s)
    finally:
        looking.cancel()
    return samples, sent


def operator(portal: Served) -> SignedIn:
    """The demo's operator, signed in."""
    return portal.sign_in(next(each.email for each in demo.PEOPLE if each.org is None))


def wait_drained(portal: Served, who: SignedIn) -> None:
    """Wait until the applier has nothing left. Raises TimeoutError."""
    until = time.monotonic() + DRAIN_S
    while portal.ledger(who)["pending"]:
        if time.monotonic() > until:
            raise TimeoutError(f"the applier has not caught up within {DRAIN_S:g} s")
        time.sleep(0.2)


def _figure(name: str, when: str, found: list[Held], most: float | None) -> Figure:
    facts: dict[str, Any] = {
        "pssMb": [round(each.pss, 1) for each in found],
        "anonymousMb": [round(each.anonymous, 1) for each in found],
    }
    return Figure(
        bench="memory",
        name=f"RSS, {name}",
        unit="MB",
        how=f"{when}. Read from /proc/PID/smaps_rollup; a MB is a million bytes.",
        ours=[round(each.rss, 2) for each in found],
        most=most,
        facts=facts,
    )
