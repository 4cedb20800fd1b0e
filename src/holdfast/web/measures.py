"""What is measured: every metric's name, meaning and reading, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from holdfast.health.metrics import Definition, Sample

if TYPE_CHECKING:
    from holdfast.web.portal import Portal


def definitions(portal: Portal) -> Iterable[Definition]:
    """The portal's metrics."""
    journal = portal.journal

    def one(read: Callable[[], float | None]) -> Callable[[], Iterable[Sample]]:
        def samples() -> Iterable[Sample]:
            value = read()
            return [] if value is None else [Sample((), value)]

        return samples

    def gauge(name: str, meaning: str, read: Callable[[], float | None]) -> Definition:
        return Definition(name, meaning, (), one(read))

    def counter(name: str, meaning: str, read: Callable[[], float | None]) -> Definition:
        return Definition(name, meaning, (), one(read), counter=True)

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
        gauge("holdfast_lag_ms", "Age of the oldest waiting event.", portal.waiting.lag_ms),
        gauge(
            "holdfast_analytics_ingest_lag_ms",
            "The same, of analytics.",
            lambda: portal.waiting.lag_ms("analytics"),
        ),
        gauge(
            "holdfast_dead_letters",
            "Letters that wait for a person.",
            lambda: sum(each.open for each in portal.open_letters().values()),
        ),
        gauge("holdfast_journal_bytes", "Bytes in all segments.", lambda: journal.stats().bytes),
        gauge("holdfast_journal_segments", "Segments.", lambda: journal.stats().segments),
        gauge("holdfast_journal_head", "The last durable position.", lambda: journal.stats().head),
        gauge(
            "holdfast_journal_sync_p99_ms",
            "99th percentile of the last syncs.",
            lambda: journal.stats().sync_p99_ms,
        ),
        gauge(
            "holdfast_journal_free_bytes",
            "Free space on the journal's volume.",
            lambda: journal.stats().free_bytes,
        ),
        gauge(
            "holdfast_journal_writable",
            "1 while the journal can write.",
            lambda: float(journal.stats().fault is None),
        ),
        counter("holdfast_journal_scars", "Damaged lines kept aside.", lambda: journal.stats().scars),
        counter(
            "holdfast_journal_failed_groups",
            "Groups whose write or sync failed.",
            lambda: journal.stats().failed_groups,
        ),
        counter(
            "holdfast_events_stamped_without_org",
            "Events without an org that got their sender's only one.",
            lambda: portal.judge.stamped_without_org,
        ),
        gauge("holdfast_streams_open", "Streams of health.", lambda: portal.streams.open),
        gauge(
            "holdfast_streams_lagging", "Streams whose reader does not read.", lambda: portal.streams.lagging
        ),
        counter("holdfast_streams_opened", "Streams opened.", lambda: portal.streams.stats().opened),
        counter(
            "holdfast_streams_turned_away",
            "Streams for which there was no place.",
            lambda: portal.streams.stats().turned_away,
        ),
        counter(
            "holdfast_streams_evicted",
            "Streams closed because nobody read them.",
            lambda: portal.streams.stats().evicted,
        ),
        counter("holdfast_feed_published", "Patches made.", lambda: portal.feed.stats().published),
        counter(
            "holdfast_feed_delivered", "Patches handed to readers.", lambda: portal.feed.stats().delivered
        ),
        counter(
            "holdfast_feed_resumed", "Readers that got what they missed.", lambda: portal.feed.stats().resumed
        ),
        counter("holdfast_membership_kept", "Times old membership facts stood.", lambda: portal.members.kept),
    )
