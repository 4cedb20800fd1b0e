"""Replay: what one asks for, what a job says of itself, and its row in the store.

A replay applies the journal, or dead letters, again for one org and a window of time: by the same
apply functions, with the same ids, each part in one transaction with the job's own place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Row, func, select, update

from holdfast.core.errors import Conflict, Rejected
from holdfast.store import schema
from holdfast.store.port import Act, Change, Tx

SHOWN: Final = 20
"""Most row differences, and most problems, that a job keeps to show."""
MOST_OPEN: Final = 20
"""Most replays of one org that may wait or run at a time."""
_OPEN: Final = ("queued", "running")

Status = Literal["queued", "running", "done", "failed", "cancelled"]
Source = Literal["journal", "deadLetters"]
By = Literal["received", "occurred"]
_jobs = schema.replay_jobs


class Request(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What to replay. The window is half-open, `from` in it and `to` not, as 24 characters of UTC.

    `by`: whether it is of the portal's time of receipt, or of the device's own word `occurredAt`.
    """

    org_id: str
    from_: str = msgspec.field(name="from")
    to: str
    source: Source
    dry_run: bool
    reason: str
    by: By = "received"
    user_id: str | None = None
    kinds: tuple[str, ...] = ()
    max_events: int | None = None
    rate_per_s: float | None = None


class Counts(msgspec.Struct, rename="camel"):
    """What became of the events that matched, and how many rows that changed."""

    matched: int = 0
    applied: int = 0
    """Had no effect before, and have it now."""
    repeated: int = 0
    """Applied again; a row that was right stays as it is."""
    already: int = 0
    """Had their effect, and add to counts: left alone."""
    parked: int = 0
    """Stand among the dead letters: left to a replay of those."""
    conflicts: int = 0
    """Another body with the same id was applied: left alone."""
    refused: int = 0
    """Can't be applied as things are; `problems` says why of some."""
    pending: int = 0
    """The applier has not come so far: it will."""
    rows_added: int = 0
    rows_changed: int = 0
    rows_removed: int = 0


class Difference(msgspec.Struct, rename="camel"):
    """One row as it was and as it is; None where it is not."""

    table: str
    act: Act
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Refusal(msgspec.Struct, rename="camel"):
    """One event that could not be applied, and why."""

    id: str
    kind: str
    code: str
    reason: str


class Job(msgspec.Struct, rename="camel"):
    """A replay as those who asked see it. `progress` goes from 0 to 1."""

    id: str
    org_id: str
    status: Status
    dry_run: bool
    counts: Counts
    progress: float
    sample: list[Difference]
    problems: list[Refusal]
    why: str | None
    request: Request
    asked_by: str
    created_at: str
    ended_at: str | None


class Tally:
    """What a job did so far."""

    def __init__(self, counts: Counts, sample: list[Difference], problems: list[Refusal]) -> None:
        """Goes on from what is given."""
        self.counts = counts
        self.sample = sample
        self.problems = problems

    def saw(self, changes: Sequence[Change]) -> None:
        """Take in which rows changed."""
        for change in changes:
            name = f"rows_{change.act}"
            setattr(self.counts, name, getattr(self.counts, name) + 1)
            if len(self.sample) < SHOWN:
                sides = (_camel(change.before), _camel(change.after))
                self.sample.append(Difference(change.table, change.act, *sides))

    def problem(self, event_id: str, kind: str, code: str, reason: str) -> None:
        """Keep why an event could not be applied."""
        self.counts.refused += 1
        if len(self.problems) < SHOWN:
            self.problems.append(Refusal(event_id, kind, code, reason[:500]))


def _camel(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {head + "".join(map(str.title, rest)): value
            for name, value in row.items() for head, *rest in [name.split("_")]}  # fmt: skip


def window_text(at: datetime) -> str:
    """A border of a window as records' times are written: UTC, to the millisecond, never too early.

    Raises Rejected for a time that UTC has no year for.
    """
    try:
        ceiling = at.astimezone(UTC) + timedelta(microseconds=999)
        return ceiling.isoformat("T", "milliseconds")[:23] + "Z"
    except OverflowError:
        raise Rejected("from and to must be between the years 1 and 9999, in UTC") from None


def check(request: Request, now: str) -> None:
    """Refuse a window that can't be meant. `now` is the portal's own time."""
    if request.from_ >= request.to:
        raise Rejected(
            f"the window ends before it begins: from {request.from_} to {request.to}, in UTC",
            hint="from is in the window, to is not; state both with their offset from UTC.",
        )
    if request.by == "received" and request.from_ > now:
        raise Rejected(
            f"the window begins at {request.from_}, and this portal's clock says {now}",
            hint="Nothing was received in the future: look at the clock of whoever asks, and at this one.",
        )


# The job's row


def ask(tx: Tx, job_id: str, request: Request, actor: str, now: str, head: int) -> tuple[Job, bool]:
    """Write a job down, queued; whether it is new. The same id and request again give the same job.

    `head`: the journal's, where the replay will end. Raises Conflict `conflict` for the same id with
    another request, `backlog_over_limit` while too many of the org's are open.
    """
    known = tx.rows(_this(select(_jobs), request.org_id, job_id))
    if known:
        job = _job(known[0])
        if job.request != request:
            raise Conflict(
                f"a replay {job_id!r} was asked for before, with another request",
                hint="Give this one an id of its own.",
            )
        return job, False
    open_now = select(func.count()).where(_jobs.c.org_id == request.org_id, _jobs.c.status.in_(_OPEN))
    if tx.rows(open_now)[0][0] >= MOST_OPEN:
        raise Conflict(
            f"{MOST_OPEN} replays of this org wait already",
            code="backlog_over_limit",
            hint="Let them end, or cancel one.",
        )
    if request.source == "deadLetters":
        head = tx.rows(letters(request, now, counted=True))[0][0]
    tx.run(
        _jobs.insert().values(
            org_id=request.org_id,
            id=job_id,
            request=msgspec.to_builtins(request),
            asked_by=actor,
            status="queued",
            place="",
            first=0,
            head=head,
            progress=0.0,
            counts=msgspec.to_builtins(Counts()),
            sample=[],
            problems=[],
            created_at=now,
        )
    )
    return find(tx, request.org_id, job_id), True


def letters(request: Request, created_at: str, *, counted: bool = False) -> Any:  # noqa: ANN401 - a select
    """The statement that finds a replay's dead letters, in the order they were parked."""
    table = schema.dead_letters
    found = select(func.count()) if counted else select(table).order_by(*LETTER_ORDER)
    found = found.where(table.c.org_id == request.org_id, table.c.status == "parked")
    found = found.where(table.c.parked_at <= created_at)
    if request.by == "received":
        found = found.where(table.c.received_at >= request.from_, table.c.received_at < request.to)
    if request.user_id is not None:
        found = found.where(table.c.user_id == request.user_id)
    return found.where(table.c.kind.in_(request.kinds)) if request.kinds else found


LETTER_ORDER: Final = (
    schema.dead_letters.c.parked_at,
    schema.dead_letters.c.event_id,
    schema.dead_letters.c.digest,
)


def find(tx: Tx, org: str | None, job_id: str) -> Job:
    """A job by its id, of one org or (None) of any. Raises Rejected `not_found`."""
    rows = tx.rows(_this(select(_jobs), org, job_id))
    if len(rows) != 1:
        hint = "Name the org it is of." if rows else "GET /api/admin/offline/replay lists them."
        raise Rejected(f"no replay {job_id!r} is known here", code="not_found", hint=hint)
    return _job(rows[0])


def recent(tx: Tx, limit: int = 100) -> list[Job]:
    """The transaction's org's latest jobs, or everybody's where it has none; the newest first."""
    found = select(_jobs).order_by(_jobs.c.created_at.desc(), _jobs.c.id.desc()).limit(limit)
    return [_job(row) for row in tx.rows(found)]


def open_orgs(tx: Tx) -> list[str]:
    """The orgs that have a job to work on."""
    return [row.org_id for row in tx.rows(select(_jobs.c.org_id).distinct().where(_jobs.c.status.in_(_OPEN)))]


def next_of(tx: Tx, org: str) -> tuple[Job, str, int, int] | None:
    """An org's oldest open job, with its place, its first position and its head."""
    found = select(_jobs).where(_jobs.c.org_id == org, _jobs.c.status.in_(_OPEN))
    rows = tx.rows(found.order_by(_jobs.c.created_at, _jobs.c.id).limit(1))
    return (_job(rows[0]), rows[0].place, rows[0].first, rows[0].head) if rows else None


def is_open(tx: Tx, job: Job) -> bool:
    """Whether a job was not ended meanwhile."""
    rows = tx.rows(_this(select(_jobs.c.status), job.org_id, job.id))
    return bool(rows) and rows[0].status in _OPEN


def keep(tx: Tx, job: Job, tally: Tally, place: str, progress: float) -> None:
    """Write how far a job has come, beside what it changed."""
    tx.run(
        _this(update(_jobs), job.org_id, job.id).values(
            status="running",
            place=place,
            progress=progress,
            counts=msgspec.to_builtins(tally.counts),
            sample=msgspec.to_builtins(tally.sample),
            problems=msgspec.to_builtins(tally.problems),
        )
    )


def end(tx: Tx, org: str, job_id: str, status: Status, now: str, why: str | None = None) -> bool:
    """End an open job; False when it had ended."""
    change = _this(update(_jobs), org, job_id).where(_jobs.c.status.in_(_OPEN))
    values: dict[str, Any] = {"status": status, "ended_at": now, "why": why}
    if status == "done":
        values["progress"] = 1.0
    return tx.run(change.values(**values)) == 1


def cancelled_by(actor: str) -> str:
    """Why a job ended that somebody cancelled. Erasing them takes it out again."""
    return f"by {actor}"


def _this(statement: Any, org: str | None, job_id: str) -> Any:  # noqa: ANN401 - select or update
    statement = statement.where(_jobs.c.id == job_id)
    return statement if org is None else statement.where(_jobs.c.org_id == org)


def _job(row: Row[Any]) -> Job:
    request = msgspec.convert(row.request, Request)
    return Job(
        id=row.id,
        org_id=row.org_id,
        status=row.status,
        dry_run=request.dry_run,
        counts=msgspec.convert(row.counts, Counts),
        progress=row.progress,
        sample=msgspec.convert(row.sample, list[Difference]),
        problems=msgspec.convert(row.problems, list[Refusal]),
        why=row.why,
        request=request,
        asked_by=row.asked_by,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
