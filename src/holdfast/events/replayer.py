"""The replayer: works on replays in the background, one of an org at a time, and goes on after a restart.

A real run is many small transactions, each with the job's place in it. A dry run is one, which is
rolled back: what it says is what a run does.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog

from holdfast.core.backoff import full_jitter_s
from holdfast.core.clock import Clock, rfc3339
from holdfast.core.errors import Corrupt, HoldfastError, Rejected, Unavailable
from holdfast.events import ledger, marks, replay, replaying
from holdfast.events.applier import Applier
from holdfast.events.backlog import Backlog
from holdfast.events.batch import LaneStopped, Outcome
from holdfast.events.entry import Kinds
from holdfast.events.kind import Kind
from holdfast.events.replay import Job, Request, Tally
from holdfast.journal.port import Journal
from holdfast.store.port import Store, Tx

log = structlog.get_logger(__name__)

LOOK_S: Final = 5.0
"""How often jobs are looked for that nobody told of."""

Note = Callable[[Tx, str | None, str, str, str, dict[str, Any]], None]
"""Writes an audit row: (transaction, org, actor, act, subject, details)."""


class _Undo(Exception):
    """Ends a dry run's transaction."""


class _Stop:
    """Tells whoever works on a job to leave off, on the loop and in the store's thread."""

    def __init__(self) -> None:
        self.here = asyncio.Event()
        self.there = threading.Event()

    def set(self) -> None:
        self.here.set()
        self.there.set()

    def is_set(self) -> bool:
        return self.there.is_set()


class _Step(NamedTuple):
    """What one part left behind."""

    open: bool
    """Whether the job was still open when the part began."""
    ended: bool
    matched: int
    changed: int


class _Work(NamedTuple):
    """A job that is worked on."""

    job: Job
    tally: Tally
    place: str
    first: int
    head: int
    epoch: int
    """The applier's lease from before the job was read. An erasure takes that: what is in memory of rows it
    took out is then never written, and the job is read anew."""


class Replayer:
    """Asks for, works on and cancels replays."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        catalog: Sequence[Kind],
        applier: Applier,
        backlog: Backlog,
        *,
        clock: Clock,
        note: Note,
    ) -> None:
        """`note` writes the audit, in the same transaction as what it tells of."""
        self._journal = journal
        self._store = store
        self._catalog = catalog
        self._kinds = Kinds(catalog)
        self._applier = applier
        self._backlog = backlog
        self._clock = clock
        self._note = note
        self._wake = asyncio.Event()
        self._stops: dict[tuple[str, str], _Stop] = {}
        self._live: dict[tuple[str, str], tuple[replay.Counts, float]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    # Doors

    async def ask(self, job_id: str, request: Request, actor: str) -> Job:
        """Take a replay in; the same id and request again give the same job.

        Raises Rejected for a window or kinds that can't be meant, Conflict as `replay.ask`.
        """
        now = self._now()
        replay.check(request, now)
        unknown = set(request.kinds) - {kind.name for kind in self._catalog}
        if unknown:
            raise Rejected(f"kind {min(unknown)!r} is not known here", code="unknown_kind")
        head = self._journal.stats().head

        def work(tx: Tx) -> Job:
            job, new = replay.ask(tx, job_id, request, actor, now, head)
            if new:
                details = {"reason": request.reason, "dryRun": request.dry_run, "source": request.source}
                details |= {"from": request.from_, "to": request.to, "userId": request.user_id}
                self._note(tx, request.org_id, actor, "replay.asked", job_id, details)
            return job

        job = await self._store.run(None, work)
        self._wake.set()
        return job

    async def cancel(self, org: str | None, job_id: str, actor: str) -> Job:
        """End an open job where it stands; one that has ended stays as it is. Raises `not_found`."""
        job = await self._store.read(org, lambda tx: replay.find(tx, org, job_id))
        stop = self._stops.get((job.org_id, job.id))
        if stop is not None:
            stop.set()  # a dry run holds the store: it must hear of this another way
        now = self._now()

        def work(tx: Tx) -> Job:
            if replay.end(tx, job.org_id, job.id, "cancelled", now, replay.cancelled_by(actor)):
                self._note(tx, job.org_id, actor, "replay.cancelled", job.id, {})
            return replay.find(tx, job.org_id, job.id)

        return await self._store.run(None, work)

    async def show(self, org: str | None, job_id: str) -> Job:
        """A job as it stands, its progress live. Raises Rejected `not_found`."""
        return self._lively(await self._store.read(org, lambda tx: replay.find(tx, org, job_id)))

    async def recent(self, org: str | None, limit: int = 100) -> list[Job]:
        """The latest jobs of an org or of all."""
        found = await self._store.read(org, lambda tx: replay.recent(tx, limit))
        return [self._lively(job) for job in found]

    def _lively(self, job: Job) -> Job:
        live = self._live.get((job.org_id, job.id))
        if live is not None and job.status in ("queued", "running"):
            job.status = "running"
            job.counts, job.progress = live
        return job

    # Work

    async def run(self) -> None:
        """Work until cancelled; what is under way then goes on at the next start."""
        try:
            while True:
                self._wake.clear()
                with contextlib.suppress(HoldfastError):
                    await self._begin()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._wake.wait()
        finally:
            self._closing = True
            for stop in self._stops.values():
                stop.set()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def drain(self) -> None:
        """Work on everything there is: for commands and tests."""
        for org in await self._store.read(None, replay.open_orgs):
            await self._of(org)

    async def _begin(self) -> None:
        for org in await self._store.read(None, replay.open_orgs):
            task = self._tasks.get(org)
            if task is None or task.done():
                self._tasks[org] = asyncio.create_task(self._of(org), name=f"replay {org}")

    async def _of(self, org: str) -> None:
        """One job of an org after the other: two of them could write the same rows."""
        attempt = 0
        while not self._closing:
            try:
                epoch = self._applier.epoch
                found = await self._store.read(None, lambda tx: replay.next_of(tx, org))
                if found is None:
                    return
                job, place, first, head = found
                tally = Tally(job.counts, job.sample, job.problems)
                await self._job(_Work(job, tally, place, first, head, epoch))
                attempt = 0
            except (Unavailable, Corrupt) as out:
                # What the store holds of the job is the truth: it is read anew.
                attempt += 1
                log.warning("a replay waits for the store", reason=out.message, org=org)
                await asyncio.sleep(full_jitter_s(attempt, base_s=0.2, cap_s=5.0) + 0.05)

    async def _job(self, work: _Work) -> None:
        job = work.job
        key = (job.org_id, job.id)
        self._stops[key] = stop = _Stop()
        why: str | None = None
        try:
            if job.dry_run:
                await self._dry(work, stop)
            else:
                await self._real(work, stop)
        except Unavailable:
            raise
        except (LaneStopped, HoldfastError) as fault:
            why = str(fault)
        except Exception as fault:
            log.exception("a replay failed", job=job.id)
            why = f"a fault of the portal's own: {type(fault).__name__}; it is in the log"
        finally:
            del self._stops[key]
            self._live.pop(key, None)
        if why is not None:
            await self._end(job, "failed", why)

    async def _real(self, work: _Work, stop: _Stop) -> None:
        rate = work.job.request.rate_per_s
        while not stop.is_set():
            if _is_full(work):
                # A stop came between its last part and its end.
                await self._end(work.job, "done")
                return
            began = self._clock.ticks_s()
            step, work = await self._part(work)
            if not step.open:
                return
            if step.ended:
                await self._end(work.job, "done")
                return
            if rate is not None:
                rest = step.matched / rate - (self._clock.ticks_s() - began)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, rest)):
                        await stop.here.wait()

    async def _part(self, work: _Work) -> tuple[_Step, _Work]:
        """One part, one transaction; the job's place moves with what it changed."""
        job = work.job
        most = self._most(work)
        entries = await asyncio.to_thread(self._entries, work, most)

        def part(tx: Tx) -> tuple[_Step, _Work]:
            marks.require_lease(tx, work.epoch)
            if not replay.is_open(tx, job):
                return _Step(open=False, ended=True, matched=0, changed=0), work
            step, after = self._apply(tx, work, entries, most)
            replay.keep(tx, job, after.tally, after.place, _progress(after))
            return step, after

        step, after = await self._store.run(None, part)
        if step.changed:
            self._applier.tell(Outcome("replay", 0, {job.org_id: (step.changed, 0, 0)}))
        self._live[job.org_id, job.id] = (after.tally.counts, _progress(after))
        return step, after

    async def _dry(self, work: _Work, stop: _Stop) -> None:
        """The whole job in one transaction, which is then undone."""
        job = work.job
        fresh = work._replace(tally=Tally(replay.Counts(), [], []), place="")
        last = fresh

        def run(tx: Tx) -> None:
            nonlocal last
            marks.require_lease(tx, work.epoch)
            ended = not replay.is_open(tx, job)
            while not ended and not stop.is_set():
                most = self._most(last)
                step, last = self._apply(tx, last, self._entries(last, most), most)
                self._live[job.org_id, job.id] = (last.tally.counts, _progress(last))
                ended = step.ended
            raise _Undo

        with contextlib.suppress(_Undo):
            await self._store.run(None, run)
        if stop.is_set():
            return  # it was cancelled, or the portal stops and begins it anew

        def keep(tx: Tx) -> None:
            marks.require_lease(tx, work.epoch)
            if replay.is_open(tx, job):
                replay.keep(tx, job, last.tally, "", 1.0)

        await self._store.run(None, keep)
        await self._end(job, "done")

    def _entries(self, work: _Work, most: int) -> replaying.Selected | None:
        request = work.job.request
        if request.source == "deadLetters":
            return None
        lane = replaying.only_lane(self._catalog, request.kinds)
        after = int(work.place or work.first)
        return replaying.select_entries(self._journal, request, lane, after, work.head, most)

    def _apply(
        self, tx: Tx, work: _Work, entries: replaying.Selected | None, most: int
    ) -> tuple[_Step, _Work]:
        job, tally = work.job, work.tally
        before = tally.counts.matched
        now = self._now()
        with tx.watching(replaying.WATCHED) as taken:
            if entries is not None:
                if entries.entries:
                    replaying.replay_entries(
                        tx, self._kinds, entries.entries, tally, lambda tx: self._missing(tx, job.org_id), now
                    )
                place, ended = str(entries.through), entries.through >= work.head
            else:
                rows = replaying.next_letters(tx, job.request, job.created_at, work.place, most)
                replaying.replay_letters(tx, self._kinds, rows, job.request, tally, job.asked_by, now)
                place = replaying.letter_place(rows[-1]) if rows else work.place
                ended = len(rows) < most
            changes = taken()
        replaying.require_own(changes, job.org_id)
        tally.saw(changes)
        matched = tally.counts.matched - before
        ended = ended or _is_full(work)
        return _Step(open=True, ended=ended, matched=matched, changed=len(changes)), work._replace(
            place=place
        )

    def _most(self, work: _Work) -> int:
        """How many events the next part may hold: about a second's worth where a rate is set."""
        request = work.job.request
        most = replaying.CHUNK
        if request.rate_per_s is not None:
            most = min(most, max(1, int(request.rate_per_s)))
        if request.max_events is not None:
            most = min(most, request.max_events - work.tally.counts.matched)
        return most

    def _missing(self, tx: Tx, org: str) -> int:
        rows = ledger.rows(tx, self._journal, self._backlog)
        return next((row.unaccounted for row in rows if row.org_id == org), 0)

    async def _end(self, job: Job, status: replay.Status, why: str | None = None) -> None:
        now = self._now()

        def work(tx: Tx) -> None:
            if replay.end(tx, job.org_id, job.id, status, now, why):
                details = {"dryRun": job.dry_run, "why": why}
                self._note(tx, job.org_id, job.asked_by, f"replay.{status}", job.id, details)

        await self._store.run(None, work)

    def _now(self) -> str:
        return rfc3339(self._clock.now_s())


def _is_full(work: _Work) -> bool:
    """Whether it has seen as many events as it may."""
    most = work.job.request.max_events
    return most is not None and work.tally.counts.matched >= most


def _progress(work: _Work) -> float:
    if work.job.request.source == "deadLetters":
        return min(1.0, work.tally.counts.matched / work.head) if work.head else 1.0
    span = work.head - work.first
    return min(1.0, (int(work.place or work.first) - work.first) / span) if span else 1.0
