"""Runs the probes on a schedule, each with its deadline, and keeps the verdict in memory.

A request for health never asks a part itself: it reads what stands here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from holdfast.core.clock import Clock
from holdfast.health.probe import Probe, ProbeResult
from holdfast.health.verdict import Verdict, judge

log = structlog.get_logger(__name__)

PERIOD_S = 1.0


class Monitor:
    """The present verdict, and its number: `seq` rises with each change, `epoch` with each start."""

    def __init__(self, probes: Sequence[Probe], clock: Clock) -> None:
        """`probes`: all of them, from wiring."""
        self._probes = probes
        self._clock = clock
        self._results: dict[str, ProbeResult] = {}
        self._last: Verdict | None = None
        self.epoch = f"{int(clock.now_s()):x}"
        self.seq = 0

    def verdict(self) -> Verdict:
        """The verdict as of now: results age while nobody asks."""
        now = judge(self._results.values(), self._clock.now_s())
        before = self._last
        if before is None or (now.status, now.degradations) != (before.status, before.degradations):
            self.seq += 1
            if before is not None:
                names = [each.name for each in now.degradations]
                log.info("health changed", status=now.status, degradations=names)
        self._last = now
        return now

    async def look(self) -> Verdict:
        """Ask every part once."""
        for result in await asyncio.gather(*(self._ask(probe) for probe in self._probes)):
            self._results[result.part] = result
        return self.verdict()

    async def run(self) -> None:
        """Look until cancelled; jittered, so that portals do not look in step."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_S * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, hides nothing

    async def _ask(self, probe: Probe) -> ProbeResult:
        try:
            return await asyncio.wait_for(probe.ask(), probe.deadline_s)
        except TimeoutError:
            reason = f"no answer within {probe.deadline_s} s"
        except Exception as fault:
            log.exception("probe failed", part=probe.part)
            reason = f"the probe failed: {type(fault).__name__}"
        return ProbeResult(probe.part, "down", reason, self._clock.now_s(), 5.0)
