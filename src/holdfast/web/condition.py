"""The document of health: what is told, and to whom how much of it.

No field is ever null: a merge patch can't say that, so what is not known is left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from holdfast.core.clock import rfc3339
from holdfast.events.reported import NOBODY, Reported
from holdfast.health.probe import ProbeResult, Status
from holdfast.health.verdict import Verdict, judge
from holdfast.journal.port import Counts
from holdfast.web.calls import Said
from holdfast.web.portal import BACKLOG_LIMIT, Portal
from holdfast.web.telling import Audience


class Latency(Said, omit_defaults=True):
    """Milliseconds; left out where nothing was measured lately."""

    p50: float | msgspec.UnsetType = msgspec.UNSET
    p95: float | msgspec.UnsetType = msgspec.UNSET


class Component(Said, omit_defaults=True):
    """One part."""

    status: Status
    breaker: str
    latency_ms: Latency
    observed_at: str
    ttl_ms: int
    reason: str | msgspec.UnsetType = msgspec.UNSET


class Degradation(Said):
    """A named loss: what is lost, what still works, since when, and the runbook that mends it.

    `expected_end_at`: as the last ones of its kind went; a guess.
    """

    name: str
    lost: str
    works: str
    runbook: str
    since: str
    expected_end_at: str


class OrgEnforcement(Said):
    """Whether events must state their org, and how many were stamped instead since start."""

    force: bool
    stamped_without_org: int


class OfflineQueue(Said):
    """Events that are saved and not yet applied; of them those that assign courses."""

    backlog: int
    pending_assignments: int
    warn_at: int


class OrgView(Said):
    """The caller's own org. `assignments_stuck`: admins' work that the rule of orgs stopped."""

    org_id: str
    backlog: int
    pending_assignments: int
    assignments_stuck: int
    lag_ms: int
    dead_letters: int
    devices_reporting: int
    devices_backlog: int
    devices_lag_ms: int


class StreamsNow(Said):
    """How many listen, how many of them lag, how many there may be."""

    open: int
    lagging: int
    most: int


class Health(Said, omit_defaults=True):
    """Strangers get the first three; members the rest about their org; operators all."""

    status: Status
    epoch: str | msgspec.UnsetType = msgspec.UNSET
    seq: int | msgspec.UnsetType = msgspec.UNSET
    observed_at: str | msgspec.UnsetType = msgspec.UNSET
    demo: bool | msgspec.UnsetType = msgspec.UNSET
    components: dict[str, Component] | msgspec.UnsetType = msgspec.UNSET
    org_enforcement: OrgEnforcement | msgspec.UnsetType = msgspec.UNSET
    analytics_ingest_lag_ms: int | msgspec.UnsetType = msgspec.UNSET
    offline_queue: OfflineQueue | msgspec.UnsetType = msgspec.UNSET
    feature_flags: dict[str, bool] | msgspec.UnsetType = msgspec.UNSET
    flag_rollout: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    """Flag -> for how many percent of people it is on; for operators, where the settings decide."""
    degradations: list[Degradation] | msgspec.UnsetType = msgspec.UNSET
    streams: StreamsNow | msgspec.UnsetType = msgspec.UNSET
    org: OrgView | msgspec.UnsetType = msgspec.UNSET


class Facts(NamedTuple):
    """What all documents of one moment are made of."""

    verdict: Verdict
    pending: Counts
    reported: dict[str, Reported]


class Condition:
    """Makes the documents, from memory."""

    def __init__(self, portal: Portal) -> None:
        """`portal`: whose condition."""
        self._portal = portal

    def facts(self) -> Facts:
        """The moment."""
        portal = self._portal
        facts = Facts(portal.monitor.verdict(), portal.waiting.pending(), portal.reported.by_org())
        portal.monitor.history.read(portal.clock.ticks_s(), lambda: self._readings(facts))
        return facts

    def _readings(self, at: Facts) -> dict[str, float]:
        """The moment's numbers, as the last hour's charts draw them."""
        portal = self._portal
        return {
            "backlog": sum(sum(lanes.values()) for lanes in at.pending.values()),
            "lagMs": portal.waiting.lag_ms(),
            "analyticsIngestLagMs": portal.waiting.lag_ms("analytics"),
            "deadLetters": sum(letters.open for letters in portal.open_letters().values()),
            "devicesBacklog": sum(reported.backlog for reported in at.reported.values()),
            "streams": portal.streams.stats().open,
        }

    def document(self, whom: Audience, at: Facts) -> dict[str, Any]:
        """An audience's document; the feed adds `epoch` and `seq`."""
        portal = self._portal
        verdict = self._seen_by(whom, at.verdict)
        said = Health(status=verdict.status)
        if whom.kind != "stranger":
            lanes = at.pending.get(whom.org, {}) if whom.org is not None else {}
            operator = whom.kind == "operator"
            said.observed_at = portal.now()
            said.demo = portal.settings.demo
            said.degradations = _degradations(verdict)
            said.org_enforcement = OrgEnforcement(
                force=portal.settings.force_org_enforcement,
                stamped_without_org=portal.judge.stamped_without_org if operator else 0,
            )
            # Another org's lag is told to nobody: a member hears of it while their own waits there too.
            own = operator or bool(lanes.get("analytics"))
            said.analytics_ingest_lag_ms = portal.waiting.lag_ms("analytics") if own else 0
            said.feature_flags = dict(whom.flags)
            said.offline_queue = _queue(list(at.pending.values()) if operator else [lanes])
            if whom.org is not None:
                said.org = self._org(whom.org, lanes, at.reported.get(whom.org, NOBODY))
            if operator:
                said.flag_rollout = portal.flags.rollout()
                said.components = {each.part: _component(each) for each in verdict.results}
                streams = portal.streams.stats()
                said.streams = StreamsNow(
                    open=streams.open, lagging=streams.lagging, most=portal.settings.most_streams
                )
        document: dict[str, Any] = msgspec.to_builtins(said)
        return document

    def _seen_by(self, whom: Audience, verdict: Verdict) -> Verdict:
        """The verdict as they may see it: another org's dead letters are no business of theirs."""
        if whom.kind == "operator":
            return verdict
        mine = self._portal.open_letters().get(whom.org) if whom.org is not None else None
        results = [
            each._replace(status="degraded" if mine else "ok", reason=None)
            if each.part == "deadLetters" and each.status != "unknown"
            else each
            for each in verdict.results
        ]
        return judge(results, self._portal.clock.now_s())._replace(begun=verdict.begun)

    def _org(self, org: str, lanes: dict[str, int], reported: Reported) -> OrgView:
        letters = self._portal.open_letters().get(org)
        waiting = [lane for lane, number in lanes.items() if number]
        return OrgView(
            org_id=org,
            backlog=sum(lanes.values()),
            pending_assignments=lanes.get("admin", 0),
            assignments_stuck=letters.enforced if letters else 0,
            lag_ms=max((self._portal.waiting.lag_ms(lane) for lane in waiting), default=0),
            dead_letters=letters.open if letters else 0,
            devices_reporting=reported.devices,
            devices_backlog=reported.backlog,
            devices_lag_ms=reported.lag_ms,
        )


def _degradations(verdict: Verdict) -> list[Degradation]:
    found = []
    for each in verdict.degradations:
        begun = verdict.begun.get(each.name)
        if begun is not None:
            since, end = rfc3339(begun.at_s), rfc3339(begun.expected_end_s)
            found.append(Degradation(**msgspec.structs.asdict(each), since=since, expected_end_at=end))
    return found


def _queue(orgs: list[dict[str, int]]) -> OfflineQueue:
    return OfflineQueue(
        backlog=sum(sum(lanes.values()) for lanes in orgs),
        pending_assignments=sum(lanes.get("admin", 0) for lanes in orgs),
        warn_at=BACKLOG_LIMIT,
    )


def _component(each: ProbeResult) -> Component:
    return Component(
        status=each.status,
        breaker="open" if each.status == "down" else "closed",
        latency_ms=Latency(
            p50=msgspec.UNSET if each.latency_p50_ms is None else each.latency_p50_ms,
            p95=msgspec.UNSET if each.latency_p95_ms is None else each.latency_p95_ms,
        ),
        observed_at=rfc3339(max(0.0, each.observed_at_s)),
        ttl_ms=int(each.ttl_s * 1000),
        reason=msgspec.UNSET if each.reason is None else each.reason,
    )


# application/health+json (draft-inadarei-api-health-check-06), for monitors that read that


class Check(Said, omit_defaults=True):
    """One component, in the draft's words."""

    status: str
    time: str
    component_type: str = "component"
    observed_value: float | msgspec.UnsetType = msgspec.UNSET
    observed_unit: str | msgspec.UnsetType = msgspec.UNSET
    output: str | msgspec.UnsetType = msgspec.UNSET


class HealthPlus(Said, omit_defaults=True):
    """The same verdict in the draft's words; `notes` are the named losses."""

    status: str
    release_id: str | msgspec.UnsetType = msgspec.UNSET
    notes: list[str] | msgspec.UnsetType = msgspec.UNSET
    checks: dict[str, list[Check]] | msgspec.UnsetType = msgspec.UNSET


DRAFT: dict[str, str] = {"ok": "pass", "degraded": "warn", "unknown": "warn", "down": "fail"}


def in_the_drafts_words(health: Health) -> HealthPlus:
    """A document as `application/health+json`."""
    said = HealthPlus(status=DRAFT[health.status])
    if health.degradations is not msgspec.UNSET:
        said.notes = [f"{each.name} since {each.since}: {each.lost}" for each in health.degradations]
    if health.epoch is not msgspec.UNSET:
        said.release_id = f"{health.epoch}.{health.seq}"
    if health.components is not msgspec.UNSET:
        said.checks = {
            f"{part}:responseTime": [
                Check(
                    status=DRAFT[each.status],
                    time=each.observed_at,
                    observed_value=each.latency_ms.p95,
                    observed_unit="ms" if each.latency_ms.p95 is not msgspec.UNSET else msgspec.UNSET,
                    output=each.reason,
                )
            ]
            for part, each in health.components.items()
        }
    return said
