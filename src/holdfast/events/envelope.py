"""Judging one event: its shape, kind, org, sender and bytes; and wording its envelope.

The sender's own bytes of a body are what is checksummed, digested and journalled. Nothing here
touches the store: judging works while it is down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple
from zlib import crc32

import msgspec

from holdfast.core.errors import Rejected
from holdfast.core.ids import UUID_PATTERN
from holdfast.events.kind import Kind
from holdfast.journal.record import Event, envelope_head

MAX_EVENTS: Final = 100
MAX_BODY_BYTES: Final = 32 << 10
"""Largest body of one event: what an outbox entry may hold."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")]
EventId = Annotated[str, msgspec.Meta(pattern=UUID_PATTERN.replace("$", r"\Z"))]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class EventIn(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One event as a device sends it; `body` is kept as the exact bytes that stand there."""

    id: EventId
    kind: Annotated[str, msgspec.Meta(max_length=64)]
    body: msgspec.Raw
    version: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)] | None = None
    org_id: Name | None = None
    user_id: Name | None = None
    assigned_by: Name | None = None
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    checksum: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{8}\Z")] | None = None


class Batch(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a device posts: who it is and up to 100 events, each judged alone."""

    events: list[msgspec.Raw]
    device_id: Name | None = None
    generation: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1
    csrf_token: Annotated[str, msgspec.Meta(max_length=512)] | None = None


class Sender(NamedTuple):
    """Who sends, as the guard proved it."""

    user: str
    orgs: Sequence[str]
    """Every org that is the sender's own; the first of them is the one the request acts in."""
    may: Callable[[str, str], bool]
    """(action, org) -> whether policy allows it."""
    on_behalf: bool
    """Whether it may state another user: service tokens only."""


_batch = msgspec.json.Decoder(Batch)
_event = msgspec.json.Decoder(EventIn)


def read_batch(raw: bytes) -> Batch:
    """The outer shape of a batch; the events stay unread. Raises Rejected naming what is wrong."""
    try:
        batch = _batch.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise _unreadable(fault) from None
    if len(batch.events) > MAX_EVENTS:
        raise Rejected(
            f"the batch holds {len(batch.events)} events, {MAX_EVENTS} are allowed",
            code="too_many_events",
            hint="Send it in several requests; ids make that safe.",
        )
    return batch


def _unreadable(fault: Exception) -> Rejected:
    code = "invalid" if isinstance(fault, msgspec.ValidationError) else "malformed"
    return Rejected(str(fault), code=code, hint="See the OpenAPI document for the shape.")


class Stamp:
    """What all events of one batch share, worded once: sender, device, time of receipt."""

    def __init__(self, sender: Sender, batch: Batch, received_at: str) -> None:
        """`received_at`: RFC 3339 UTC, taken where an event states no time of its own."""
        self.sender = sender
        self.received_at = received_at
        device = f',"deviceId":"{batch.device_id}","generation":{batch.generation}' if batch.device_id else ""
        self._tail = f',"actorId":"{sender.user}"{device}'

    def event(self, sent: EventIn, kind: Kind, org: str, user: str, body: bytes) -> Event:
        """The event with its envelope; `body` is one line of JSON."""
        event_id = sent.id.lower()
        head = f"{user}\n{kind.name}\n{kind.version}\n"
        digest = crc32(body, crc32(head.encode()))
        at = self.received_at if sent.occurred_at is None else _utc_text(sent.occurred_at)
        seq = "" if sent.seq is None else f',"seq":{sent.seq}'
        facts = (
            f',"userId":"{user}"{self._tail},"kind":"{kind.name}","version":{kind.version}{seq}'
            f',"occurredAt":"{at}","body":'
        )
        data = envelope_head(event_id, digest, kind.lane, org) + facts.encode() + body + b"}"
        return Event(event_id, org, kind.lane, digest, data)


def _utc_text(at: datetime) -> str:
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat("T", "milliseconds")[:23] + "Z"


class Judge:
    """Says of one event whether it may be written, and words its envelope."""

    def __init__(self, kinds: Sequence[Kind], *, enforce_org: bool) -> None:
        """`enforce_org`: whether an event must state its org (`FORCE_ORG_ENFORCEMENT`)."""
        self._kinds: Mapping[tuple[str, int], tuple[Kind, msgspec.json.Decoder[msgspec.Struct]]] = {
            (kind.name, kind.version): (kind, msgspec.json.Decoder(kind.body)) for kind in kinds
        }
        self._names = {kind.name for kind in kinds}
        self._enforce_org = enforce_org
        self.stamped_without_org = 0
        """Events without an org that got their sender's only one, since start."""

    def judge(self, raw: msgspec.Raw, stamp: Stamp, door: str, seqs: list[int]) -> Event:
        """The event, ready for the journal. Raises Rejected with the code and words of its receipt."""
        try:
            sent = _event.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise _unreadable(fault) from None
        if sent.seq is not None:
            seqs.append(sent.seq)
        kind, decoder = self._kind(sent, door)
        org = self._org(sent, stamp.sender, kind)
        user = stamp.sender.user
        if sent.user_id is not None and sent.user_id != user:
            if not stamp.sender.on_behalf:
                raise Rejected("the event names another user than its sender", code="forbidden")
            user = sent.user_id
        body = bytes(sent.body)
        if len(body) > MAX_BODY_BYTES:
            raise Rejected(
                f"the body has {len(body)} bytes, {MAX_BODY_BYTES} are allowed", code="event_too_large"
            )
        if sent.checksum is not None and int(sent.checksum, 16) != crc32(body):
            raise Rejected(
                f"the body's crc32 is {crc32(body):08x}, the event says {sent.checksum.lower()}",
                code="checksum_mismatch",
                hint="Send the event again from the outbox; its bytes changed on the way.",
            )
        try:
            decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise Rejected(str(fault).replace("`$", "`body"), code="invalid") from None
        if kind.scrub is not None:
            body = kind.scrub(body, org)
        if b"\n" in body or b"\r" in body:
            # White space between JSON's tokens; a record is one line.
            body = body.replace(b"\n", b" ").replace(b"\r", b" ")
        return stamp.event(sent, kind, org, user, body)

    def _kind(self, sent: EventIn, door: str) -> tuple[Kind, msgspec.json.Decoder[msgspec.Struct]]:
        found = self._kinds.get((sent.kind, sent.version))
        if found is None:
            known = f"version {sent.version} of it is not" if sent.kind in self._names else "it is not"
            raise Rejected(f"kind {sent.kind!r}: {known} known here", code="unknown_kind")
        if found[0].door != door:
            raise Rejected(
                f"{sent.kind} does not belong to this address",
                code="wrong_door",
                hint=f"Its door is {found[0].door!r}.",
            )
        return found

    def _org(self, sent: EventIn, sender: Sender, kind: Kind) -> str:
        org = sent.org_id
        if org is None:
            if self._enforce_org or len(sender.orgs) != 1:
                raise Rejected(
                    "the event states no orgId and enforcement asks for one",
                    code="org_required",
                    hint="Send the org the event belongs to in orgId.",
                )
            org = sender.orgs[0]
            self.stamped_without_org += 1
        elif org not in sender.orgs:
            raise Rejected("the event's orgId is not one of the sender's orgs", code="org_forbidden")
        if not sender.may(kind.action, org):
            raise Rejected(f"the sender may not send {kind.name} in this org", code="forbidden")
        return org
