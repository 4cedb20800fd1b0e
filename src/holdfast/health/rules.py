"""When somebody is woken: each rule once, for Prometheus and for the portal itself.

The rule files, their tests, the routes to PagerDuty and the portal's own alarms all come from here.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Severity = Literal["page", "ticket"]

BACKLOG_LIMIT: Final = 50
LAG_LIMIT_MS: Final = 120_000
SLA_S: Final = 120
OBJECTIVE: Final = 0.001
"""The share of events that may be told "later": one in a thousand."""
PAGES: Final = frozenset(
    {
        "journal_unwritable",
        "store_out",
        "store_read_only",
        "applying_behind",
        "disk_unwritable",
        "keys_unusable",
    }
)
"""Degradations that can't wait for the morning; the others are tickets."""


CAUSED_BY: Final = {"applier": "store", "disk": "store"}
"""Part -> the part whose own page makes a page about it needless: one outage wakes somebody once."""


def severity_of(degradation: str) -> Severity:
    """Whether a degradation wakes somebody."""
    return "page" if degradation in PAGES else "ticket"


class Limit(NamedTuple):
    """A condition on one metric that the portal can judge too: some sample is above it."""

    metric: str
    above: float
    by: tuple[str, ...] = ()
    """One alarm for each value of these labels."""
    only: tuple[tuple[str, str], ...] = ()
    """Only samples with these labels."""

    @property
    def promql(self) -> str:
        """The same, for Prometheus."""
        only = ",".join(f'{name}="{value}"' for name, value in self.only)
        series = self.metric + (f"{{{only}}}" if only else "")
        by = ",".join(self.by)
        return f"max by ({by}) ({series}) > {self.above:g}" if by else f"max({series}) > {self.above:g}"


class Rule(NamedTuple):
    """One reason to tell somebody."""

    name: str
    summary: str
    severity: Severity
    component: str
    """Who is unwell; empty where the sample's own label says it."""
    for_s: int
    runbook: str
    limit: Limit | None = None
    expr: str = ""
    """For conditions that need the past: only Prometheus has it."""
    fires: tuple[tuple[str, str], ...] = ()
    """Series, in promtool's notation, under which `expr` fires."""

    @property
    def promql(self) -> str:
        """The condition, for Prometheus."""
        return self.expr or (self.limit.promql if self.limit is not None else "")


def _burns(factor: float, long: str, short: str) -> str:
    def share(window: str) -> str:
        later = f'sum(rate(holdfast_receipts_total{{status="later"}}[{window}]))'
        return f"({later} / sum(rate(holdfast_receipts_total[{window}])) > {factor * OBJECTIVE:g})"

    # Of a handful of events one refusal is a large share, and no reason to wake anybody.
    return f"{share(long)} and {share(short)} and sum(increase(holdfast_receipts_total[{short}])) > 50"


_BURNING: Final = (
    ('holdfast_receipts_total{status="accepted"}', "0+90x220"),
    ('holdfast_receipts_total{status="later"}', "0+30x220"),
)
_BEHIND: Final = "docs/runbooks/applying-behind.md"

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "HoldfastPartLost", "A part that people need is not well", "page", "", 10, "docs/runbooks/index.md",
        Limit("holdfast_degradation", 0, ("component",), (("severity", "page"),)),
    ),
    Rule(
        "HoldfastPartAiling", "A part should be looked at", "ticket", "", 300, "docs/runbooks/index.md",
        Limit("holdfast_degradation", 0, ("component",), (("severity", "ticket"),)),
    ),
    Rule(
        "HoldfastBacklog", "Work that was saved is not applied", "page", "applier", SLA_S, _BEHIND,
        Limit("holdfast_offline_queue_backlog", BACKLOG_LIMIT, ("org",)),
    ),
    Rule(
        "HoldfastAnalyticsLag", "Analytics are more than two minutes old", "page", "applier", SLA_S, _BEHIND,
        Limit("holdfast_analytics_ingest_lag_ms", LAG_LIMIT_MS),
    ),
    Rule(
        "HoldfastBlind", "Health has not looked for a while", "page", "health", 30, "docs/runbooks/index.md",
        Limit("holdfast_monitor_age_s", 10),
    ),
    Rule(
        "HoldfastDamage", "The journal holds damaged lines", "page", "journal", 0,
        "docs/runbooks/journal-at-risk.md", Limit("holdfast_journal_scars_total", 0),
    ),
    Rule(
        "HoldfastFailedSyncs", "The disk refused what the journal wrote", "page", "journal", 0,
        "docs/runbooks/journal-unwritable.md", Limit("holdfast_journal_failed_groups_total", 0),
    ),
    Rule(
        "HoldfastGone", "The portal does not answer Prometheus", "page", "portal", 60,
        "docs/runbooks/index.md", expr='up{job="holdfast"} == 0 or absent(up{job="holdfast"})',
        fires=(('up{job="holdfast"}', "0x220"),),
    ),
    Rule(
        "HoldfastBurnsFast", "Events are told to come later, far too often", "page", "journal", 120,
        "docs/runbooks/journal-unwritable.md", expr=_burns(14.4, "1h", "5m"), fires=_BURNING,
    ),
    Rule(
        "HoldfastBurnsSlowly", "Events are told to come later, too often", "ticket", "journal", 900,
        "docs/runbooks/journal-unwritable.md", expr=_burns(6, "6h", "30m"), fires=_BURNING,
    ),
    Rule(
        "HoldfastDevicesFail", "Most background syncs of devices fail", "ticket", "devices", 900,
        "docs/runbooks/index.md",
        expr='sum(rate(holdfast_client_syncs_total{outcome="failure"}[30m])) > '
        "sum(rate(holdfast_client_syncs_total[30m])) / 2",
        fires=(
            ('holdfast_client_syncs_total{outcome="failure"}', "0+9x220"),
            ('holdfast_client_syncs_total{outcome="success"}', "0+1x220"),
        ),
    ),
)  # fmt: skip
"""Every rule. What `must be zero` starts anew with the portal: a page stays until somebody looked."""

DEAD_MAN: Final = "HoldfastWatched"
"""Always on: who does not hear it knows that the alarms themselves are out."""
