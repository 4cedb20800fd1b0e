"""How the portal is: from memory, always 200, for each caller what they may see."""

from __future__ import annotations

from holdfast.core.clock import rfc3339
from holdfast.core.errors import Unavailable
from holdfast.health.probe import Status
from holdfast.health.verdict import Degradation, Verdict, judge
from holdfast.web.calls import Answer, Ask, Call, Said
from holdfast.web.portal import BACKLOG_LIMIT


class Latency(Said):
    """Milliseconds; empty where nothing was measured lately."""

    p50: float | None
    p95: float | None


class Component(Said):
    """One part."""

    status: Status
    breaker: str
    latency_ms: Latency
    observed_at: str
    ttl_ms: int
    reason: str | None


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
    """The caller's own org."""

    org_id: str
    backlog: int
    pending_assignments: int
    lag_ms: int
    dead_letters: int
    devices_reporting: int
    devices_backlog: int


class Health(Said, omit_defaults=True):
    """Anonymous callers get the first three; members the rest about their org; operators all."""

    status: Status
    epoch: str
    seq: int
    observed_at: str | None = None
    demo: bool | None = None
    components: dict[str, Component] | None = None
    org_enforcement: OrgEnforcement | None = None
    analytics_ingest_lag_ms: int | None = None
    offline_queue: OfflineQueue | None = None
    feature_flags: dict[str, bool] | None = None
    degradations: list[Degradation] | None = None
    org: OrgView | None = None


class Alive(Said):
    """A plain yes."""

    status: str


async def health(ask: Ask) -> Answer:
    """The verdict."""
    portal = ask.portal
    verdict = _seen_by(ask)
    said = Health(status=verdict.status, epoch=portal.monitor.epoch, seq=portal.monitor.seq)
    if ask.who is not None:
        said.observed_at = portal.now()
        said.demo = portal.settings.demo
        said.degradations = list(verdict.degradations)
        said.org_enforcement = OrgEnforcement(
            force=portal.settings.force_org_enforcement,
            stamped_without_org=portal.judge.stamped_without_org if ask.who.operator else 0,
        )
        said.analytics_ingest_lag_ms = portal.waiting.lag_ms("analytics")
        said.feature_flags = portal.flags.for_principal(ask.who)
        said.offline_queue = _queue(ask, None if ask.who.operator else ask.org)
        said.org = _org(ask, ask.org) if ask.org is not None else None
        if ask.who.operator:
            said.components = {
                each.part: Component(
                    status=each.status,
                    breaker="open" if each.status == "down" else "closed",
                    latency_ms=Latency(p50=each.latency_p50_ms, p95=each.latency_p95_ms),
                    observed_at=rfc3339(each.observed_at_s),
                    ttl_ms=int(each.ttl_s * 1000),
                    reason=each.reason,
                )
                for each in verdict.results
            }
    # The demonstration is told to everyone, and the body keeps its three fields.
    headers = {"cache-control": "no-store", "x-holdfast-demo": "on" if portal.settings.demo else "off"}
    wants = ask.headers.get("accept", "")
    media = "application/health+json" if "application/health+json" in wants else "application/json"
    return Answer(said, media_type=media, headers=headers)


def _seen_by(ask: Ask) -> Verdict:
    """The verdict as the caller may see it: another org's dead letters are no business of theirs."""
    verdict = ask.portal.monitor.verdict()
    if ask.who is not None and ask.who.operator:
        return verdict
    mine = ask.portal.open_letters().get(ask.org, 0) if ask.org is not None else 0
    results = [
        each._replace(status="degraded" if mine else "ok", reason=None)
        if each.part == "deadLetters" and each.status != "unknown"
        else each
        for each in verdict.results
    ]
    return judge(results, ask.portal.clock.now_s())


def _queue(ask: Ask, org: str | None) -> OfflineQueue:
    pending = ask.portal.waiting.pending()
    lanes = pending.values() if org is None else [pending.get(org, {})]
    return OfflineQueue(
        backlog=sum(sum(each.values()) for each in lanes),
        pending_assignments=sum(each.get("admin", 0) for each in lanes),
        warn_at=BACKLOG_LIMIT,
    )


def _org(ask: Ask, org: str) -> OrgView:
    mine = _queue(ask, org)
    reported = ask.portal.reported.of(org)
    return OrgView(
        org_id=org,
        backlog=mine.backlog,
        pending_assignments=mine.pending_assignments,
        lag_ms=ask.portal.waiting.lag_ms() if mine.backlog else 0,
        dead_letters=ask.portal.open_letters().get(org, 0),
        devices_reporting=reported.devices,
        devices_backlog=reported.backlog,
    )


async def livez(_: Ask) -> Alive:
    """The loop turns; nothing else is asked."""
    return Alive(status="ok")


async def readyz(ask: Ask) -> Alive:
    """Something can be served: yes while only the store is out, no while stopping or unable to write."""
    if ask.portal.draining:
        raise Unavailable("the portal is stopping", code="draining")
    fault = ask.portal.journal.stats().fault
    verdict = ask.portal.monitor.verdict()
    store_down = any(each.part == "store" and each.status == "down" for each in verdict.results)
    if fault is not None and store_down:
        raise Unavailable(fault, code="journal_unavailable")
    return Alive(status="ok")


async def startupz(ask: Ask) -> Alive:
    """The journal is recovered; the portal has started."""
    return Alive(status="ok" if ask.portal.journal.stats().head >= 0 else "starting")


async def metrics(ask: Ask) -> Answer:
    """Prometheus' text format; for a bearer, or this machine itself."""
    return Answer(ask.portal.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


CALLS: tuple[Call, ...] = (
    Call(
        "GET", "/api/health", health, "public", Health, "How the portal is",
        gives=("application/json", "application/health+json"),
    ),
    Call("GET", "/livez", livez, "public", Alive, "The process lives"),
    Call("GET", "/readyz", readyz, "public", Alive, "Requests can be served"),
    Call("GET", "/startupz", startupz, "public", Alive, "The portal has started"),
    Call(
        "GET", "/api/diagnostics/metrics", metrics, "metrics.read", None, "Metrics",
        gives=("text/plain",),
    ),
)  # fmt: skip
