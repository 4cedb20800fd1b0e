"""Probes: one question about one part, and its dated answer."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

Status = Literal["ok", "degraded", "down", "unknown"]


class ProbeResult(NamedTuple):
    """A dated answer. After `ttl_s` seconds it says nothing any more: stale is unknown."""

    part: str
    status: Status
    reason: str | None
    observed_at_s: float
    ttl_s: float
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None


class Probe(Protocol):
    """One question. It must not take longer than `deadline_s`; the monitor gives up on it then."""

    part: str
    deadline_s: float

    async def ask(self) -> ProbeResult:
        """The answer, now. Whatever it raises counts as `down` with that reason."""
        ...
