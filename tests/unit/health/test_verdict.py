"""From answers to a verdict: evidence that is old says nothing, and every loss has a name."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.core.clock import ManualClock
from holdfast.feed.hub import Hub
from holdfast.health.metrics import Definition, Metrics, Sample
from holdfast.health.probe import ProbeResult, Status
from holdfast.health.probes.applier import LAG_WARN_MS, STUCK_S, ApplierProbe, Reading
from holdfast.health.probes.clock import SHOWN_S, ClockProbe
from holdfast.health.probes.disk import DiskProbe
from holdfast.health.probes.feed import FeedProbe
from holdfast.health.probes.journal import SLOW_SYNC_MS, JournalProbe
from holdfast.health.probes.keys import KeysProbe
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
def test_the_applier_is_judged_by_whether_its_cursor_moves(reading: Reading, status: str) -> None:
    (outcome,) = ApplierProbe(lambda: reading, ManualClock(NOW_S)).evidence()
    assert outcome.status == status
    assert (outcome.reason is None) == (status == "ok")


@pytest.mark.parametrize(
    "change, status, word",
    [
        ({}, "ok", ""),
        ({"fault": "the journal could not write"}, "down", "could not write"),
        ({"scars": 2}, "degraded", "2 damaged lines"),
        ({"sync_p99_ms": SLOW_SYNC_MS + 1}, "degraded", "p99"),
        ({"free_bytes": 100 << 20}, "ok", ""),
        ({"free_bytes": 63 << 20}, "down", "63 MiB are free on the journal's volume: nothing is taken"),
    ],
)
def test_the_journal_is_judged_by_its_own_writes(
    change: dict[str, Any], status: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = MemoryJournal()
    stats: JournalStats = journal.stats()._replace(**change)
    monkeypatch.setattr(journal, "stats", lambda: stats)
    (outcome,) = JournalProbe(journal, 64 << 20).evidence()
    assert outcome.status == status
    assert word in (outcome.reason or "")


def test_a_clock_that_jumps_is_said_for_a_while() -> None:
    class Jumping(ManualClock):
        ahead_s = 0.0

        def now_s(self) -> float:
            return super().now_s() + self.ahead_s

    clock = Jumping()
    probe = ClockProbe(clock)

    def said() -> tuple[str, str]:
        (outcome,) = probe.evidence()
        return outcome.status, outcome.reason or ""

    clock.advance(3_600)
    assert said() == ("ok", "")
    clock.ahead_s = -60.0
    assert said() == ("degraded", "the clock jumped 60 s back")
    clock.advance(SHOWN_S - 1)
    assert said()[0] == "degraded"
    clock.advance(2)
    assert said() == ("ok", "")


async def test_a_folder_that_takes_no_new_file_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    free = 1_000
    probe = DiskProbe(folder, lambda: free, 100, period_s=10.0)
    assert [each.status for each in await probe.ask()] == ["ok"]
    assert list(folder.iterdir()) == [], "what it writes to try it takes away again"
    assert [each.status for each in probe.evidence()] == ["ok"]
    free = 99
    assert [each.status for each in probe.evidence()] == ["degraded"]
    folder.rmdir()
    (outcome,) = await probe.ask()
    assert (outcome.status, outcome.line) == ("down", "files")


async def test_a_feed_that_tells_nobody_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Hub()
    open_ = 94
    probe = FeedProbe(feed, lambda: (open_, 100), 2.0)
    assert [each.status for each in await probe.ask()] == ["ok"]
    assert [each.status for each in await probe.ask()] == ["ok"]
    assert [each.status for each in probe.evidence()] == ["ok"]
    open_ = 95
    assert [each.status for each in probe.evidence()] == ["degraded"]
    monkeypatch.setattr(probe, "deliver", lambda _: None)
    feed.leave("probe", probe)
    assert [each.status for each in await probe.ask()] == ["down"]


async def test_keys_that_prove_nothing_are_found_out() -> None:
    def broken() -> None:
        raise ValueError("no key")

    assert [each.status for each in await KeysProbe(lambda: None, 2.0).ask()] == ["ok"]
    (outcome,) = await KeysProbe(broken, 2.0).ask()
    assert (outcome.status, outcome.reason) == ("down", "a token just signed does not verify: ValueError")


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
