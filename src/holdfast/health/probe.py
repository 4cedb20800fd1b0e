"""Probes: questions about one part, and what is seen of it while others use it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

Status = Literal["ok", "degraded", "down", "unknown"]


class Outcome(NamedTuple):
    """How one thing went: a transaction that somebody needed, or a probe's own question.

    `line` tells apart what can fail alone, such as reading and writing; `status` is what it means
    for the part if it goes on like that. `unknown` is no vote.
    """

    line: str
    status: Status
    reason: str | None = None


class ProbeResult(NamedTuple):
    """A part's dated condition. After `ttl_s` seconds it says nothing any more: stale is unknown."""

    part: str
    status: Status
    reason: str | None
    observed_at_s: float
    ttl_s: float
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None


class Probe(Protocol):
    """One part. Evidence first: `ask` is only called where `evidence` was silent for `period_s`."""

    @property
    def part(self) -> str:
        """Its name."""
        ...

    @property
    def lines(self) -> tuple[str, ...]:
        """What can fail alone."""
        ...

    @property
    def period_s(self) -> float:
        """At most so long is no news; 0 where `evidence` alone tells all, ten times a second."""
        ...

    @property
    def deadline_s(self) -> float:
        """The monitor gives up on a question then."""
        ...

    @property
    def votes(self) -> tuple[int, int]:
        """(k, n): worse is believed when k of the last n outcomes say so; (1, 1) for plain facts."""
        ...

    def evidence(self) -> Iterable[Outcome]:
        """What was seen since the last call, oldest first: from memory, at once, never raising."""
        ...

    async def ask(self) -> Iterable[Outcome]:
        """The answer, now. Whatever it raises counts as `down`, for every line."""
        ...

    def latency_ms(self) -> tuple[float | None, float | None]:
        """Median and 95th percentile of late; None where nothing was measured."""
        ...
