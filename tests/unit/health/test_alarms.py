"""When an alarm is called off: where the part is known to be well again, not where nobody can tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Unavailable
from holdfast.health.alarm_book import NAME, AlarmBook
from holdfast.health.alarms import CLEAR_S, Alarms
from holdfast.health.metrics import Definition, Metrics, Sample
from holdfast.health.monitor import COMPLETE_S, Monitor
from holdfast.health.probe import Outcome
from holdfast.health.probes.deadletters import DeadLetterProbe, Letters
from holdfast.health.rules import severity_of
from holdfast.health.verdict import TABLE
from holdfast.store.port import Store

KEY = "HoldfastPartAiling/-/deadLetters"
FOR_S = 300


class Counted:
    """A store that knows how many letters wait, while it is there."""

    def __init__(self) -> None:
        self.open = 0
        self.out = False

    async def read(self, _org: str | None, _work: Callable[..., Any]) -> dict[str, Letters]:
        if self.out:
            raise Unavailable("the store is out")
        return {"tidewater": Letters(self.open, 0)} if self.open else {}


class Feed:
    """A part that is well at any time: the portal as a whole is never unknown."""

    part, lines, period_s, deadline_s, votes = "feed", ("all",), 0.0, 1.0, (1, 1)

    def evidence(self) -> Iterable[Outcome]:
        return [Outcome("all", "ok")]

    async def ask(self) -> Iterable[Outcome]:
        return ()

    def latency_ms(self) -> tuple[float | None, float | None]:
        return None, None


class Life:
    """One life of a portal: its monitor, and the alarms that look at it once a second."""

    def __init__(self, folder: Path, clock: ManualClock, store: Counted) -> None:
        self.folder, self.clock = folder, clock
        self.monitor = Monitor([DeadLetterProbe(cast("Store", store), 2.0), Feed()], clock)
        degradation = Definition(
            "holdfast_degradation", "as it is measured", ("component", "name", "severity"), self._read
        )
        book = AlarmBook(folder, [])
        self.alarms = Alarms(Metrics([degradation]), book, [], clock, known=self.monitor.knows)

    def _read(self) -> list[Sample]:
        present = self.monitor.verdict().degradations
        return [
            Sample((row.part, row.degradation.name, severity_of(row.degradation.name)), 1.0)
            for row in TABLE
            if row.degradation in present
        ]

    async def lasts(self, seconds: float) -> list[str]:
        """So many seconds pass; what was noted up to their end."""
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.monitor.tick()
            await asyncio.gather(*self.monitor._asking.values())
            self.alarms.look()
        path = self.folder / NAME
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["entry"]["act"] for line in lines if line]


async def test_the_alarm_of_dead_letters_is_not_called_off_while_the_store_that_holds_them_is_out(
    tmp_path: Path,
) -> None:
    store = Counted()
    life = Life(tmp_path, ManualClock(), store)
    store.open = 3
    assert await life.lasts(FOR_S + 10) == ["trigger"]
    assert set(life.alarms._book.open) == {KEY}
    store.out = True
    assert await life.lasts(10 * CLEAR_S) == ["trigger"], "the letters wait still, for all anybody knows"
    store.out = False
    assert await life.lasts(FOR_S + 60) == ["trigger"], "nobody is told a second time of the same"
    store.open = 0
    assert await life.lasts(CLEAR_S + 60) == ["trigger", "resolve"]


async def test_after_a_restart_while_the_store_is_out_nothing_of_its_is_called_off(tmp_path: Path) -> None:
    clock, store = ManualClock(), Counted()
    store.open = 3
    assert await Life(tmp_path, clock, store).lasts(FOR_S + 10) == ["trigger"]
    store.out = True
    again = Life(tmp_path, clock, store)
    await again.lasts(COMPLETE_S + 2 * CLEAR_S)
    assert set(again.alarms._book.open) == {KEY}


async def test_an_alarm_is_called_off_only_after_a_while_in_which_its_part_was_known_to_be_well(
    tmp_path: Path,
) -> None:
    known = {"applier": True}
    bad = [Sample(("tidewater",), 51.0)]
    metrics = Metrics([Definition("holdfast_offline_queue_backlog", "a number", ("org",), lambda: bad)])
    clock, book = ManualClock(), AlarmBook(tmp_path, [])
    alarms = Alarms(metrics, book, [], clock, known=known.__getitem__)

    def lasts(seconds: float) -> None:
        for _ in range(int(seconds)):
            clock.advance(1.0)
            alarms.look()

    lasts(130)
    bad.clear()
    lasts(CLEAR_S - 5)
    known["applier"] = False
    lasts(60)
    known["applier"] = True
    lasts(CLEAR_S - 5)
    assert book.open, "what was seen before it was lost sight of does not count"
    lasts(10)
    assert not book.open
