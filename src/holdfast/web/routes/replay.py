"""For operators and services: ask for a replay, watch it, cancel it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from holdfast.core.errors import Rejected
from holdfast.events.envelope import Name
from holdfast.events.replay import By, Job, Request, window_text
from holdfast.learning.orgs import require_org
from holdfast.web.calls import Answer, Ask, Call, Said, Wire

At = Annotated[datetime, msgspec.Meta(tz=True)]


class ReplayBody(Wire):
    """What to replay: a window of time, `from` in it and `to` not, each with its offset from UTC.

    `by` says whether the window is of the portal's time of receipt or of the device's `occurredAt`.
    """

    id: Name
    org_id: Name
    from_: At = msgspec.field(name="from")
    to: At
    source: Literal["journal", "deadLetters"]
    dry_run: bool
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=1000, pattern=r"^[^\x00]*\Z")]
    by: By = "received"
    user_id: Name | None = None
    kinds: Annotated[list[Name], msgspec.Meta(max_length=50)] | None = None
    max_events: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)] | None = None
    rate_per_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | None = None


class Replays(Said):
    """The latest replays, newest first."""

    items: list[Job]


async def ask_for(ask: Ask) -> Answer:
    """Take a replay in. The org is the asker's own; an operator names it in the body."""
    body: ReplayBody = ask.body
    org = _scope(ask)
    if org is not None and body.org_id != org:
        raise Rejected(
            "orgId: the org named is not one of yours" if ask.me.service else "orgId is not X-Org-Id's org",
            code="org_forbidden",
            hint="A replay is of the org the request acts in.",
        )
    await ask.portal.store.read(None, lambda tx: require_org(tx, body.org_id))
    request = Request(
        org_id=body.org_id,
        from_=window_text(body.from_),
        to=window_text(body.to),
        source=body.source,
        dry_run=body.dry_run,
        reason=body.reason,
        by=body.by,
        user_id=body.user_id,
        kinds=tuple(sorted(set(body.kinds or ()))),
        max_events=body.max_events,
        rate_per_s=body.rate_per_s,
    )
    job = await ask.portal.replayer.ask(body.id, request, ask.me.user_id)
    return Answer(job, headers={"location": f"{_PATH}/{job.id}"})


async def listing(ask: Ask) -> Replays:
    """The latest replays of the org, or of all for an operator who named none."""
    return Replays(items=await ask.portal.replayer.recent(_scope(ask)))


async def show(ask: Ask) -> Job:
    """One replay as it stands."""
    return await ask.portal.replayer.show(_scope(ask), ask.path["job_id"])


async def cancel(ask: Ask) -> Job:
    """End a replay where it stands; what it has done stays done."""
    return await ask.portal.replayer.cancel(_scope(ask), ask.path["job_id"], ask.me.user_id)


def _scope(ask: Ask) -> str | None:
    """A service works in its own org; an operator in the one they named, or in all."""
    if ask.org is None and not ask.me.operator:
        raise Rejected("this call acts in an org, and none is named", code="org_required")
    return ask.org


_PATH = "/api/admin/offline/replay"

CALLS: tuple[Call, ...] = (
    Call("POST", _PATH, ask_for, "replay.run", Job, "Replay a window of time", body=ReplayBody, status=202),
    Call("GET", _PATH, listing, "replay.read", Replays, "The latest replays"),
    Call("GET", f"{_PATH}/{{job_id}}", show, "replay.read", Job, "A replay's counts, progress and sample"),
    Call("DELETE", f"{_PATH}/{{job_id}}", cancel, "replay.run", Job, "Cancel a replay"),
)
