"""What is measured: every metric's name, meaning and reading, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from holdfast.health.metrics import Definition, Sample
from holdfast.health.rules import severity_of
from holdfast.health.verdict import TABLE

if TYPE_CHECKING:
    from holdfast.web.portal import Portal

MOST_ORGS: Final = 50


def _one(read: Callable[[], float | None]) -> Callable[[], Iterable[Sample]]:
    def samples() -> Iterable[Sample]:
        value = read()
        return [] if value is None else [Sample((), value)]

    return samples


def _gauge(name: str, meaning: str, read: Callable[[], float | None]) -> Definition:
    return Definition(name, meaning, (), _one(read))


def _counter(name: str, meaning: str, read: Callable[[], float | None]) -> Definition:
    return Definition(name, meaning, (), _one(read), counter=True)


def definitions(portal: Portal) -> Iterable[Definition]:
    """The portal's metrics."""
    journal = portal.journal

    def receipts() -> Iterable[Sample]:
        counts = msgspec.structs.asdict(portal.intake.counters)
        return [Sample((status,), number) for status, number in counts.items()]

    def pending() -> Iterable[Sample]:
        by_lane: dict[str, int] = {}
        for lanes in portal.waiting.pending().values():
            for lane, number in lanes.items():
                by_lane[lane] = by_lane.get(lane, 0) + number
        return [Sample((lane,), number) for lane, number in by_lane.items()]

    def health() -> Iterable[Sample]:
        present = portal.monitor.verdict().status
        return [Sample((each,), float(each == present)) for each in ("ok", "degraded", "down", "unknown")]

    return (
        *_well_being(portal),
        Definition(
            "holdfast_receipts", "Receipts given since start, by status.", ("status",), receipts, counter=True
        ),
        Definition(
            "holdfast_pending_events",
            "Events durable and not yet applied, by lane.",
            ("lane",),
            pending,
        ),
        Definition("holdfast_health_status", "1 for the present status.", ("status",), health),
        _gauge("holdfast_lag_ms", "Age of the oldest waiting event.", portal.waiting.lag_ms),
        _gauge(
            "holdfast_analytics_ingest_lag_ms",
            "The same, of analytics.",
            lambda: portal.waiting.lag_ms("analytics"),
        ),
        _gauge(
            "holdfast_dead_letters",
            "Letters that wait for a person.",
            lambda: sum(each.open for each in portal.open_letters().values()),
        ),
        _gauge("holdfast_journal_bytes", "Bytes in all segments.", lambda: journal.stats().bytes),
        _gauge("holdfast_journal_segments", "Segments.", lambda: journal.stats().segments),
        _gauge("holdfast_journal_head", "The last durable position.", lambda: journal.stats().head),
        _gauge(
            "holdfast_journal_sync_p99_ms",
            "99th percentile of the last syncs.",
            lambda: journal.stats().sync_p99_ms,
        ),
        _gauge(
            "holdfast_journal_free_bytes",
            "Free space on the journal's volume.",
            lambda: journal.stats().free_bytes,
        ),
        _gauge(
            "holdfast_journal_writable",
            "1 while the journal can write.",
            lambda: float(journal.stats().fault is None),
        ),
        _counter("holdfast_journal_scars", "Damaged lines kept aside.", lambda: journal.stats().scars),
        _counter(
            "holdfast_journal_failed_groups",
            "Groups whose write or sync failed.",
            lambda: journal.stats().failed_groups,
        ),
        _counter(
            "holdfast_events_stamped_without_org",
            "Events without an org that got their sender's only one.",
            lambda: portal.judge.stamped_without_org,
        ),
        _gauge("holdfast_streams_open", "Streams of health.", lambda: portal.streams.open),
        _gauge(
            "holdfast_streams_lagging", "Streams whose reader does not read.", lambda: portal.streams.lagging
        ),
        _counter("holdfast_streams_opened", "Streams opened.", lambda: portal.streams.stats().opened),
        _counter(
            "holdfast_streams_turned_away",
            "Streams for which there was no place.",
            lambda: portal.streams.stats().turned_away,
        ),
        _counter(
            "holdfast_streams_evicted",
            "Streams closed because nobody read them.",
            lambda: portal.streams.stats().evicted,
        ),
        _counter("holdfast_feed_published", "Patches made.", lambda: portal.feed.stats().published),
        _counter(
            "holdfast_feed_delivered", "Patches handed to readers.", lambda: portal.feed.stats().delivered
        ),
        _counter(
            "holdfast_feed_resumed", "Readers that got what they missed.", lambda: portal.feed.stats().resumed
        ),
        _counter(
            "holdfast_membership_kept", "Times old membership facts stood.", lambda: portal.members.kept
        ),
    )


def _well_being(portal: Portal) -> tuple[Definition, ...]:
    """What the alarms are made of."""

    def degradations() -> Iterable[Sample]:
        present = {each.name for each in portal.monitor.verdict().degradations}
        return [
            Sample(
                (row.part, row.degradation.name, severity_of(row.degradation.name)),
                float(row.degradation.name in present),
            )
            for row in TABLE
        ]

    def backlogs() -> Iterable[Sample]:
        sums = {org: sum(lanes.values()) for org, lanes in portal.waiting.pending().items()}
        most = sorted(sums.items(), key=lambda each: -each[1])
        named = [Sample((org,), number) for org, number in most[:MOST_ORGS]]
        rest = sum(number for _, number in most[MOST_ORGS:])
        return [*named, Sample(("other",), rest)] if len(most) > MOST_ORGS else named

    def syncs() -> Iterable[Sample]:
        return [
            Sample(("success",), portal.reported.successes),
            Sample(("failure",), portal.reported.failures),
        ]

    return (
        Definition(
            "holdfast_degradation",
            "1 while it stands, by the part that is unwell and whether it wakes somebody.",
            ("component", "name", "severity"),
            degradations,
        ),
        Definition(
            "holdfast_offline_queue_backlog",
            "Events saved and not yet applied, of the fifty orgs that have most.",
            ("org",),
            backlogs,
        ),
        Definition(
            "holdfast_client_syncs",
            "Background syncs since start, as devices report them.",
            ("outcome",),
            syncs,
            counter=True,
        ),
        _gauge(
            "holdfast_devices_backlog",
            "Events that devices said they hold.",
            lambda: portal.reported.of(None).backlog,
        ),
        _gauge(
            "holdfast_monitor_age_s",
            "Seconds since health last looked.",
            lambda: (
                max(0.0, portal.clock.ticks_s() - portal.monitor.ticked_at_s)
                if portal.monitor.ticked_at_s > 0
                else None
            ),
        ),
        _gauge("holdfast_alarms_waiting", "Alarms not yet told.", lambda: portal.alarm_book.waiting),
    )
