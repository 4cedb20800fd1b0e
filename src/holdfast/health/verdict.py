"""From probe results to a status and named degradations: what is lost, what still works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from holdfast.health.probe import ProbeResult, Status


class Degradation(msgspec.Struct, rename="camel", frozen=True):
    """A named loss: what is lost, what still works, and the runbook that mends it."""

    name: str
    lost: str
    works: str
    runbook: str


class Begun(NamedTuple):
    """When a degradation began, and when it is likely to be over; seconds since 1970."""

    at_s: float
    expected_end_s: float


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
            "Nothing yet: the journal's disk is slow, it holds damaged lines, or it is an older copy.",
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
        "store",
        ("degraded",),
        Degradation(
            "store_read_only",
            "Changes by admins, and new totals; what is saved now shows later.",
            "Signing in, reading, and sending work: it is kept in the journal and applied later.",
            "docs/runbooks/store-read-only.md",
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
    _Row(
        "disk",
        ("degraded",),
        Degradation(
            "disk_filling",
            "Analytics wait on the devices; further down everything but progress does.",
            "Learning: progress and assignments are taken until the last mark.",
            "docs/runbooks/disk-filling.md",
        ),
        total=False,
    ),
    _Row(
        "disk",
        ("down",),
        Degradation(
            "disk_unwritable",
            "Nothing yet; as soon as a new file is needed, no new work can be taken.",
            "Everything that goes on in files that are open.",
            "docs/runbooks/disk-unwritable.md",
        ),
        total=False,
    ),
    _Row(
        "feed",
        ("degraded", "down"),
        Degradation(
            "feed_limited",
            "Screens that were opened lately hear of changes later: they ask now and then.",
            "Everything else.",
            "docs/runbooks/feed-limited.md",
        ),
        total=False,
    ),
    _Row(
        "clock",
        ("degraded",),
        Degradation(
            "clock_jumped",
            "Ages and due dates may be shown wrong; sessions may end early.",
            "Sending work and reading: nothing is ordered by clocks.",
            "docs/runbooks/clock-jumped.md",
        ),
        total=False,
    ),
    _Row(
        "identityKeys",
        ("degraded", "down"),
        Degradation(
            "keys_unusable",
            "Signing in.",
            "What devices show and keep; they send it once their owners can sign in.",
            "docs/runbooks/keys-unusable.md",
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
    begun: Mapping[str, Begun] = {}
    """By a degradation's name."""


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
