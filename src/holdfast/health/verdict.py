"""From probe results to a status and named degradations: what is lost, what still works."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from holdfast.health.probe import ProbeResult, Status


class Degradation(msgspec.Struct, rename="camel", frozen=True):
    """A named loss: what is lost, what still works, and the runbook that mends it."""

    name: str
    lost: str
    works: str
    runbook: str


class _Row(NamedTuple):
    part: str
    statuses: tuple[Status, ...]
    degradation: Degradation
    total: bool
    """Whether the portal as a whole is down with it."""


TABLE: Final[tuple[_Row, ...]] = (
    _Row(
        "journal",
        ("down",),
        Degradation(
            "journal_unwritable",
            "No new work can be taken; devices keep it and send it later.",
            "Reading courses and everything that was saved before.",
            "docs/runbooks/journal-unwritable.md",
        ),
        total=True,
    ),
    _Row(
        "journal",
        ("degraded",),
        Degradation(
            "journal_at_risk",
            "Nothing yet: the disk is filling, slow, or holds damaged lines.",
            "Everything.",
            "docs/runbooks/journal-at-risk.md",
        ),
        total=False,
    ),
    _Row(
        "store",
        ("down", "unknown"),
        Degradation(
            "store_out",
            "Signing in, courses and totals that are not on the device already.",
            "Sending work: it is kept in the journal and applied when the store is back.",
            "docs/runbooks/store-out.md",
        ),
        total=False,
    ),
    _Row(
        "applier",
        ("down", "degraded"),
        Degradation(
            "applying_behind",
            "Totals and progress shown are older than what was saved.",
            "Sending work and reading.",
            "docs/runbooks/applying-behind.md",
        ),
        total=False,
    ),
    _Row(
        "deadLetters",
        ("degraded",),
        Degradation(
            "dead_letters_waiting",
            "Some events could not be applied and wait for a person.",
            "Everything else.",
            "docs/runbooks/dead-letters-waiting.md",
        ),
        total=False,
    ),
)
"""Part and its statuses -> degradation; each has its runbook."""


class Verdict(NamedTuple):
    """The portal's condition as a whole."""

    status: Status
    results: tuple[ProbeResult, ...]
    degradations: tuple[Degradation, ...]


def judge(results: Iterable[ProbeResult], now_s: float) -> Verdict:
    """The verdict; a result past its time counts as unknown, never as its last good value."""
    dated = tuple(
        each
        if now_s - each.observed_at_s <= each.ttl_s
        else each._replace(status="unknown", reason=f"last heard of {now_s - each.observed_at_s:.0f} s ago")
        for each in results
    )
    found = [row for row in TABLE for each in dated if each.part == row.part and each.status in row.statuses]
    status: Status = "ok"
    if not dated or all(each.status == "unknown" for each in dated):
        status = "unknown"
    elif any(row.total for row in found):
        status = "down"
    elif found:
        status = "degraded"
    return Verdict(status, dated, tuple(row.degradation for row in found))
