"""One record read: its envelope, and the kind and decoder that its body wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from holdfast.events.kind import Kind
from holdfast.journal.record import Record
from holdfast.journal.segment import owner


class Envelope(msgspec.Struct, rename="camel", gc=False):
    """An event as the journal holds it; no work for the collector, since nothing in it can refer back."""

    id: str
    digest: str
    lane: str
    org_id: str
    user_id: str
    actor_id: str
    kind: str
    version: int
    occurred_at: str
    body: msgspec.Raw
    device_id: str | None = None
    generation: int = 1
    seq: Annotated[int, msgspec.Meta(ge=0)] | None = None


decode: Final = msgspec.json.Decoder(Envelope).decode
"""An envelope of a record's bytes. Raises one of `UNREADABLE`."""

_new: Final = tuple.__new__
"""Half the price of a NamedTuple's own constructor."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for bytes that are not of its shape, not UTF-8, or nested beyond reason."""


def as_json(data: bytes) -> msgspec.Raw:
    """The bytes as they stand, where everybody can read them and write them again; else their text.

    The text is a JSON string with U+FFFD in the place of what is no UTF-8.
    """
    try:
        msgspec.json.encode(msgspec.json.decode(data))
    except (*UNREADABLE, OverflowError):
        return msgspec.Raw(msgspec.json.encode(data.decode("utf-8", "replace")))
    return msgspec.Raw(data)


class Entry(NamedTuple):
    """A record with its envelope read."""

    record: Record
    envelope: Envelope
    digest: int


class Parked(NamedTuple):
    """An entry that could not be applied, and why."""

    entry: Entry
    code: str
    reason: str


class Kinds:
    """The known kinds with their decoders."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        """`kinds`: the catalog."""
        self._known: dict[tuple[str, int], tuple[Kind, msgspec.json.Decoder[msgspec.Struct]]] = {
            (kind.name, kind.version): (kind, msgspec.json.Decoder(kind.body)) for kind in kinds
        }

    def find(self, name: str, version: int) -> tuple[Kind, msgspec.json.Decoder[msgspec.Struct]] | None:
        """A kind and the decoder of its body."""
        return self._known.get((name, version))


def read_record(record: Record) -> Entry | Parked:
    """A record's envelope; Parked when its shape is not one this version reads."""
    try:
        envelope = decode(record.data)
    except UNREADABLE as fault:
        # Its crc fits, so these are the bytes that were written.
        org, lane = owner(record.data)
        nobody = Envelope(
            record.id, "0", lane, org, "", "", "unreadable", 0, record.received_at, msgspec.Raw(b"{}")
        )
        return Parked(Entry(record, nobody, record.digest), "poison", str(fault))
    return _new(Entry, (record, envelope, int(envelope.digest, 16)))


def with_body(entry: Entry, body: bytes) -> Entry:
    """The same event with another body; its digest stays that of the record."""
    return entry._replace(envelope=msgspec.structs.replace(entry.envelope, body=msgspec.Raw(body)))
