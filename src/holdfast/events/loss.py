"""Loss receipts: a device's honest list of what it lost, journalled like any other event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from holdfast.events.envelope import Name
from holdfast.events.kind import Applied, Kind
from holdfast.store import schema
from holdfast.store.port import Tx

Seq = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class LossReported(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`missing`: sequence numbers that are neither on the device nor on the server, as [from, to]."""

    device_id: Name
    generation: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    missing: Annotated[list[tuple[Seq, Seq]], msgspec.Meta(max_length=1000)]
    cause: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


def apply_losses(tx: Tx, batch: Sequence[Applied[Any]]) -> None:
    """One row an event; the same again changes nothing."""
    rows = [
        {
            "org_id": event.org,
            "event_id": event.id,
            "user_id": event.user,
            "device_id": event.body.device_id,
            "generation": event.body.generation,
            "missing": [list(span) for span in event.body.missing],
            "cause": event.body.cause,
            "received_at": event.received_at,
        }
        for event in batch
    ]
    tx.run(tx.insert(schema.loss_receipts).on_conflict_do_nothing(), rows)


KIND = Kind(
    name="loss.reported",
    version=1,
    body=LossReported,
    lane="admin",
    door="loss",
    action="loss.report",
    apply=apply_losses,
    summary="A device tells which of its events it lost, and why.",
)
