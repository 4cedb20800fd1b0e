"""For operators and services: a person's data, all of it given out or all of it taken out."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec

from holdfast.access.audit import note_for
from holdfast.core.errors import Rejected
from holdfast.events.entry import UNREADABLE, as_json, decode
from holdfast.events.envelope import Name
from holdfast.events.erasing import ErasureReceipt
from holdfast.journal.port import Slice
from holdfast.journal.segment import owner
from holdfast.learning.forgetting import export, is_known
from holdfast.store.port import Tx
from holdfast.web.calls import Answer, Ask, Call, Said, Wire


class EraseBody(Wire):
    """Whose data is erased in which org, and why. `id` makes asking twice safe."""

    id: Name
    org_id: Name
    user_id: Name
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=1000)]


class PersonQuery(Wire):
    """Whose data."""

    org_id: Name
    user_id: Name


class Exported(Said):
    """What the portal holds of a person in an org: rows by table, and events as the journal has them.

    An event that can't be read as JSON is given as a text, with U+FFFD in the place of what is no UTF-8.
    """

    org_id: str
    user_id: str
    exported_at: str
    rows: dict[str, list[dict[str, Any]]]
    events: list[msgspec.Raw]


class ErasureReceipts(Said):
    """ErasureReceipts of erasures, the latest first."""

    items: list[ErasureReceipt]


async def erase(ask: Ask) -> ErasureReceipt:
    """Erase a person from an org: store, journal, dead letters. Answers with a signed receipt."""
    body: EraseBody = ask.body
    _require_own(ask, body.org_id)
    return await ask.portal.eraser.erase(body.id, body.org_id, body.user_id, body.reason, ask.me.user_id)


async def receipts(ask: Ask) -> ErasureReceipts:
    """What was erased."""
    if ask.org is None and not ask.me.operator:
        raise Rejected("this call acts in an org, and none is named", code="org_required")
    return ErasureReceipts(items=await ask.portal.eraser.receipts(ask.org))


async def exported(ask: Ask) -> Answer:
    """A person's data as JSON."""
    wanted: PersonQuery = ask.query
    _require_own(ask, wanted.org_id)
    portal, actor = ask.portal, ask.me.user_id

    def work(tx: Tx) -> dict[str, list[dict[str, Any]]]:
        if not is_known(tx, wanted.org_id, wanted.user_id):
            raise Rejected("nobody with this id was ever a member of the org", code="not_found")
        note_for(tx, wanted.org_id, actor, "person.exported", wanted.user_id, {})
        return export(tx, wanted.org_id, wanted.user_id)

    rows = await portal.store.run(None, work)
    events = await asyncio.to_thread(_events, portal.journal.read, wanted)
    said = Exported(
        org_id=wanted.org_id, user_id=wanted.user_id, exported_at=portal.now(), rows=rows, events=events
    )
    name = f"{wanted.org_id}-{wanted.user_id}.json"
    return Answer(said, headers={"content-disposition": f'attachment; filename="{name}"'})


def _events(read: Any, wanted: PersonQuery) -> list[msgspec.Raw]:  # noqa: ANN401 - a journal's verb
    found: list[msgspec.Raw] = []
    after = 0
    named = f'"{wanted.user_id}"'.encode()
    while True:
        part: Slice = read(after, 2000)
        for record in part.records:
            if named not in record.data or owner(record.data)[0] != wanted.org_id:
                continue
            try:
                envelope = decode(record.data)
            except UNREADABLE:
                continue
            if wanted.user_id in (envelope.user_id, envelope.actor_id):
                found.append(as_json(record.data))
        if part.through <= after:
            return found
        after = part.through


def _require_own(ask: Ask, org: str) -> None:
    if ask.org is not None and ask.org != org:
        raise Rejected("orgId: the org named is not one of yours", code="org_forbidden")


_PATH = "/api/admin/offline/erasures"

CALLS: tuple[Call, ...] = (
    Call("POST", _PATH, erase, "person.erase", ErasureReceipt, "Erase a person's data", body=EraseBody),
    Call("GET", _PATH, receipts, "person.erase", ErasureReceipts, "ErasureReceipts of erasures"),
    Call("GET", "/api/admin/offline/export", exported, "person.export", Exported, "A person's data",
         query=PersonQuery),
)  # fmt: skip
