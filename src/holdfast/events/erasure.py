"""Erasing a person from the journal: what takes an event's place, and the record that it was done.

The record stands in the journal itself, before the deed, with the digests that frames have afterwards:
so `verify` takes those and no others, and a crash between the two looks like neither damage nor forgery.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple
from zlib import crc32

import msgspec
from sqlalchemy import select

from holdfast.core.ids import uuid7
from holdfast.events.entry import UNREADABLE, Envelope, Kinds, decode
from holdfast.events.kind import Applied, Kind, Without
from holdfast.journal.erasing import Replace, Unjudged, padded
from holdfast.journal.port import Slice
from holdfast.journal.record import Event, Record, envelope_head
from holdfast.journal.segment import COMMIT, HEADER, owner
from holdfast.store import schema
from holdfast.store.port import Tx

FRAMES: Final = 2000
"""Most frames that one record names."""

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Erased(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`event.erased` v1: stands where an event stood, and has no effect."""


class JournalErased(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """`journal.erased` v1: which frames were changed on purpose; each with its last position."""

    erasure: str
    subject: str
    frames: list[tuple[int, Digest]]
    lines: int = 0
    """How many lines were about to be replaced; 0 in records that do not say."""


def no_effect(tx: Tx, batch: Sequence[Applied[Any]]) -> None:
    """Nothing to do."""


ERASED: Final = Kind(
    "event.erased", 1, Erased, "progress", "none", "event.send", no_effect,
    summary="Stands where an event of a person stood whose data was erased.",
)  # fmt: skip
RECORD: Final = Kind(
    "journal.erased", 1, JournalErased, "admin", "none", "event.send", no_effect,
    summary="Which frames of the journal were changed by an erasure, and their digests since.",
)  # fmt: skip


def eraser(kinds: Kinds, org: str, user: str) -> Replace:
    """What takes the place of an envelope in which a person is named; None for all others."""
    named = f'"{user}"'.encode()

    def replace(data: bytes) -> bytes | None:
        if named not in data or owner(data)[0] != org:
            return None
        try:
            envelope = decode(data)
        except UNREADABLE:
            return None
        theirs = user in (envelope.user_id, envelope.actor_id)
        without = _without(kinds, envelope)
        if without is not None:
            body = without(bytes(envelope.body), user)
            if body is not None:
                return padded(_worded(envelope, envelope.kind, body, user), len(data))
        elif not theirs:
            return None
        return padded(_worded(envelope, ERASED.name, b"{}", user), len(data))

    return replace


def _without(kinds: Kinds, envelope: Envelope) -> Without | None:
    """What takes a person out of such an event's body; None where only its user is in it."""
    found = kinds.find(envelope.kind, envelope.version)
    without = found[0].without if found is not None else None
    if without is None:
        return None

    def readable(body: bytes, user: str) -> bytes | None:
        try:
            return without(body, user)
        except UNREADABLE:
            return None  # no effect was ever made of it, and nobody can tell the others in it

    return readable


def out_of_letters(tx: Tx, kinds: Kinds, org: str, user: str) -> int:
    """Take a person out of the letters that others sent, as out of their lines in the journal; how many."""
    replace = eraser(kinds, org, user)
    letters, number = schema.dead_letters, 0
    for row in tx.rows(select(letters).where(letters.c.org_id == org)):
        record = replace(row.record)
        changed: dict[str, Any] = {} if record is None else {"record": record}
        if record is not None and decode(record).kind == ERASED.name:
            changed |= {"corrected": None, "reason": "erased"}
            if row.status != "redriven":
                changed["status"] = "discarded"
        elif row.corrected is not None and f'"{user}"'.encode() in row.corrected:
            without = _without(kinds, decode(record or row.record))
            # With nobody left in it, it is applied no more, and neither is what it stood in for.
            changed["corrected"] = (without(row.corrected, user) if without else None) or b"{}"
        if changed:
            this = (letters.c.org_id == org) & (letters.c.event_id == row.event_id)
            number += tx.run(letters.update().where(this, letters.c.digest == row.digest).values(**changed))
    return number


_WHO: Final = re.compile(rb'"userId":"([^"\\]*)","actorId":"([^"\\]*)"')
_ORG: Final = re.compile(rb'"orgId":"([^"\\]*)"')
_PLACE: Final = re.compile(rb'(?:\{"v":1,"p":"\d{16}","t":"[0-9TZ:.-]{24}")?')
"""What stays of a damaged line that is taken out."""
_NOBODYS: Final = (COMMIT, HEADER)


class Known(NamedTuple):
    """Who and which orgs there are: an id that reads otherwise may be damaged."""

    users: frozenset[str]
    orgs: frozenset[str]

    def is_another(self, user: bytes) -> bool:
        """Whether this is the id of somebody; of nobody where a person was taken out."""
        text = user.decode("utf-8", "replace")
        return not text or text in self.users or text.startswith(("service:", "operator:"))


def damaged_eraser(known: Known, org: str, user: str) -> Replace:
    """What takes the place of a damaged line in which a person is named: one as damaged, without them.

    Without its checksum nothing in a line is proven. It is taken for another's only when all the ids it
    states are of people that there are, or its org is another; `known.users` leaves the person out. Where
    neither can be read it raises Unjudged.
    """
    name = user.encode()
    # One of the quotes may be damaged; `"ann` in `"anna"` is somebody else.
    named = re.compile(rb'"%b(?![\w.-])|(?<![\w.-])%b"' % (re.escape(name), re.escape(name)))

    def replace(line: bytes) -> bytes | None:
        where, who = _ORG.search(line), _WHO.search(line)
        its_org = where.group(1).decode("utf-8", "replace") if where else org
        if its_org != org and its_org in known.orgs:
            return None
        anothers = who is not None and all(map(known.is_another, who.groups()))
        if named.search(line):
            if anothers:
                return named.sub(lambda found: found.group().replace(name, b" " * len(name)), line)
            return _place(line).ljust(len(line))
        nobodys = line.startswith(_NOBODYS) and b'"userId"' not in line
        if anothers or nobodys or not line[len(_place(line)) :].strip():
            return None
        raise Unjudged

    return replace


def _place(line: bytes) -> bytes:
    found = _PLACE.match(line)
    return found.group() if found else b""


def _worded(envelope: Envelope, kind: str, body: bytes, user: str) -> bytes:
    """The envelope without the person and their device; id, digest, lane and org stay where they stand."""
    who = "" if envelope.user_id == user else envelope.user_id
    actor = "" if envelope.actor_id == user else envelope.actor_id
    facts = f',"userId":"{who}","actorId":"{actor}","kind":"{kind}","version":{envelope.version}'
    head = envelope_head(envelope.id, int(envelope.digest, 16), envelope.lane, envelope.org_id)
    at = envelope.occurred_at
    return head + facts.encode() + b',"occurredAt":"%b","body":%b}' % (at.encode(), body)


def records_of(
    org: str, actor: str, erasure: str, subject: str, digests: Mapping[int, str], *, lines: int, now: str
) -> list[Event]:
    """The events that say which frames will be changed; `lines` is how many lines of them, in all."""
    frames = sorted(digests.items())
    made = []
    for at in range(0, len(frames), FRAMES) or [0]:
        body = msgspec.json.encode(JournalErased(erasure, subject, frames[at : at + FRAMES], lines))
        event_id = uuid7()
        digest = crc32(body, crc32(f"{actor}\n{RECORD.name}\n1\n".encode()))
        facts = f',"userId":"{actor}","actorId":"{actor}","kind":"{RECORD.name}","version":1'
        head = envelope_head(event_id, digest, RECORD.lane, org)
        data = head + facts.encode() + b',"occurredAt":"%b","body":%b}' % (now.encode(), body)
        made.append(Event(event_id, org, RECORD.lane, digest, data))
    return made


_KIND: Final = f'"kind":"{RECORD.name}"'.encode()


def erased_frames(read: Callable[[int, int], Slice]) -> dict[int, set[str]]:
    """What the journal's own records say was erased, for `verify`. `read`: (after, limit), of its lane."""
    found: dict[int, set[str]] = {}
    for said in _records(read):
        for position, digest in said.frames:
            found.setdefault(position, set()).add(digest)
    return found


def done_before(read: Callable[[int, int], Slice], erasure: str) -> tuple[int, set[int]]:
    """Lines and frames that earlier tries of an erasure set out to change: they may have come to that."""
    mine = [said for said in _records(read) if said.erasure == erasure]
    # The first try planned all of it; what a later one finds is what was left.
    lines = max((said.lines for said in mine), default=0)
    return lines, {position for said in mine for position, _ in said.frames}


def _records(read: Callable[[int, int], Slice]) -> Iterator[JournalErased]:
    after = 0
    while True:
        part = read(after, 1000)
        for record in part.records:
            said = _said(record)
            if said is not None:
                yield said
        if part.through <= after:
            return
        after = part.through


def _said(record: Record) -> JournalErased | None:
    if _KIND not in record.data:
        return None
    try:
        envelope = decode(record.data)
        if envelope.kind == RECORD.name:
            return msgspec.json.decode(envelope.body, type=JournalErased)
    except UNREADABLE:
        pass
    return None
