"""For operators and services: dead letters, the ledger, devices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from sqlalchemy import Row, select

from holdfast.access.audit import note, note_for
from holdfast.core.errors import Rejected
from holdfast.events import deadletters, ledger
from holdfast.events.deadletters import DeadLetter
from holdfast.events.devices import DeviceState, state
from holdfast.events.envelope import Name
from holdfast.events.replay import window_text
from holdfast.events.reported import ReportedQueues
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.web.calls import Ask, Call, Said, Wire

At = Annotated[datetime, msgspec.Meta(tz=True)]


class LetterFilter(Wire):
    """Which letters to list, oldest first; `from` and `to` are of their records' receipt."""

    status: Annotated[str, msgspec.Meta(pattern=r"^(parked|redriven|discarded|exhausted)\Z")] | None = None
    code: Name | None = None
    kind: Name | None = None
    user_id: Name | None = None
    from_: At | None = msgspec.field(name="from", default=None)
    to: At | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    after: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class Letters(Said):
    """A page of dead letters; `next` goes into `after` for the following one."""

    items: list[DeadLetter]
    next: str | None


class Redrive(Wire):
    """A body to apply in the place of the record's own, and why; both or neither."""

    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=1000)] | None = None

    def __post_init__(self) -> None:
        """Refuse one of them alone."""
        if (self.body is msgspec.UNSET) != (self.reason is None):
            raise ValueError("body and reason go together: both or neither")


class Discard(Wire):
    """Why a letter is settled without being applied."""

    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=1000)]


class Ledger(Said):
    """The ledger; `balanced` says whether every row adds up."""

    items: list[ledger.Row]
    balanced: bool


class Device(Said):
    """One device: what arrived of it, and what it said last of its queue.

    `reported_backlog` and `reported_lag_ms` are null where it said nothing within ten minutes, and for
    an earlier life of its storage.
    """

    org_id: str
    user_id: str
    device_id: str
    generation: int
    seen_at: str
    state: DeviceState
    reported_backlog: int | None
    reported_lag_ms: int | None


class LossRow(Said):
    """One loss receipt."""

    org_id: str
    user_id: str
    device_id: str
    generation: int
    missing: list[tuple[int, int]]
    cause: str
    received_at: str


class Devices(Said):
    """What devices say together, the ones heard from last, and the latest loss receipts: 500 of each."""

    reporting: int
    reported_backlog: int
    reported_lag_ms: int
    items: list[Device]
    losses: list[LossRow]


class OrgFilter(Wire):
    """Which orgs."""

    slug: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class OrgRow(Said):
    """One org of the platform."""

    id: str
    slug: str
    name: str
    created_at: str


class Orgs(Said):
    """The platform's orgs, by slug."""

    items: list[OrgRow]


async def orgs(ask: Ask) -> Orgs:
    """The orgs, or the one with a slug; of a service, its own."""
    statement = select(schema.orgs).order_by(schema.orgs.c.slug)
    if not ask.me.operator:
        statement = statement.where(schema.orgs.c.id == ask.org)
    if ask.query.slug is not None:
        statement = statement.where(schema.orgs.c.slug == ask.query.slug)

    def work(tx: Tx) -> list[OrgRow]:
        return [OrgRow(**row._mapping) for row in tx.rows(statement)]  # noqa: SLF001 - the public name

    return Orgs(items=await ask.portal.store.read(None, work))


async def listing(ask: Ask) -> Letters:
    """List dead letters of the org, or of all for an operator who named none."""
    wanted: LetterFilter = ask.query

    def work(tx: Tx) -> list[DeadLetter]:
        return deadletters.letters(
            tx,
            status=wanted.status,
            code=wanted.code,
            kind=wanted.kind,
            user=wanted.user_id,
            since=window_text(wanted.from_) if wanted.from_ else None,
            until=window_text(wanted.to) if wanted.to else None,
            limit=wanted.limit,
            after=wanted.after,
        )

    items = await ask.portal.store.read(_scope(ask), work)
    last = items[-1] if len(items) == wanted.limit else None
    return Letters(items=items, next=deadletters.place(last) if last else None)


async def show(ask: Ask) -> DeadLetter:
    """One dead letter with its record."""
    return await ask.portal.store.read(_scope(ask), lambda tx: deadletters.show(tx, ask.path["letter_id"]))


async def redrive(ask: Ask) -> DeadLetter:
    """Send one through again, with its old id; with another body where the request brings one."""
    letter_id, actor, scope = ask.path["letter_id"], ask.me.user_id, _scope(ask)
    asked: Redrive = ask.body or Redrive()
    body = None if isinstance(asked.body, msgspec.UnsetType) else bytes(asked.body)
    details = {} if body is None else {"corrected": True, "reason": asked.reason}

    def audited(tx: Tx) -> None:
        org = deadletters.find(tx, letter_id, scope).org_id
        note_for(tx, org, actor, "deadletter.redrive", letter_id, details)

    return await ask.portal.applier.redrive(scope, letter_id, actor, audited, body)


async def discard(ask: Ask) -> DeadLetter:
    """Settle one without applying it; the row and its reason stay."""
    letter_id, actor, why = ask.path["letter_id"], ask.me.user_id, ask.body.reason
    now = ask.portal.now()

    def work(tx: Tx) -> DeadLetter:
        letter = deadletters.discard(tx, letter_id, actor, why, now)
        details: dict[str, Any] = {"reason": why}
        if tx.org is None:
            note_for(tx, letter.org_id, actor, "deadletter.discard", letter.id, details)
        else:
            note(tx, actor, "deadletter.discard", letter.id, details)
        return letter

    return await ask.portal.store.run(_scope(ask), work)


async def balance(ask: Ask) -> Ledger:
    """The ledger, read between two batches of the applier so that it balances at any moment."""
    portal = ask.portal
    items = await portal.store.run(_scope(ask), lambda tx: ledger.rows(tx, portal.journal, portal.waiting))
    return Ledger(items=items, balanced=all(row.unaccounted == 0 for row in items))


def _devices(reported: ReportedQueues, seen: Sequence[Row[Any]]) -> list[Device]:
    """Rows as devices, each beside its last word: that is its newest life's."""
    newest: dict[tuple[str, str, str], int] = {}
    for row in seen:
        key = (row.org_id, row.user_id, row.device_id)
        newest[key] = max(row.generation, newest.get(key, 0))
    found = []
    for row in seen:
        key = (row.org_id, row.user_id, row.device_id)
        backlog, lag_ms = (reported.last(*key) if row.generation == newest[key] else None) or (None, None)
        found.append(
            Device(
                org_id=row.org_id,
                user_id=row.user_id,
                device_id=row.device_id,
                generation=row.generation,
                seen_at=row.seen_at,
                state=state(row.seqs),
                reported_backlog=backlog,
                reported_lag_ms=lag_ms,
            )
        )
    return found


async def devices(ask: Ask) -> Devices:
    """The devices of the org: sequence gaps, reported queues, losses."""
    org = _scope(ask)

    def work(tx: Tx) -> tuple[Any, Any]:
        table, lost = schema.devices, schema.loss_receipts
        return (
            tx.rows(select(table).order_by(table.c.seen_at.desc()).limit(500)),
            tx.rows(select(lost).order_by(lost.c.received_at.desc()).limit(500)),
        )

    seen, lost = await ask.portal.store.read(org, work)
    reported = ask.portal.reported.of(org)
    return Devices(
        reporting=reported.devices,
        reported_backlog=reported.backlog,
        reported_lag_ms=reported.lag_ms,
        items=_devices(ask.portal.reported, seen),
        losses=[
            LossRow(
                org_id=row.org_id,
                user_id=row.user_id,
                device_id=row.device_id,
                generation=row.generation,
                missing=row.missing,
                cause=row.cause,
                received_at=row.received_at,
            )
            for row in lost
        ],
    )


def _scope(ask: Ask) -> str | None:
    """A service sees its own org; an operator the one they named, or all."""
    if ask.org is None and not ask.me.operator:
        raise Rejected("this call acts in an org, and none is named", code="org_required")
    return ask.org


_BASE = "/api/admin/offline"

CALLS: tuple[Call, ...] = (
    Call("GET", "/api/admin/orgs", orgs, "org.read", Orgs, "The platform's orgs", query=OrgFilter),
    Call(
        "GET", f"{_BASE}/deadletters", listing, "deadletter.read", Letters, "List dead letters",
        query=LetterFilter,
    ),
    Call(
        "GET", f"{_BASE}/deadletters/{{letter_id}}", show, "deadletter.read", DeadLetter,
        "Explain a dead letter",
    ),
    Call(
        "POST", f"{_BASE}/deadletters/{{letter_id}}/redrive", redrive, "deadletter.settle", DeadLetter,
        "Send a dead letter through again, with a corrected body if there is one", body=Redrive,
        limit_bytes=(1 << 20) + 4096, may_be_empty=True,
    ),
    Call(
        "POST", f"{_BASE}/deadletters/{{letter_id}}/discard", discard, "deadletter.settle", DeadLetter,
        "Settle a dead letter without applying it", body=Discard, destructive=True,
    ),
    Call("GET", f"{_BASE}/ledger", balance, "ledger.read", Ledger, "The ledger"),
    Call("GET", f"{_BASE}/devices", devices, "devices.read", Devices, "Devices, their gaps and losses"),
)  # fmt: skip
