"""The Journal port: seven verbs, batch first. One could write an engine from this page alone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from holdfast.journal.record import Event, Record

Counts = dict[str, dict[str, int]]
"""org -> lane -> number of events."""


Erased = Mapping[int, Collection[str]]
"""A frame's last position -> the sha256 its bytes may have now that something in it was erased."""
NOTHING_ERASED: Final[Erased] = MappingProxyType({})


class Slice(NamedTuple):
    """What one read found. Everything up to and with `through` was looked at."""

    records: list[Record]
    through: int


class Finding(NamedTuple):
    """One thing `verify` found wrong: where, and what, in words."""

    segment: str
    line: int
    what: str


class JournalStats(NamedTuple):
    """A journal's condition, from memory: no I/O but one free-space call."""

    durable: str
    """How durable a receipt is: `fsync`, `quorum-fsync`, `quorum-memory`, or `memory` (tests)."""
    head: int
    """The last position that is durable; 0 when the journal is empty."""
    bytes: int
    segments: int
    waiting_bytes: int
    """Bytes taken in but not yet durable."""
    sync_p99_ms: float | None
    """Of the last minute's groups, 512 at most; None where there were not two."""
    free_bytes: int | None
    scars: int
    """Lines found damaged since start, kept aside."""
    failed_groups: int
    """Groups whose write or sync failed since start."""
    fault: str | None
    """Why the journal cannot write now, in words; None while it can."""


class Journal(Protocol):
    """An ordered, append-only record of events.

    Durability: a position is given only when the whole frame is as durable as `stats().durable`
    says. Order: positions rise in the order of `append` calls; they may have gaps. Idempotence:
    none; the same event appended twice is written twice, the store's marks are the guarantee.
    Reads see durable frames only, each exactly as appended, in order.
    """

    def append(self, events: Sequence[Event]) -> asyncio.Future[int]:
        """Make the events durable as one frame; the first one's position, the others follow it.

        The future belongs to the running loop; whoever may be cancelled awaits it shielded, for
        the frame is written all the same. Raises, or fails with, Unavailable: `disk_full` and
        `journal_unavailable` (nothing was written), `queue_full` and `draining` (nothing was
        taken), `unknown_outcome` (the sync failed: the same ids must be sent again).
        """
        ...

    def read(self, after: int, limit: int, lane: str | None = None) -> Slice:
        """At most `limit` durable records after a position, of one lane or of all. Thread-safe.

        A line that is damaged is skipped, kept aside and counted in `stats().scars`.
        """
        ...

    def counts(self, through: int | None = None) -> Counts:
        """How many events are durable per org and lane, up to a position or in all."""
        ...

    def stats(self) -> JournalStats:
        """The journal's condition."""
        ...

    def seal(self) -> None:
        """Close what is being written to for good and go on in a new place."""
        ...

    def verify(self, erased: Erased = NOTHING_ERASED) -> Iterator[Finding]:
        """Prove checksums, counts and the chain of digests; yield what is wrong.

        A frame that is not as it was written is right only in a form that `erased` names.
        """
        ...

    def close(self) -> None:
        """Let everything taken in become durable, then let go. No append after this."""
        ...
