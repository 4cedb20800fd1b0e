"""The monitor: evidence before questions, k of n for the worse, a dwell for the better."""

import asyncio
from collections.abc import Iterable

import pytest

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Unavailable
from holdfast.health.monitor import Monitor
from holdfast.health.probe import Outcome, Status
from holdfast.health.steady import CLEAN, DWELL_MOST_S, FLAPS_S, Steady
from holdfast.health.verdict import Verdict

DWELL_S = 5.0


class Part:
    """A probe that answers as a test says: a status, an error, or not in time."""

    deadline_s = 0.05
    period_s = 2.0
    lines = ("all",)
    votes = (2, 3)

    def __init__(self, part: str, answer: Status | Exception | None = "ok") -> None:
        self.part = part
        self.answer = answer
        self.seen: list[Status] = []
        self.asked = 0
        self.at_once = 0

    def evidence(self) -> Iterable[Outcome]:
        seen, self.seen = self.seen, []
        return [Outcome("all", each, None if each == "ok" else "seen") for each in seen]

    async def ask(self) -> Iterable[Outcome]:
        self.asked += 1
        self.at_once += 1
        assert self.at_once == 1, "two questions at once"
        try:
            await asyncio.sleep(10 if self.answer is None else 0)
            if isinstance(self.answer, Exception):
                raise self.answer
            return [Outcome("all", self.answer or "ok", None if self.answer == "ok" else "asked")]
        finally:
            self.at_once -= 1

    def latency_ms(self) -> tuple[float | None, float | None]:
        return None, None


class Fact(Part):
    """A part that is known at any time."""

    period_s = 0.0
    votes = (1, 1)

    def evidence(self) -> Iterable[Outcome]:
        assert isinstance(self.answer, str)
        return [Outcome("all", self.answer, None if self.answer == "ok" else "known")]


class Watch:
    """A monitor over one store, whose time the test moves."""

    def __init__(self, *parts: Part) -> None:
        self.store = Part("store")
        self.clock = ManualClock()
        self.monitor = Monitor([self.store, *parts], self.clock, DWELL_S)
        self.told: list[Verdict] = []
        self.monitor.listen(self.told.append)

    async def tick(self, seconds: float = 0.1, seen: Iterable[Status] = ()) -> str:
        """Time passes, things are seen, questions are answered."""
        self.clock.advance(seconds)
        self.store.seen += list(seen)
        self.monitor.tick()
        while tasks := list(self.monitor._asking.values()):
            await asyncio.gather(*tasks)
        return self.monitor.verdict().status


async def test_a_probe_that_hangs_or_fails_is_down_and_holds_nobody_up() -> None:
    watch = Watch(Part("disk", None), Part("identityKeys", Unavailable("gone")))
    verdict = await asyncio.wait_for(watch.monitor.look(), 5.0)
    status = {each.part: each.status for each in verdict.results}
    assert status == {"store": "ok", "disk": "down", "identityKeys": "down"}
    reasons = {each.part: each.reason for each in verdict.results}
    assert "0.05" in (reasons["disk"] or "")
    assert "Unavailable" in (reasons["identityKeys"] or "")


async def test_where_there_is_traffic_nobody_is_asked() -> None:
    watch = Watch()
    for _ in range(600):
        await watch.tick(0.1, ["ok"])
    assert watch.store.asked == 0
    assert watch.monitor.verdict().status == "ok"


async def test_where_it_is_quiet_one_question_a_period_is_asked() -> None:
    watch = Watch()
    for _ in range(600):
        await watch.tick(0.1)
    assert 600 * 0.1 / 2.0 <= watch.store.asked <= 600 * 0.1 / 2.0 / 0.6


async def test_a_loss_under_traffic_is_believed_with_the_second_bad_outcome_of_three() -> None:
    watch = Watch()
    assert await watch.tick(0.1, ["ok", "ok", "down"]) == "ok"
    assert await watch.tick(0.1, ["ok", "down"]) == "degraded", "every other one fails"
    assert watch.store.asked == 0


async def test_a_loss_in_the_quiet_is_believed_with_the_question_that_finds_it() -> None:
    watch = Watch()
    await watch.monitor.look()
    watch.store.answer = "down"
    waited_s = 0.0
    while await watch.tick(0.1) == "ok":
        waited_s += 0.1
    assert waited_s <= watch.store.period_s + 0.1
    assert watch.told[-1].degradations[0].name == "store_out"


async def test_one_bad_answer_alone_is_not_believed() -> None:
    watch = Watch()
    await watch.monitor.look()

    async def once() -> Iterable[Outcome]:
        watch.store.asked += 1
        return [Outcome("all", "down" if watch.store.asked == 2 else "ok")]

    watch.store.ask = once  # type: ignore[method-assign]
    for _ in range(100):
        assert await watch.tick(0.1) == "ok"
    assert watch.store.asked > 3


async def test_it_is_well_again_after_the_dwell_and_not_before() -> None:
    watch = Watch()
    await watch.tick(0.1, ["ok", "down", "down"])
    waited_s = 0.0
    while await watch.tick(0.1, ["ok"]) != "ok":
        waited_s += 0.1
    assert DWELL_S <= waited_s + 0.2 <= DWELL_S + 0.5


async def test_an_outage_every_other_second_is_one_loss_and_not_many() -> None:
    watch = Watch()
    await watch.tick(0.1, ["ok"])
    del watch.told[:]
    for second in range(120):
        for _ in range(10):
            await watch.tick(0.1, ["down" if second % 2 else "ok"])
    assert [each.status for each in watch.told] == ["degraded"]


async def test_the_dwell_doubles_with_each_loss_and_forgets_in_time() -> None:
    clock_s = 0.0
    line = Steady((1, 1), DWELL_S)
    dwells = []
    for _ in range(6):
        line.hear(Outcome("all", "down"), clock_s)
        dwells.append(line.dwell_s)
        lost_s = clock_s
        while line.status != "ok":
            clock_s += 0.5
            line.hear(Outcome("all", "ok"), clock_s)
        assert clock_s - lost_s >= dwells[-1]
        clock_s += 1.0
    assert dwells == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0]
    for _ in range(2):
        clock_s += 200.0
        for _ in range(CLEAN):
            line.hear(Outcome("all", "ok"), clock_s)
        line.hear(Outcome("all", "down"), clock_s)
        assert line.dwell_s <= DWELL_MOST_S
    clock_s += FLAPS_S + 1
    line.hear(Outcome("all", "down"), clock_s)
    assert line.dwell_s == DWELL_S


@pytest.mark.parametrize("late", range(CLEAN))
def test_better_takes_so_many_good_outcomes_in_a_row_however_long_ago_the_bad_one_was(late: int) -> None:
    line = Steady((2, 3), DWELL_S)
    for _ in range(2):
        line.hear(Outcome("all", "down"), 0.0)
    for _ in range(late):
        line.hear(Outcome("all", "ok"), DWELL_S + 1)
    assert line.status == "down"
    for _ in range(CLEAN - late):
        line.hear(Outcome("all", "ok"), DWELL_S + 1)
    assert line.reason is None


def test_what_gets_worse_is_called_worse_at_once_and_better_step_by_step() -> None:
    line = Steady((2, 3), DWELL_S)
    seen = []
    for at_s, status in enumerate(["degraded", "degraded", "down", "down"]):
        line.hear(Outcome("all", status), at_s)  # type: ignore[arg-type]
        seen.append(line.status)
    assert seen == ["ok", "degraded", "degraded", "down"]
    for at_s in range(4, 12):
        line.hear(Outcome("all", "degraded"), at_s)
    assert line.status == "degraded"


def test_an_answer_that_is_no_answer_has_no_vote() -> None:
    line = Steady((1, 1), DWELL_S)
    line.hear(Outcome("all", "unknown"), 1.0)
    assert line.status == "unknown"
    assert line.heard_at_s == float("-inf")


async def test_a_monitor_that_stops_looking_turns_unknown_by_itself() -> None:
    watch = Watch()
    assert (await watch.monitor.look()).status == "ok"
    watch.clock.advance(60)
    assert watch.monitor.verdict().status == "unknown"


async def test_who_was_not_asked_yet_is_not_out() -> None:
    watch = Watch()
    assert watch.monitor.verdict().status == "unknown"
    assert watch.monitor.verdict().degradations == ()
    watch.store.answer = None
    watch.store.deadline_s = 30.0
    watch.monitor.tick()
    assert watch.monitor.verdict().degradations == ()
    watch.clock.advance(60.0)
    assert [each.name for each in watch.monitor.verdict().degradations] == ["store_out"]
    for task in watch.monitor._asking.values():
        task.cancel()


async def test_a_loss_says_since_when_and_how_long_its_kind_lasts() -> None:
    fact = Fact("journal")
    watch = Watch(fact)

    async def lasting(seconds: int) -> tuple[float, float]:
        began_s = watch.clock.now_s() + 0.1
        fact.answer = "down"
        for _ in range(seconds * 10):
            await watch.tick(0.1, ["ok"])
        begun = watch.monitor.verdict().begun["journal_unwritable"]
        assert begun.at_s == pytest.approx(began_s)
        fact.answer = "ok"
        for _ in range(400):
            await watch.tick(0.1, ["ok"])
        assert watch.monitor.verdict().begun == {}
        return begun.at_s, begun.expected_end_s

    await watch.tick(0.1, ["ok"])
    began_s, end_s = await lasting(3)
    assert end_s == began_s + 60.0, "nobody knows yet"
    began_s, end_s = await lasting(3)
    assert end_s - began_s == pytest.approx(8.0, abs=1.0), "as long as the last one: 3 s and the dwell"
    names = [(each.status, each.begun, each.ended) for each in watch.monitor.history.changes]
    loss = ("journal_unwritable",)
    assert names == [("ok", (), ())] + 2 * [("down", loss, ()), ("ok", (), loss)]


async def test_a_part_is_known_while_what_was_heard_of_it_is_fresh_and_what_is_no_part_while_any_is() -> None:
    clock = ManualClock()
    letters, disk = Part("deadLetters"), Fact("disk")
    monitor = Monitor([letters, disk], clock)
    assert not monitor.knows("disk"), "nobody was asked yet"
    assert not monitor.knows("health")
    monitor.tick()
    assert [monitor.knows(each) for each in ("disk", "health", "deadLetters")] == [True, True, False]
    await monitor.look()
    assert monitor.knows("deadLetters")
    clock.advance(60.0)
    for _ in range(CLEAN):
        monitor._gather()
    assert [monitor.knows(each) for each in ("disk", "health", "deadLetters")] == [True, True, False]
