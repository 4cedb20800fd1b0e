"""From answers to a verdict: evidence that is old says nothing, and every loss has a name."""

import asyncio
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.core.clock import ManualClock
from holdfast.core.errors import Unavailable
from holdfast.health.metrics import Definition, Metrics, Sample
from holdfast.health.monitor import Monitor
from holdfast.health.probe import Probe, ProbeResult, Status
from holdfast.health.probes.applier import LAG_WARN_MS, STUCK_S, ApplierProbe, Reading
from holdfast.health.probes.journal import SLOW_SYNC_MS, JournalProbe
from holdfast.health.verdict import TABLE, judge
from holdfast.journal.memory import MemoryJournal
from holdfast.journal.port import JournalStats

NOW_S = 1_000.0


def said(part: str, status: Status, at_s: float = NOW_S, ttl_s: float = 5.0) -> ProbeResult:
    return ProbeResult(part, status, None, at_s, ttl_s)


def everything(status: Status = "ok", **others: Status) -> list[ProbeResult]:
    parts = dict.fromkeys((row.part for row in TABLE), status) | others
    return [said(part, its) for part, its in parts.items()]


def test_when_every_part_is_well_the_portal_is() -> None:
    verdict = judge(everything(), NOW_S)
    assert (verdict.status, verdict.degradations) == ("ok", ())


@pytest.mark.parametrize(
    "part, statuses, name, total",
    [(row.part, row.statuses, row.degradation.name, row.total) for row in TABLE],
)
def test_each_row_of_the_table_is_a_named_loss(
    part: str,
    statuses: tuple[Status, ...],
    name: str,
    total: bool,  # noqa: FBT001
) -> None:
    for status in statuses:
        verdict = judge(everything(**{part: status}), NOW_S)
        assert [each.name for each in verdict.degradations] == [name]
        assert verdict.status == ("down" if total else "degraded")


def test_an_answer_past_its_time_is_unknown_and_never_its_last_good_value() -> None:
    verdict = judge([said("store", "ok", NOW_S - 6)], NOW_S)
    assert verdict.status == "unknown"
    assert verdict.results[0].status == "unknown"
    assert "6 s ago" in (verdict.results[0].reason or "")
    assert judge([said("store", "ok", NOW_S - 5)], NOW_S).status == "ok"


def test_a_store_nobody_has_heard_of_counts_as_out() -> None:
    old_store = [each for each in everything() if each.part != "store"] + [said("store", "ok", NOW_S - 60)]
    verdict = judge(old_store, NOW_S)
    assert (verdict.status, [each.name for each in verdict.degradations]) == ("degraded", ["store_out"])


def test_a_portal_that_has_asked_nobody_yet_is_unknown() -> None:
    assert judge([], NOW_S).status == "unknown"


def test_an_unwritable_journal_outweighs_everything_else() -> None:
    verdict = judge(everything("degraded", journal="down", store="down"), NOW_S)
    assert verdict.status == "down"
    assert {each.name for each in verdict.degradations} >= {"journal_unwritable", "store_out"}


# The monitor


class Part:
    """A probe that answers as a test says: a status, an error, or not in time."""

    deadline_s = 0.05

    def __init__(self, part: str, clock: ManualClock, answer: Status | Exception | None) -> None:
        self.part = part
        self.answer = answer
        self._clock = clock

    async def ask(self) -> ProbeResult:
        if self.answer is None:
            await asyncio.sleep(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return ProbeResult(self.part, self.answer or "ok", None, self._clock.now_s(), 5.0)


def monitored(**answers: Status | Exception | None) -> tuple[Monitor, ManualClock, dict[str, Part]]:
    clock = ManualClock()
    parts = {name: Part(name, clock, answer) for name, answer in answers.items()}
    probes: list[Probe] = list(parts.values())
    return Monitor(probes, clock), clock, parts


async def test_a_probe_that_hangs_or_fails_is_down_and_holds_nobody_up() -> None:
    monitor, _, _ = monitored(journal="ok", store=None, applier=Unavailable("gone"))
    verdict = await asyncio.wait_for(monitor.look(), 2.0)
    status = {each.part: each.status for each in verdict.results}
    assert status == {"journal": "ok", "store": "down", "applier": "down"}
    reasons = {each.part: each.reason for each in verdict.results}
    assert "0.05" in (reasons["store"] or "")
    assert "Unavailable" in (reasons["applier"] or "")


async def test_the_number_rises_with_each_change_and_not_with_each_look() -> None:
    monitor, _, parts = monitored(journal="ok", store="ok")
    await monitor.look()
    first = monitor.seq
    await monitor.look()
    assert monitor.seq == first
    parts["store"].answer = "down"
    await monitor.look()
    assert monitor.seq == first + 1
    parts["store"].answer = "ok"
    await monitor.look()
    assert monitor.seq == first + 2


async def test_a_monitor_that_stops_looking_turns_unknown_by_itself() -> None:
    monitor, clock, _ = monitored(journal="ok", store="ok")
    assert (await monitor.look()).status == "ok"
    clock.advance(60)
    assert monitor.verdict().status == "unknown"


# Probes


@pytest.mark.parametrize(
    "reading, status",
    [
        (Reading(0, 0, 0.0, None, {}), "ok"),
        (Reading(5, 10, NOW_S, None, {}), "ok"),
        (Reading(5, 10, NOW_S - STUCK_S - 1, None, {}), "down"),
        (Reading(0, 0, NOW_S - 3_600, None, {}), "ok"),
        (Reading(5, LAG_WARN_MS + 1, NOW_S, None, {}), "degraded"),
        (Reading(5, 10, NOW_S, "the store does not answer", {}), "degraded"),
        (Reading(5, 10, NOW_S, None, {"progress": "a release bug"}), "down"),
    ],
)
async def test_the_applier_is_judged_by_whether_its_cursor_moves(reading: Reading, status: str) -> None:
    result = await ApplierProbe(lambda: reading, ManualClock(NOW_S)).ask()
    assert result.status == status
    assert (result.reason is None) == (status == "ok")


@pytest.mark.parametrize(
    "change, status, word",
    [
        ({}, "ok", ""),
        ({"fault": "the journal could not write"}, "down", "could not write"),
        ({"free_bytes": 99}, "degraded", "free"),
        ({"scars": 2}, "degraded", "2 damaged lines"),
        ({"sync_p99_ms": SLOW_SYNC_MS + 1}, "degraded", "p99"),
    ],
)
async def test_the_journal_is_judged_by_its_own_writes(
    change: dict[str, Any], status: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = MemoryJournal()
    stats: JournalStats = journal.stats()._replace(free_bytes=1_000)._replace(**change)
    monkeypatch.setattr(journal, "stats", lambda: stats)
    result = await JournalProbe(journal, ManualClock(), low_bytes=100).ask()
    assert result.status == status
    assert word in (result.reason or "")


# Metrics


def test_metrics_are_read_when_asked_for_and_parse_as_prometheus_writes_them() -> None:
    numbers = {"a": 1.0}
    metrics = Metrics(
        [
            Definition(
                name="holdfast_things",
                help="Things.",
                labels=("kind",),
                read=lambda: [Sample((kind,), value) for kind, value in numbers.items()],
                counter=True,
            ),
            Definition(name="holdfast_now", help="Now.", labels=(), read=lambda: [Sample((), len(numbers))]),
        ]
    )
    numbers['b"\n'] = 2.0
    families = {each.name: each for each in text_string_to_metric_families(metrics.text().decode())}
    assert families["holdfast_things"].type == "counter"
    assert {(each.labels["kind"], each.value) for each in families["holdfast_things"].samples} == {
        ("a", 1.0),
        ('b"\n', 2.0),
    }
    assert [each.value for each in families["holdfast_now"].samples] == [2.0]
