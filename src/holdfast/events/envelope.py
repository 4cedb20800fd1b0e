"""Judging one event: its shape, kind, org, sender and bytes; and wording its envelope.

The sender's own bytes of a body are what is checksummed, digested and journalled. Nothing here
touches the store: judging works while it is down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple
from zlib import crc32

import msgspec

from holdfast.core.errors import Rejected
from holdfast.core.ids import UUID_PATTERN
from holdfast.events.entry import UNREADABLE
from holdfast.events.kind import Kind
from holdfast.journal.record import Event, envelope_head

MAX_EVENTS: Final = 100

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z"
Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
_NAME: Final = re.compile(NAME_PATTERN)
Time = Annotated[
    str,
    msgspec.Meta(max_length=64, description="RFC 3339 with its offset from UTC; read by each event alone."),
]
"""RFC 3339 with its offset from UTC; read by `_utc_text`, for text that is right is kept as it stands."""
_Known = Annotated[str, msgspec.Meta(max_length=128)]
"""A name that must be one of those the portal knows: looked up, so not matched as well."""
EventId = Annotated[str, msgspec.Meta(pattern=UUID_PATTERN.replace("$", r"\Z"))]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class EventIn(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One event as a device sends it; `body` is kept as the exact bytes that stand there."""

    id: EventId
    kind: Annotated[str, msgspec.Meta(max_length=64)]
    body: msgspec.Raw
    version: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    seq: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)] | None = None
    org_id: _Known | None = None
    user_id: _Known | None = None
    assigned_by: _Known | None = None
    occurred_at: Time | None = None
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


_event = msgspec.json.Decoder(EventIn)
_AS_HELD: Final = "2026-11-23T14:50:00.123Z"
_new: Final = tuple.__new__
"""Half the price of a NamedTuple's own constructor, on the hottest line there is."""


class _Plan(NamedTuple):
    """What events of one kind, org and user in one batch share, worked out once."""

    org: str
    lane: str
    decode: Callable[[bytes], object]
    scrub: Callable[[bytes, str], bytes] | None
    limit_bytes: int
    salt: int
    """The crc of user, kind and version: a digest's beginning, so that only equal facts are equal."""
    with_seq: bytes
    without_seq: bytes
    """The envelope as templates of `%`: id, digest, (seq,) time, body."""


class Stamp:
    """What all events of one batch share: sender, device, door, time of receipt."""

    def __init__(self, sender: Sender, batch: Batch, door: str, received_at: str) -> None:
        """`received_at`: RFC 3339 UTC, taken where an event states no time of its own."""
        self.sender = sender
        self.door = door
        self.received_at = received_at.encode()
        self.device = ""
        if batch.device_id:
            self.device = f',"deviceId":"{batch.device_id}","generation":{batch.generation}'
        self.plans: dict[tuple[str, int, str | None, str | None, str | None], _Plan] = {}
        self.seqs: list[int] = []
        """Sequence numbers of the events that could be read, whatever became of them."""


class Judge:
    """Says of one event whether it may be written, and words its envelope."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        *,
        enforce_org: bool,
        left: Callable[[str, str], bool] = lambda *_: False,
        erased: Callable[[str, str], bool] = lambda *_: False,
    ) -> None:
        """`enforce_org`: whether an event must state its org (`FORCE_ORG_ENFORCEMENT`).

        `left`: (user, org) -> whether the sender is known to be no member any more. The guard let them in,
        but what waited since may be from before; after an erasure nothing of theirs may come.

        `erased`: (user, org) -> the same of somebody else, for whom a service sends. Who only left is judged
        when the event is applied: an admin may take them back.
        """
        self._left = left
        self._erased = erased
        self._kinds: Mapping[tuple[str, int], tuple[Kind, msgspec.json.Decoder[msgspec.Struct]]] = {
            (kind.name, kind.version): (kind, msgspec.json.Decoder(kind.body)) for kind in kinds
        }
        self._names = {kind.name for kind in kinds}
        self._enforce_org = enforce_org
        self.stamped_without_org = 0
        """Events without an org that got their sender's only one, since start."""

    def judge(self, raw: msgspec.Raw, stamp: Stamp) -> Event:
        """The event, ready for the journal. Raises Rejected with the code and words of its receipt."""
        try:
            sent = _event.decode(raw)
        except UNREADABLE as fault:
            raise _unreadable(fault) from None
        if sent.seq is not None:
            stamp.seqs.append(sent.seq)
        key = (sent.kind, sent.version, sent.org_id, sent.user_id, sent.assigned_by)
        plan = stamp.plans.get(key)
        if plan is None:
            plan = stamp.plans[key] = self._plan(sent, stamp)
        body = bytes(sent.body)
        if len(body) > plan.limit_bytes or sent.checksum is not None:
            _check_bytes(sent, body, plan.limit_bytes)
        try:
            plan.decode(body)
        except UNREADABLE as fault:
            raise Rejected(str(fault).replace("`$", "`body"), code="invalid") from None
        if plan.scrub is not None:
            body = plan.scrub(body, plan.org)
        if b"\n" in body:
            # White space between JSON's tokens; a record is one line.
            body = body.replace(b"\n", b" ")
        if sent.org_id is None:
            self.stamped_without_org += 1
        event_id = sent.id.lower()
        digest = crc32(body, plan.salt)
        at = stamp.received_at if sent.occurred_at is None else _utc_text(sent.occurred_at)
        if sent.seq is None:
            data = plan.without_seq % (event_id.encode(), digest, at, body)
        else:
            data = plan.with_seq % (event_id.encode(), digest, sent.seq, at, body)
        return _new(Event, (event_id, plan.org, plan.lane, digest, data))

    def _plan(self, sent: EventIn, stamp: Stamp) -> _Plan:
        """Kind, org and user of an event, checked. Raises Rejected where one of them isn't right."""
        kind, decoder = self._kind(sent, stamp.door)
        org = self._org(sent, stamp.sender, kind)
        user = self._user(sent, stamp.sender)
        if not stamp.sender.on_behalf and self._left(stamp.sender.user, org):
            raise Rejected("the sender is no member of this org any more", code="not_a_member")
        if stamp.sender.on_behalf and self._erased(user, org):
            raise Rejected(
                "the person this event is for was erased from this org: until they are a member again, "
                "nothing is taken in for them",
                code="not_a_member",
            )
        head = envelope_head("%b", 0, kind.lane, org).replace(b"00000000", b"%08x", 1)
        facts = (
            f',"userId":"{user}","actorId":"{stamp.sender.user}"{stamp.device}'
            f',"kind":"{kind.name}","version":{kind.version}'
        ).encode()
        tail = b',"occurredAt":"%b","body":%b}'
        return _Plan(
            org,
            kind.lane,
            decoder.decode,
            kind.scrub,
            kind.limit_bytes,
            crc32(f"{user}\n{kind.name}\n{kind.version}\n".encode()),
            head + facts + b',"seq":%d' + tail,
            head + facts + tail,
        )

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
        elif org not in sender.orgs:
            raise Rejected("the event's orgId is not one of the sender's orgs", code="org_forbidden")
        if not sender.may(kind.action, org):
            raise Rejected(f"the sender may not send {kind.name} in this org", code="forbidden")
        return org

    @staticmethod
    def _user(sent: EventIn, sender: Sender) -> str:
        for stated in (sent.user_id, sent.assigned_by):
            if stated is None or stated == sender.user:
                continue
            if not sender.on_behalf:
                raise Rejected("the event names another user than its sender", code="forbidden")
            if not _NAME.match(stated):
                raise Rejected("userId has characters that no id has")
        return sent.user_id or sender.user


def _check_bytes(sent: EventIn, body: bytes, limit_bytes: int) -> None:
    if len(body) > limit_bytes:
        raise Rejected(f"the body has {len(body)} bytes, {limit_bytes} are allowed", code="event_too_large")
    if sent.checksum is not None and int(sent.checksum, 16) != crc32(body):
        raise Rejected(
            f"the body's crc32 is {crc32(body):08x}, the event says {sent.checksum.lower()}",
            code="checksum_mismatch",
            hint="Send the event again from the outbox; its bytes changed on the way.",
        )


def _unreadable(fault: Exception) -> Rejected:
    code = "invalid" if isinstance(fault, msgspec.ValidationError) else "malformed"
    return Rejected(str(fault), code=code, hint="See the OpenAPI document for the shape.")


def _utc_text(text: str) -> bytes:
    """The time as journals hold it: 24 characters, UTC. Raises Rejected for what is no RFC 3339 time."""
    try:
        at = datetime.fromisoformat(text)
        if len(text) == len(_AS_HELD) and text[10] == "T" and text[7] == "-" and text[23] == "Z":
            return text.encode()
        if len(text) >= len("2026-11-23T14:50:00Z") and text[7] == "-" and text[10] in "Tt " and at.tzinfo:
            return at.astimezone(UTC).isoformat("T", "milliseconds")[:23].encode() + b"Z"
    except OverflowError:
        raise Rejected("occurredAt falls out of the calendar: years 1 to 9999, in UTC") from None
    except ValueError:
        pass
    raise Rejected(
        f"occurredAt {text!r} is no RFC 3339 time with an offset", hint="Such as 2026-11-23T14:50:00.123Z."
    )
