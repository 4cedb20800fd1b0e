"""Erasing a person: the steps in their order, each safe to die after; asked again, or by itself, it goes on.

1. The erasure is written down, and the membership closed: nothing new of the person is let in, nor what
   was on its way, whoever sends it.
2. The active segment is sealed, and a record says which frames will change, and to what.
3. Sealed segments are written anew, one after the other, each by a rename.
4. When the applier has passed all that was there, the person's rows go, in one transaction, and replays
   of the person that wait end.
5. The receipt is signed and kept; the person's id is not. It is given out when the store's files hold
   nothing of what was deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import structlog
from sqlalchemy import select

from holdfast.core.backoff import full_jitter_s
from holdfast.core.clock import Clock, rfc3339
from holdfast.core.codec import canonical
from holdfast.core.errors import Conflict, HoldfastError, Rejected, Unavailable
from holdfast.core.ids import position_text
from holdfast.events import erasure, marks, replay
from holdfast.events.applier import Applier
from holdfast.events.entry import Kinds
from holdfast.events.kind import LANES, Kind
from holdfast.events.replayer import Note
from holdfast.journal.erasing import Erasing, Wanted
from holdfast.journal.port import Journal
from holdfast.store import schema
from holdfast.store.port import Store, Tx

log = structlog.get_logger(__name__)

SEAL_S: Final = 10.0
REACH_S: Final = 60.0
"""How long the applier may take to pass what was there."""
LOOK_S: Final = 60.0
"""How often it is looked for what is not finished, and for who is a member again."""
AGAIN_S: Final = 5.0
"""How soon it is tried again at first; then ever later, up to minutes."""

_table = schema.erasures


class Erasable(Protocol):
    """What an engine of the journal offers that can erase."""

    def erase(self, wanted: Wanted, *, plan: bool) -> Erasing:
        """Take something out; with `plan`, work out the same and change nothing."""
        ...

    @property
    def active_is_empty(self) -> bool:
        """Whether everything durable stands in sealed segments."""
        ...


class Overwriting(Protocol):
    """What an engine of the store offers whose files may keep what was deleted."""

    async def overwritten(self) -> None:
        """Return when they don't. Raises Unavailable while that can't be."""
        ...


class Person(NamedTuple):
    """What the school knows to do with a person's rows; each in an unbound transaction."""

    is_known: Callable[[Tx, str, str], bool]
    close: Callable[[Tx, str, str], None]
    forget: Callable[[Tx, str, str], dict[str, int]]


class ErasureReceipt(msgspec.Struct, rename="camel"):
    """What was erased, signed by the portal. `subject` is a salted hash of org and user."""

    id: str
    org_id: str
    subject: str
    reason: str
    erased_by: str
    asked_at: str
    erased_at: str
    journal_lines: int
    journal_frames: int
    journal_through: str
    rows: dict[str, int]
    not_reached: str
    unjudged: list[str] = []
    """Damaged lines of the journal that were left, for nobody can tell whose they are: `<segment>:<line>`."""
    signature: str = ""


NOT_REACHED: Final = (
    "Copies of the data directory that were made before this time still hold the data; "
    "so do devices that have not sent or signed out, reasons that people wrote in their own words, "
    "and what the disk itself keeps of files as they were. Space that the store's file gave up under a "
    "version that did not overwrite it may hold some: VACUUM, with the portal stopped, clears that."
)


class _InJournal(NamedTuple):
    """What was done in the journal, by all tries together."""

    lines: int
    frames: int
    unjudged: list[str]
    through: int
    """The last position of what was looked through: what comes later is none of this erasure's."""


class Eraser:
    """Erases people."""

    def __init__(  # noqa: PLR0913 - what erasing takes
        self,
        journal: Journal,
        store: Store,
        catalog: Sequence[Kind],
        applier: Applier,
        person: Person,
        *,
        clock: Clock,
        note: Note,
        salt: bytes,
        key: bytes,
    ) -> None:
        """`salt` hides who a receipt is about, `key` signs it."""
        self._journal = journal
        self._store = store
        self._kinds = Kinds(catalog)
        self._applier = applier
        self._person = person
        self._clock = clock
        self._note = note
        self._salt = salt
        self._key = key
        self._one = asyncio.Lock()
        self._erased: set[str] = set()
        """Subjects of whom nothing may be taken in, as far as the store said."""
        self._may_stand = True
        """Whether the store's files may hold something still that was deleted."""

    async def erase(self, erasure_id: str, org: str, user: str, reason: str, actor: str) -> ErasureReceipt:
        """Erase a person from an org; the same id again gives the same receipt.

        Raises Rejected `not_found`, Conflict for an id used for another person, and Unavailable while
        it can't be finished: asked again, or by itself, it goes on.
        """
        subject = self._subject(org, user)
        now = self._now()

        def begin(tx: Tx) -> dict[str, Any] | None:
            known = tx.rows(_this(select(_table), org, erasure_id))
            if known:
                if known[0].subject != subject:
                    raise Conflict(f"{erasure_id!r} is the erasure of another person")
                done: dict[str, Any] | None = known[0].receipt
                return done
            # Who was erased before may have come back: by an old copy, or in the words of others.
            before = select(_table.c.id).where(_table.c.org_id == org, _table.c.subject == subject)
            if not self._person.is_known(tx, org, user) and not tx.rows(before):
                raise Rejected("nobody with this id was ever a member of the org", code="not_found")
            row = {"org_id": org, "id": erasure_id, "user_id": user, "subject": subject}
            tx.run(_table.insert().values(**row, reason=reason, asked_by=actor, created_at=now))
            self._person.close(tx, org, user)
            return None

        done = await self._store.run(None, begin)
        receipt = (
            await self._finish(org, erasure_id) if done is None else msgspec.convert(done, ErasureReceipt)
        )
        await self._overwritten()
        return receipt

    async def run(self) -> None:
        """Go on with what a stop or an outage broke off, until cancelled."""
        tries = 0
        while True:
            try:
                done = await self.resume()
            except HoldfastError as later:
                log.warning("erasures wait", reason=later.message)
                done = False
            except Exception:
                # A fault of ours must not end this for good; it is loud and tried again.
                log.exception("erasures failed")
                done = False
            tries = 0 if done else tries + 1
            # A try reads the journal and seals a segment: while it is of no use, seldom.
            rest_s = full_jitter_s(tries, base_s=AGAIN_S) + AGAIN_S if tries else LOOK_S
            await asyncio.sleep(rest_s)

    async def resume(self) -> bool:
        """Go on with all that is not finished; whether it is now. Raises what the store raises."""
        async with self._one:
            rows, self._erased = await self._store.read(None, self._known_erasures)
        done = [await self._is_finished(row) for row in rows if row.receipt is None]
        if rows and self._may_stand:
            await self._overwritten()
        return all(done)

    async def _is_finished(self, row: Any) -> bool:  # noqa: ANN401 - a row
        """Try to finish one; others don't wait for one that fails."""
        try:
            await self._finish(row.org_id, row.id)
        except HoldfastError as later:
            log.warning("an erasure waits", reason=later.message, erasure=row.id)
            return False
        except Exception:
            log.exception("an erasure failed", erasure=row.id)
            return False
        return True

    async def receipts(self, org: str | None) -> list[ErasureReceipt]:
        """What was erased, of one org or of all."""
        asked = select(_table).order_by(_table.c.created_at.desc()).limit(500)
        rows = await self._store.read(org, lambda tx: tx.rows(asked))
        return [msgspec.convert(row.receipt, ErasureReceipt) for row in rows if row.receipt is not None]

    def is_erased(self, user: str, org: str) -> bool:
        """Whether somebody is being erased, or was and is no member again; from memory, never waits."""
        return bool(self._erased) and self._subject(org, user) in self._erased

    def is_ours(self, receipt: ErasureReceipt) -> bool:
        """Whether this portal signed exactly this receipt."""
        return compare_digest(self._signature(receipt), receipt.signature)

    # The steps

    async def _finish(self, org: str, erasure_id: str) -> ErasureReceipt:
        async with self._one:
            asked = _this(select(_table), org, erasure_id)
            row = (await self._store.read(None, lambda tx: tx.rows(asked)))[0]
            if row.receipt is not None:
                return msgspec.convert(row.receipt, ErasureReceipt)
            self._erased.add(row.subject)
            done = await self._in_journal(row)
            head = self._journal.stats().head
            self._applier.wake()
            for lane in LANES:
                if not await self._applier.reached(lane, head, REACH_S):
                    raise Unavailable("the applier has not come so far: the erasure goes on later")
            receipt = await self._store.run(None, lambda tx: self._in_store(tx, row, done))
            self._may_stand = True
            return receipt

    async def _overwritten(self) -> None:
        store: Any = self._store
        # Not afterwards: another erasure may end meanwhile.
        self._may_stand = False
        try:
            if hasattr(store, "overwritten"):
                await store.overwritten()
        except BaseException:
            self._may_stand = True
            raise

    async def _in_journal(self, row: Any) -> _InJournal:  # noqa: ANN401
        engine: Any = self._journal
        if not hasattr(engine, "erase"):
            raise Unavailable("this journal's engine can't erase", retry_s=None)
        # What was appended before is durable when this is: nothing of theirs can come behind the seal.
        through = await self._said(row, {}, 0)
        await self._seal(engine)
        known = await self._store.read(None, partial(_known, without=row.user_id))
        wanted = Wanted(
            erasure.eraser(self._kinds, row.org_id, row.user_id),
            erasure.damaged_eraser(known, row.org_id, row.user_id),
        )
        lines, digests, unjudged = await asyncio.to_thread(lambda: engine.erase(wanted, plan=True))
        if lines:
            await self._said(row, digests, lines)
            await asyncio.to_thread(lambda: engine.erase(wanted, plan=False))
        read = partial(self._journal.read, lane=erasure.RECORD.lane)
        before, frames = await asyncio.to_thread(erasure.done_before, read, row.id)
        return _InJournal(max(lines, before), len(frames), unjudged, through)

    async def _said(self, row: Any, digests: Mapping[int, str], lines: int) -> int:  # noqa: ANN401 - a row
        """Write into the journal itself which frames will change, and to what; where that begins."""
        about = (row.org_id, row.asked_by, row.id, row.subject)
        said = erasure.records_of(*about, digests, lines=lines, now=self._now())
        return await asyncio.shield(self._journal.append(said))

    async def _seal(self, engine: Erasable) -> None:
        end = self._clock.ticks_s() + SEAL_S
        while not engine.active_is_empty:
            head = self._journal.stats().segments
            self._journal.seal()
            while self._journal.stats().segments == head:
                if self._clock.ticks_s() > end:
                    raise Unavailable("the journal could not be sealed", code="journal_unavailable")
                await asyncio.sleep(0.02)
            return

    def _in_store(self, tx: Tx, row: Any, done: _InJournal) -> ErasureReceipt:  # noqa: ANN401 - a row
        now = self._now()
        # Rows of devices go, and the applier remembers those it wrote: it begins anew.
        marks.take_lease(tx, "erasure", now)
        tx.on_commit(self._applier.begin_anew)
        self._cancel_replays(tx, row, now)
        rows = self._person.forget(tx, row.org_id, row.user_id)
        if others := erasure.out_of_letters(tx, self._kinds, row.org_id, row.user_id):
            rows["dead_letters"] = rows.get("dead_letters", 0) + others
        receipt = ErasureReceipt(
            id=row.id,
            org_id=row.org_id,
            subject=row.subject,
            reason=row.reason,
            erased_by=row.asked_by,
            asked_at=row.created_at,
            erased_at=now,
            journal_lines=done.lines,
            journal_frames=done.frames,
            journal_through=position_text(done.through),
            rows=rows,
            not_reached=NOT_REACHED,
            unjudged=done.unjudged,
        )
        receipt.signature = self._signature(receipt)
        values = {"receipt": msgspec.to_builtins(receipt), "user_id": None}
        tx.run(_this(_table.update(), row.org_id, row.id).values(**values))
        details = {"reason": row.reason, "subject": row.subject, "journalLines": done.lines}
        self._note(tx, row.org_id, row.asked_by, "person.erased", row.id, details)
        return receipt

    def _cancel_replays(self, tx: Tx, row: Any, now: str) -> None:  # noqa: ANN401 - a row
        """End the open replays of the person: there is nobody left to replay."""
        jobs, why = schema.replay_jobs, "the person it was of is erased"
        for job in tx.rows(select(jobs.c.id, jobs.c.request).where(jobs.c.org_id == row.org_id)):
            theirs = job.request.get("userId") == row.user_id
            if theirs and replay.end(tx, row.org_id, job.id, "cancelled", now, why):
                self._note(tx, row.org_id, row.asked_by, "replay.cancelled", job.id, {"why": why})

    def _known_erasures(self, tx: Tx) -> tuple[Sequence[Any], set[str]]:
        """Every erasure, and the subjects of whom nothing may be taken in now."""
        rows, who = tx.rows(select(_table)), schema.memberships
        orgs = {row.org_id for row in rows}
        asked = select(who.c.org_id, who.c.user_id).where(who.c.org_id.in_(orgs))
        again = {self._subject(each.org_id, each.user_id) for each in tx.rows(asked)} if orgs else set()
        closed = {row.subject for row in rows if row.receipt is None or row.subject not in again}
        return rows, closed

    def _subject(self, org: str, user: str) -> str:
        return digest(self._salt, f"{org}\n{user}".encode(), sha256).hex()

    def _signature(self, receipt: ErasureReceipt) -> str:
        said = msgspec.to_builtins(msgspec.structs.replace(receipt, signature=""))
        if not receipt.unjudged:
            del said["unjudged"]  # receipts that were signed before there was such a list have none
        return digest(self._key, canonical(said), sha256).hex()

    def _now(self) -> str:
        return rfc3339(self._clock.now_s())


def _known(tx: Tx, without: str) -> erasure.Known:
    users = {row.id for row in tx.rows(select(schema.users.c.id))} - {without}
    return erasure.Known(frozenset(users), frozenset(row.id for row in tx.rows(select(schema.orgs.c.id))))


def _this(statement: Any, org: str, erasure_id: str) -> Any:  # noqa: ANN401 - select or update
    return statement.where(_table.c.org_id == org, _table.c.id == erasure_id)
