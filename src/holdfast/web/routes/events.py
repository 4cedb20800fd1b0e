"""Events in: progress and analytics, one or a batch; what the server holds; what a device lost."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from sqlalchemy import select

from holdfast.core.errors import Corrupt, Rejected, Unavailable
from holdfast.core.ids import uuid7
from holdfast.events.envelope import MAX_EVENTS, Batch, EventId, EventIn, Name
from holdfast.events.intake import Receipt, Receipts
from holdfast.events.loss import LossReported, Seq
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.web.calls import Answer, Ask, Call, Handler, Said, Wire
from holdfast.web.guard import require_csrf, sender

Door = Literal["progress", "analytics"]
Csrf = Annotated[str, msgspec.Meta(max_length=512)]


class Single(EventIn, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One event, with the device's words beside its own."""

    device_id: Name | None = None
    generation: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1
    csrf_token: Csrf | None = None


class HeldQuestion(Wire, kw_only=True):
    """Which of these does the server hold?"""

    device_id: Name
    generation: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1
    ids: Annotated[list[EventId], msgspec.Meta(max_length=1000)]


class Held(Said):
    """`held`: on disk. `not_held`: send them. `unknown`: can't be told now; sending them is safe."""

    held: list[str]
    not_held: list[str]
    unknown: list[str]


class Loss(Wire, kw_only=True):
    """A loss receipt; `id` makes it safe to send twice."""

    id: EventId | None = None
    org_id: Name | None = None
    device_id: Name
    generation: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    missing: Annotated[list[tuple[Seq, Seq]], msgspec.Meta(max_length=1000)]
    cause: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    csrf_token: Csrf | None = None


class LossTaken(Said):
    """The receipt of a loss receipt."""

    receipt: Receipt


def _many(door: Door) -> Handler:
    async def take(ask: Ask) -> Receipts:
        return await _take(ask, ask.body, door)

    return take


def _single(door: Door) -> Handler:
    async def take(ask: Ask) -> Receipts:
        one: Single = ask.body
        require = one.csrf_token
        raw = {
            name: value
            for name, value in msgspec.structs.asdict(one).items()
            if value is not None and name not in ("device_id", "generation", "csrf_token")
        }
        fields = {field.name: field.encode_name for field in msgspec.structs.fields(EventIn)}
        event = msgspec.json.encode({fields[name]: value for name, value in raw.items()})
        batch = Batch([msgspec.Raw(event)], one.device_id, one.generation, require)
        return await _take(ask, batch, door)

    return take


async def _take(ask: Ask, batch: Batch, door: Door) -> Receipts:
    portal, who = ask.portal, ask.me
    if "x-csrf-token" not in ask.headers:
        require_csrf(portal, who, batch.csrf_token)
    if len(batch.events) > MAX_EVENTS:
        raise Rejected(
            f"the batch holds {len(batch.events)} events, {MAX_EVENTS} are allowed",
            code="too_many_events",
            hint="Send it in several requests; the ids make that safe.",
        )
    if not who.service and (wait_s := portal.batch_rate.take(who.user_id)) > 0:
        raise Unavailable(
            "more batches than one sender may send in this time", code="rate_limited", retry_s=wait_s
        )
    device = ask.my_org, who.user_id, batch.device_id or ""
    portal.reported.note(
        *device,
        ask.headers.get("x-client-queue-backlog"),
        ask.headers.get("x-client-queue-lag"),
    )
    receipts = await portal.intake.batch(sender(who), batch, door)
    portal.reported.took(*device, sum(each.status != "later" for each in receipts.receipts))
    # Only now: a device tells again what went with a batch that was not accepted.
    portal.reported.synced(ask.headers.get("x-client-sync-success"), ask.headers.get("x-client-sync-failure"))
    return receipts


async def held(ask: Ask) -> Held:
    """Tell a device which of its events arrived, after a beacon or a lost answer."""
    question: HeldQuestion = ask.body
    org = ask.my_org
    answer = Held(held=[], not_held=[], unknown=[])
    rest: list[str] = []
    for event_id in question.ids:
        (answer.held if ask.portal.intake.holds(org, event_id) else rest).append(event_id)
    if not rest:
        return answer
    lowered = [event_id.lower() for event_id in rest]

    def work(tx: Tx) -> set[str]:
        found: set[str] = set()
        for table in (schema.marks, schema.dead_letters):
            statement = select(table.c.event_id).where(table.c.event_id.in_(lowered))
            found.update(row.event_id for row in tx.rows(statement))
        return found

    try:
        known = await ask.portal.store.read(org, work)
    except (Unavailable, Corrupt):
        answer.unknown = rest
        return answer
    behind = ask.portal.backlog(org) > 0 or not ask.portal.waiting.known
    for event_id in rest:
        if event_id.lower() in known:
            answer.held.append(event_id)
        else:
            # While the applier is behind, the journal may hold what no table shows yet.
            (answer.unknown if behind else answer.not_held).append(event_id)
    return answer


async def loss(ask: Ask) -> Answer:
    """Take a loss receipt: journalled, applied, shown to operators."""
    body: Loss = ask.body
    if "x-csrf-token" not in ask.headers:
        require_csrf(ask.portal, ask.me, body.csrf_token)
    if body.org_id is not None and body.org_id != ask.my_org:
        raise Rejected("the orgId is not the one this request acts in", code="org_forbidden")
    told = LossReported(body.device_id, body.generation, body.missing, body.cause)
    receipt = await ask.portal.intake.one(
        sender(ask.me),
        kind="loss.reported",
        event_id=body.id or uuid7(),
        org=ask.my_org,
        body=msgspec.json.encode(told),
        door="loss",
    )
    return Answer(LossTaken(receipt=receipt), status=202)


def _door(path: str, door: Door, summary: str) -> tuple[Call, Call]:
    return (
        Call(
            "POST", f"{path}/batch", _many(door), "event.send", Receipts, f"{summary}, up to 100 events",
            body=Batch, status=202, beacon=True,
        ),
        Call(
            "POST", path, _single(door), "event.send", Receipts, f"{summary}, one event",
            body=Single, status=202, beacon=True,
        ),
    )  # fmt: skip


CALLS: tuple[Call, ...] = (
    *_door("/api/client/progress", "progress", "Send progress"),
    *_door("/api/analytics/events", "analytics", "Send analytics"),
    Call("POST", "/api/client/receipts", held, "receipts.read", Held, "Ask what arrived", body=HeldQuestion),
    Call(
        "POST", "/api/client/loss", loss, "loss.report", LossTaken, "Report what a device lost",
        body=Loss, status=202, beacon=True,
    ),
)  # fmt: skip
