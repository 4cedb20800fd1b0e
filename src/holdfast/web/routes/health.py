"""How the portal is: from memory, always 200, for each caller what they may see."""

from __future__ import annotations

from typing import Final

import msgspec

from holdfast.core.clock import rfc3339
from holdfast.core.errors import Unavailable
from holdfast.health.probe import Status
from holdfast.web.calls import Answer, Ask, Call, Said
from holdfast.web.condition import Health, in_the_drafts_words
from holdfast.web.streams import HEADERS, MEDIA_TYPE, PATH

PLUS: Final = "application/health+json"

_decode: Final = msgspec.json.Decoder(Health).decode


class Alive(Said):
    """A plain yes."""

    status: str


class HealthChange(Said):
    """The verdict changed: what it became, which losses began, which ended."""

    at: str
    status: Status
    begun: list[str]
    ended: list[str]


class Readings(Said):
    """Numbers of the last hour, every ten seconds: `at` in s since 1970, and a row for each name."""

    at: list[float]
    values: dict[str, list[float]]


class HealthHistory(Said):
    """What happened since the portal started, oldest first, as far as it is remembered."""

    changes: list[HealthChange]
    readings: Readings


async def health(ask: Ask) -> Answer:
    """The caller's document, as it stands in memory."""
    portal = ask.portal
    told = portal.telling.now(ask.portal.audiences.of(ask.who))
    # The demonstration is told to everyone, and the body keeps its three fields.
    headers = {"cache-control": "no-store", "vary": "Accept", "x-holdfast-demo": demo(portal.settings.demo)}
    if PLUS in ask.headers.get("accept", ""):
        return Answer(in_the_drafts_words(_decode(told.body)), media_type=PLUS, headers=headers)
    return Answer(told.body, headers=headers)


def demo(on: bool) -> str:  # noqa: FBT001
    """The value of X-Holdfast-Demo."""
    return "on" if on else "off"


async def stream(ask: Ask) -> Answer:
    """The whole document once, and when to come again: for who could not be given a stream.

    The stream itself is taken from the server before the app hears of it: see `web/streams`.
    """
    told = ask.portal.telling.now(ask.portal.audiences.of(ask.who))
    headers = {**HEADERS, "x-holdfast-demo": demo(ask.portal.settings.demo), "connection": "close"}
    return Answer(ask.portal.streams.once(told.snapshot), media_type=MEDIA_TYPE, headers=headers)


async def history(ask: Ask) -> HealthHistory:
    """The last changes and the last hour."""
    known, clock = ask.portal.monitor.history, ask.portal.clock
    # When the ticks began, by the wall as it is now: one that was set back puts no reading out of order.
    began_s = clock.now_s() - clock.ticks_s()
    names = list(known.readings[-1].values) if known.readings else []
    return HealthHistory(
        changes=[
            HealthChange(at=rfc3339(each.at_s), status=each.status, begun=[*each.begun], ended=[*each.ended])
            for each in known.changes
        ],
        readings=Readings(
            at=[round(began_s + each.at_ticks_s, 3) for each in known.readings],
            values={name: [each.values.get(name, 0.0) for each in known.readings] for name in names},
        ),
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
        gives=("application/json", PLUS),
    ),
    Call("GET", PATH, stream, "public", None, "How the portal is, and each change", gives=(MEDIA_TYPE,)),
    Call("GET", "/api/health/history", history, "health.history", HealthHistory, "What happened lately"),
    Call("GET", "/livez", livez, "public", Alive, "The process lives"),
    Call("GET", "/readyz", readyz, "public", Alive, "Requests can be served"),
    Call("GET", "/startupz", startupz, "public", Alive, "The portal has started"),
    Call(
        "GET", "/api/diagnostics/metrics", metrics, "metrics.read", None, "Metrics",
        gives=("text/plain",),
    ),
)  # fmt: skip
