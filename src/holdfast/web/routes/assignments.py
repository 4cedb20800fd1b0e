"""Assign courses to learners and see who is to do what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, UnsetType

from holdfast.core.codec import canonical
from holdfast.core.errors import Conflict, Corrupt, Rejected, Unavailable
from holdfast.events.envelope import EventId, Name
from holdfast.events.intake import Number, Receipt
from holdfast.learning.assigned import (
    AssignmentPage,
    AssignmentResult,
    Refused,
    Which,
    course_exists,
    list_assignments,
    result_of,
)
from holdfast.learning.assigning import Assigning, AssigningList, assigning_of, recent_assigning
from holdfast.learning.assignments import DueAt, Note, UserIds, due_text
from holdfast.learning.progress import Id
from holdfast.web.calls import Answer, Ask, Call, Said, Wire
from holdfast.web.guard import sender
from holdfast.web.portal import BACKLOG_LIMIT

WAIT_S: Final = 1
"""How long an answer waits for the effect when `Prefer: wait` does not say."""
MOST_WAIT_S: Final = 30
LIMIT_BYTES: Final = 1 << 20

_PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*([0-9]{1,6})\s*(?:$|[,;])", re.IGNORECASE)


class AssignmentFilter(Wire):
    """Which assignments to list. `overdue`: late and not completed, or all others.

    `search` is found anywhere in a learner's name or address.
    """

    course_id: Id | None = None
    user_id: Name | None = None
    search: Annotated[str, Meta(max_length=100)] | None = None
    overdue: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 100
    after: Annotated[str, Meta(max_length=400)] | None = None


class RecentFilter(Wire):
    """How many of the latest to list."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class Unassign(Wire):
    """Whom to take the course from; `id` makes sending it twice safe.

    `deviceId`, `generation` and `seq`: the event's place in the numbering of the device that kept it.
    """

    id: EventId
    user_ids: UserIds
    org_id: Name | None = None
    device_id: Name | None = None
    generation: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1
    seq: Annotated[int, Meta(ge=1, le=2**53 - 1)] | None = None


class Assign(Unassign):
    """Whom to assign the course to, and by when; else as taking it away."""

    due_at: DueAt | None = None
    note: Note | None = None


class Taken(Said):
    """The receipt of the event: the id it came with, and that it is on disk."""

    id: str
    status: str
    position: str | None
    durable: str | None


class Assigned(Said):
    """The event's receipt, with what it did (200), or alone where that is to come or can't be done (202).

    `already`: learners who had the course before. `refused`: who could not be given it, and why.
    """

    receipt: Taken
    assigned: int | UnsetType = UNSET
    already: int | UnsetType = UNSET
    refused: list[Refused] | UnsetType = UNSET


class Unassigned(Said):
    """The event's receipt, with what it did (200), or alone where that is to come or can't be done (202).

    `already`: learners who did not have the course. `refused`: who never was in the org.
    """

    receipt: Taken
    unassigned: int | UnsetType = UNSET
    already: int | UnsetType = UNSET
    refused: list[Refused] | UnsetType = UNSET


async def list_all(ask: Ask) -> AssignmentPage:
    """Assignments of the org, by course and learner."""
    org, now, query = ask.my_org, ask.portal.now(), ask.query
    which = Which(query.course_id, query.user_id, query.search, query.overdue)
    return await ask.portal.store.read(
        org,
        lambda tx: list_assignments(tx, org, which, now=now, limit=query.limit, after=query.after),
    )


async def list_recent(ask: Ask) -> AssigningList:
    """What the latest assigning events did."""
    org, limit = ask.my_org, ask.query.limit
    return await ask.portal.store.read(org, lambda tx: recent_assigning(tx, org, limit))


async def show_one(ask: Ask) -> Assigning:
    """What became of one assigning event; 404 for one that never came, or came long ago and left no trace."""
    org, event_id = ask.my_org, ask.path["event_id"].lower()
    found = await ask.portal.store.read(org, lambda tx: assigning_of(tx, org, event_id))
    if found is not None:
        return found
    if ask.portal.intake.holds(org, event_id):
        return Assigning(id=event_id, state="waiting")
    raise Rejected(f"no assigning event {event_id[:64]!r} is known in this org", code="not_found")


async def assign(ask: Ask) -> Answer:
    """Assign a course to learners, as one event."""
    body: dict[str, Any] = {"courseId": ask.path["course_id"], "userIds": sorted(ask.body.user_ids)}
    if ask.body.due_at is not None:
        body["dueAt"] = _due(ask.body.due_at)
    if ask.body.note is not None:
        body["note"] = ask.body.note
    receipt, result = await _declare(ask, "course.assigned", body)
    if result is None:
        return Answer(Assigned(receipt=receipt), status=202)
    did, already, refused = result
    return Answer(Assigned(receipt=receipt, assigned=did, already=already, refused=refused))


async def unassign(ask: Ask) -> Answer:
    """Take a course from learners, as one event; their progress stays."""
    body = {"courseId": ask.path["course_id"], "userIds": sorted(ask.body.user_ids)}
    receipt, result = await _declare(ask, "course.unassigned", body)
    if result is None:
        return Answer(Unassigned(receipt=receipt), status=202)
    did, already, refused = result
    return Answer(Unassigned(receipt=receipt, unassigned=did, already=already, refused=refused))


async def _declare(ask: Ask, kind: str, body: dict[str, Any]) -> tuple[Taken, AssignmentResult | None]:
    """Hand the event to intake and wait for its effect as long as the caller wants to."""
    org, event_id = ask.my_org, ask.body.id.lower()
    if ask.body.org_id is not None and ask.body.org_id != org:
        raise Rejected(
            "orgId names another org than the one this request acts in",
            code="org_forbidden",
            hint="Leave orgId out, or name the org in X-Org-Id too.",
        )
    if not ask.portal.intake.holds(org, event_id):
        _refuse_bulk_while_busy(ask, org)
        await _require_course(ask, org, body["courseId"])
    receipt = await ask.portal.intake.one(
        sender(ask.me),
        kind=kind,
        event_id=event_id,
        org=org,
        body=canonical(body),
        door="admin",
        number=Number(ask.body.device_id, ask.body.generation, ask.body.seq),
    )
    _raise_refusal(receipt)
    # From here on the event is durable, so the truth is its receipt: not an error of the store's, and
    # not the reason of one that was parked. Its device would keep that one too, as refused, while an
    # operator may still send it through.
    await ask.portal.applied(org, event_id, _wait_s(ask.headers))
    try:
        result = await ask.portal.store.read(org, lambda tx: result_of(tx, event_id))
    except (Unavailable, Corrupt):
        result = None
    return _taken(receipt), result


def _refuse_bulk_while_busy(ask: Ask, org: str) -> None:
    waiting = ask.portal.backlog(org)
    if len(ask.body.user_ids) > 1 and waiting > BACKLOG_LIMIT:
        raise Conflict(
            f"{waiting} events of this org wait to be applied; bulk work goes on at {BACKLOG_LIMIT} or fewer",
            code="backlog_over_limit",
            hint="Send it again with the same id when the backlog has drained; one learner at a time goes.",
        )


async def _require_course(ask: Ask, org: str, course_id: str) -> None:
    try:
        known = await ask.portal.store.read(org, lambda tx: course_exists(tx, course_id))
    except (Unavailable, Corrupt):
        # Assigning works while the store is out; the applier looks again.
        return
    if not known:
        raise Rejected(f"there is no course {course_id[:128]!r} in this org", code="not_found")


def _raise_refusal(receipt: Receipt) -> None:
    reason = receipt.reason or "the event was not taken"
    match receipt.status:
        case "accepted" | "duplicate":
            return
        case "conflict":
            raise Conflict(reason, hint="Use a new id for another assignment.")
        case "later":
            raise Unavailable(reason, code=receipt.code, retry_s=receipt.retry_after_s or 1.0)
        case "invalid" | "forbidden":
            raise Rejected(reason, code=receipt.code)


def _taken(receipt: Receipt) -> Taken:
    return Taken(id=receipt.id, status=receipt.status, position=receipt.position, durable=receipt.durable)


def _due(due_at: datetime) -> str:
    try:
        return due_text(due_at)
    except ValueError as fault:
        raise Rejected(str(fault)) from None


def _wait_s(headers: Mapping[str, str]) -> float:
    """RFC 7240's `Prefer: wait=N`; a preference that can't be read is no preference."""
    named = _PREFER_WAIT.search(headers.get("prefer", ""))
    return float(min(int(named[1]), MOST_WAIT_S)) if named else WAIT_S


CALLS: Final[tuple[Call, ...]] = (
    Call(
        "GET",
        "/api/admin/assignments",
        list_all,
        action="assignment.read",
        returns=AssignmentPage,
        etag=True,
        query=AssignmentFilter,
        summary="Who is to do which course by when, and how far they are.",
    ),
    Call(
        "GET",
        "/api/admin/assigning",
        list_recent,
        action="assignment.read",
        returns=AssigningList,
        query=RecentFilter,
        summary="What the latest events that assign or unassign did.",
    ),
    Call(
        "GET",
        "/api/admin/assigning/{event_id}",
        show_one,
        action="assignment.read",
        returns=Assigning,
        summary="What became of one event that assigns or unassigns.",
    ),
    Call(
        "POST",
        "/api/admin/courses/{course_id}/assign",
        assign,
        action="assignment.send",
        returns=Assigned,
        body=Assign,
        also=(202,),
        limit_bytes=LIMIT_BYTES,
        summary="Assign a course to up to 5,000 learners.",
    ),
    Call(
        "POST",
        "/api/admin/courses/{course_id}/unassign",
        unassign,
        action="assignment.send",
        returns=Unassigned,
        body=Unassign,
        destructive=True,
        also=(202,),
        limit_bytes=LIMIT_BYTES,
        summary="Take a course from up to 5,000 learners; their progress stays.",
    ),
)
