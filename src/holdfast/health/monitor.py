"""Keeps the verdict, in memory: evidence of real work first, a question only where nothing was heard.

A request for health never asks a part itself: it reads what stands here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from holdfast.core.clock import Clock
from holdfast.health.history import Change, History
from holdfast.health.probe import Outcome, Probe, ProbeResult, Status
from holdfast.health.steady import CLEAN, RANKS, Steady
from holdfast.health.verdict import Begun, Verdict, judge

log = structlog.get_logger(__name__)

TICK_S: Final = 0.1
AGAIN_S: Final = 0.02
"""How soon a bad answer is asked for again: one alone is not believed."""
FACTS_TTL_S: Final = 5.0
COMPLETE_S: Final = 10.0
"""By then everybody has been asked."""
JITTER: Final = (0.7, 0.95)
"""A period is the longest wait; portals that were started together must not ask in step."""

Told = Callable[[Verdict], None]


class Monitor:
    """The present verdict and when each loss began."""

    def __init__(self, probes: Sequence[Probe], clock: Clock, dwell_s: float = 5.0) -> None:
        """`probes`: all of them, from wiring. `dwell_s`: see `Steady`."""
        self._probes = tuple(probes)
        self._clock = clock
        self._lines = {
            probe.part: {line: Steady(probe.votes, dwell_s) for line in probe.lines} for probe in self._probes
        }
        self._due_s: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._last: Verdict | None = None
        self._begun: dict[str, float] = {}
        self._listeners: list[Told] = []
        self._complete_s = float("inf")
        """From when a part that was not heard counts as unknown."""
        self.history = History()
        self.ticked_at_s = float("-inf")
        """When the monitor last looked, in the clock's ticks."""

    def listen(self, told: Told) -> None:
        """Call `told` with each verdict that differs from the last, at once."""
        self._listeners.append(told)

    def verdict(self) -> Verdict:
        """The verdict as of now: results age while nobody looks."""
        now_s = self._clock.now_s()
        judged = judge([self._result(probe) for probe in self._probes if self._counts(probe)], now_s)
        names = {each.name for each in judged.degradations}
        before = self._last
        ended = tuple(name for name in self._begun if name not in names)
        begun = tuple(each.name for each in judged.degradations if each.name not in self._begun)
        for name in ended:
            self.history.lasted(name, now_s - self._begun.pop(name))
        self._begun.update(dict.fromkeys(begun, now_s))
        verdict = judged._replace(begun={name: self._since(name, now_s) for name in names})
        self._last = verdict
        if before is None or before.status != verdict.status or begun or ended:
            self.history.changes.append(Change(now_s, verdict.status, begun, ended))
            if before is not None:
                log.info("health changed", status=verdict.status, begun=begun, ended=ended)
            for told in self._listeners:
                told(verdict)
        return verdict

    def knows(self, part: str) -> bool:
        """Whether it is known now how a part is; of what is no part, whether it is of any."""
        verdict = self.verdict()
        if part not in self._lines:
            return verdict.status != "unknown"
        return any(each.part == part and each.status != "unknown" for each in verdict.results)

    def _counts(self, probe: Probe) -> bool:
        """Whether a part is judged: who was never asked, because we have just begun, is not out."""
        if self._clock.ticks_s() >= self._complete_s:
            return True
        return all(line.status != "unknown" for line in self._lines[probe.part].values())

    def _since(self, name: str, now_s: float) -> Begun:
        at_s = self._begun[name]
        return Begun(at_s, at_s + self.history.expected_s(name, now_s - at_s))

    async def look(self) -> Verdict:
        """Hear all evidence and ask every part now, until each is decided or has had time to mend."""
        for _ in range(CLEAN):
            self._gather()
        await asyncio.gather(*(self._settle(probe) for probe in self._probes if probe.period_s))
        self._gather()
        self._complete_s = self._clock.ticks_s()
        return self.verdict()

    async def _settle(self, probe: Probe) -> None:
        for _ in range(CLEAN):
            await self._ask(probe)
            if all(each.status in ("ok", "unknown") for each in self._lines[probe.part].values()):
                return

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                self.tick()
                await asyncio.sleep(TICK_S)
        finally:
            for task in self._asking.values():
                task.cancel()

    def tick(self) -> Verdict:
        """Hear what was seen, and begin the questions that are due: one of a part at a time."""
        now_s = self.ticked_at_s = self._clock.ticks_s()
        self._complete_s = min(self._complete_s, now_s + COMPLETE_S)
        self._gather()
        for probe in self._probes:
            if not probe.period_s or probe.part in self._asking or now_s < self._due_s.get(probe.part, now_s):
                continue
            heard_s = min(each.heard_at_s for each in self._lines[probe.part].values())
            wait_s = probe.period_s * random.uniform(*JITTER)  # noqa: S311 - spreads load, hides nothing
            if now_s - heard_s < wait_s and heard_s > float("-inf"):
                # Real work told enough; look again when that is old news.
                self._due_s[probe.part] = heard_s + wait_s
                continue
            task = asyncio.get_running_loop().create_task(self._ask(probe), name=f"probe {probe.part}")
            self._asking[probe.part] = task
            task.add_done_callback(lambda _, probe=probe: self._asked(probe))  # type: ignore[misc]
        return self.verdict()

    def _asked(self, probe: Probe) -> None:
        self._asking.pop(probe.part, None)
        wait_s = probe.period_s * random.uniform(*JITTER)  # noqa: S311
        self._due_s[probe.part] = self._clock.ticks_s() + wait_s
        if not self._asking:
            self.verdict()

    def _gather(self) -> None:
        now_s = self._clock.ticks_s()
        for probe in self._probes:
            self._hear(probe, probe.evidence())
            for line in self._lines[probe.part].values():
                line.settle(now_s)

    def _hear(self, probe: Probe, outcomes: Iterable[Outcome]) -> None:
        now_s = self._clock.ticks_s()
        for outcome in outcomes:
            self._lines[probe.part][outcome.line].hear(outcome, now_s)

    async def _ask(self, probe: Probe) -> None:
        lines = self._lines[probe.part].values()
        for _ in range(max(probe.votes[1], CLEAN)):
            self._hear(probe, await self._answer(probe))
            self.verdict()
            if not any(each.undecided for each in lines):
                return
            await asyncio.sleep(AGAIN_S)

    async def _answer(self, probe: Probe) -> Iterable[Outcome]:
        try:
            async with asyncio.timeout(probe.deadline_s):
                return await probe.ask()
        except TimeoutError:
            reason = f"no answer within {probe.deadline_s} s"
        except Exception as fault:
            log.exception("probe failed", part=probe.part)
            reason = f"the probe failed: {type(fault).__name__}"
        return [Outcome(line, "down", reason) for line in probe.lines]

    def _result(self, probe: Probe) -> ProbeResult:
        lines = self._lines[probe.part].values()
        behind_s = self._clock.ticks_s() - min(each.heard_at_s for each in lines)
        worst = max(lines, key=lambda each: RANKS.get(each.status, -1))
        unheard = any(each.status == "unknown" for each in lines)
        status: Status = "unknown" if unheard and worst.status in ("ok", "unknown") else worst.status
        ttl_s = 3 * probe.period_s + 2 * probe.deadline_s if probe.period_s else FACTS_TTL_S
        p50, p95 = probe.latency_ms()
        observed_at_s = self._clock.now_s() - min(behind_s, 1e9)
        return ProbeResult(probe.part, status, worst.reason, observed_at_s, ttl_s, p50, p95)
