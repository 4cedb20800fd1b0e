"""A kind of event: its name, version, body, lane, who may send it, and how it is applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec

from holdfast.store.port import Tx

Lane = Literal["progress", "admin", "analytics"]
LANES: tuple[Lane, ...] = ("progress", "admin", "analytics")
"""In the order the applier serves them; each has its own cursor, so none delays another."""

B = TypeVar("B", bound=msgspec.Struct)


class Applied(NamedTuple, Generic[B]):
    """One event as an apply function gets it: who, when, and the decoded body.

    `received_at` is the server's time of the record; `occurred_at` is the device's word, for
    display only, never for order. Both RFC 3339 UTC.
    """

    id: str
    org: str
    user: str
    position: int
    received_at: str
    occurred_at: str
    body: B


Apply = Callable[[Tx, Sequence[Applied[Any]]], None]
"""Write a batch's effect inside the applier's transaction (unbound: rows must name their org).

The batch holds new events of one kind, of any orgs, in journal order. The effect must be the same
for any order and any split into batches. Raise Rejected when the batch holds something that can't
be applied: the applier finds which one by bisection and parks it with that error's code and words.
"""


Without = Callable[[bytes, str], bytes | None]
Recast = Callable[[Tx, Applied[Any]], Applied[Any]]


ENTRY_BYTES: Final = 32 << 10
"""What an entry of a device's outbox may hold."""


class Kind(NamedTuple):
    """One kind, one version. All of them are listed in `learning/catalog.py`."""

    name: str
    version: int
    body: type[msgspec.Struct]
    lane: Lane
    door: Literal["progress", "analytics", "admin", "loss", "none"]
    """Which address takes it: /api/client/progress*, /api/analytics/events*, admin's, /api/client/loss; with
    `none` the portal alone writes it."""
    action: str
    """The row of `access/policy.py` that says who may send it."""
    apply: Apply
    scrub: Callable[[bytes, str], bytes] | None = None
    """Takes the body's bytes and the org, gives bytes without personal values; before the journal."""
    summary: str = ""
    """One sentence for the documentation."""
    limit_bytes: int = ENTRY_BYTES
    """The largest body of one event."""
    without: Without | None = None
    """Gives a body without one person, for events that name others too; where it is missing, or gives
    None, an event whose user is erased is erased whole."""
    recast: Recast | None = None
    """Gives an event as it was when it was applied, where the rows it made then tell; for proofs."""
    repeats: bool = True
    """Whether an event that is applied once more leaves the rows as they are; not where counts add up."""
