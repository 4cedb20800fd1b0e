"""The applier: read, then mark + apply + cursor in one transaction, then tell.

A store that is out is waited for: no attempt is counted, nothing is parked (PostHog/posthog #10396
shows the other way). Each lane has its own cursor and its own turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from holdfast.core.backoff import full_jitter_s
from holdfast.core.clock import Clock, rfc3339
from holdfast.core.errors import Corrupt, HoldfastError, Unavailable
from holdfast.core.log import COUNT, LANE, POSITION
from holdfast.events import marks
from holdfast.events.backlog import Backlog
from holdfast.events.batch import LaneStopped, Mixed, Outcome, apply_batch
from holdfast.events.deadletters import DeadLetter
from holdfast.events.entry import Kinds
from holdfast.events.kind import LANES, Kind
from holdfast.events.numbers import Remembered
from holdfast.events.redrive import redrive_one
from holdfast.journal.port import Journal, Slice
from holdfast.store.port import Store, Tx

log = structlog.get_logger(__name__)

BATCH: Final = 1000
STOPPED_S: Final = 60.0
"""How long a stopped lane rests before it is tried again; the alarm stays on until it passes."""
SCANNED_PAST: Final = 50_000
"""A cursor that passed so many positions of other lanes is stored: a restart need not pass them again."""

Told = Callable[[Outcome], None]


class Applier:
    """Moves every lane's cursor towards the journal's head, in the loop's background."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        kinds: Sequence[Kind],
        backlog: Backlog,
        *,
        clock: Clock,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`busy` tells whether a crowd sends: then the applier leaves intake most of the processor."""
        self._journal = journal
        self._store = store
        self._kinds = Kinds(kinds)
        self._backlog = backlog
        self._clock = clock
        self._busy = busy
        self._cursors: dict[str, int] = {}
        self._stored: dict[str, int] = {}
        self._epoch: int | None = None
        self._stale = False
        """Whether the lease was taken from here, so that what is remembered counts no more."""
        self._devices = Remembered()
        self._rest_until_s: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._listeners: list[Told] = []
        self.outage: str | None = None
        """Why the store can't be written, as the last attempt found; None while it can."""
        self.stopped: dict[str, str] = {}
        """Lanes whose breaker tripped, and why."""
        self._start_head = journal.stats().head
        self.ahead_of_journal: int | None = None
        """By how many positions the store was ahead of the journal at start; None until that is known.

        It is never ahead of a journal that is its own: this one was put back from an older copy."""
        self._moved_at_s: dict[str, float] = dict.fromkeys(LANES, clock.now_s())

    def listen(self, told: Told) -> None:
        """Call `told` on the loop after each batch."""
        self._listeners.append(told)

    def wake(self) -> None:
        """There may be something to read. Event loop only."""
        self._wake.set()

    def begin_anew(self) -> None:
        """Somebody took the lease and changed rows that are remembered here: begin anew within a second.

        From any thread. A batch would find out by itself; where none comes, who else writes by this lease
        would wait for ever.
        """
        self._stale = True

    @property
    def epoch(self) -> int:
        """The lease held, for others that write beside the applier. Raises Unavailable when none is."""
        return self._held()

    def tell(self, outcome: Outcome) -> None:
        """Tell the listeners of rows that changed otherwise than by a batch."""
        for told in self._listeners:
            told(outcome)

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the journal at start has been applied."""
        return all(self.cursor(lane) >= self._start_head for lane in LANES)

    @property
    def moved_at_s(self) -> float:
        """When the cursor that stands longest last moved or was found at the head."""
        return min(self._moved_at_s.values())

    def cursor(self, lane: str) -> int:
        """The position a lane has finished."""
        return self._cursors.get(lane, 0)

    async def run(self) -> None:
        """Apply until cancelled. A unit of work under way is finished first: it is a transaction."""
        attempt = 0
        while True:
            try:
                idle = await self.turn()
                attempt = 0
                self.outage = None
            except (Unavailable, Corrupt) as out:
                attempt += 1
                if self.outage != out.message:
                    log.warning("store is out, the applier waits", reason=out.message)
                self.outage = out.message
                self._epoch = None
                await asyncio.sleep(full_jitter_s(attempt, base_s=0.2, cap_s=5.0) + 0.05)
                continue
            except Exception:
                # A fault of ours must not end the applier for good; it is loud and tried again.
                log.exception("applier turn failed")
                self._epoch = None
                await asyncio.sleep(5.0)
                continue
            if idle:
                self._wake.clear()
                if not self._waiting():
                    # A second at most: lanes that rest come back by themselves.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1.0):
                            await self._wake.wait()

    async def turn(self) -> bool:
        """One batch of each lane; whether there was nothing to do."""
        if self._epoch is None or self._stale:
            await self._begin()
        idle = True
        for lane in LANES:
            if self._rest_until_s.get(lane, 0.0) > self._clock.ticks_s():
                continue
            idle = not await self._batch(lane) and idle
        return idle

    async def drain(self) -> None:
        """Apply until nothing is left that can be: for commands and tests."""
        while not await self.turn():
            pass

    async def reached(self, lane: str, position: int, timeout_s: float) -> bool:
        """Wait until a lane has finished a position; whether it has."""
        deadline = self._clock.ticks_s() + timeout_s
        while self.cursor(lane) < position:
            left = deadline - self._clock.ticks_s()
            if left <= 0:
                return False
            moved = self._moved
            try:
                async with asyncio.timeout(left):
                    await moved.wait()
            except TimeoutError:
                return self.cursor(lane) >= position
        return True

    async def keep_cursors(self) -> dict[str, int]:
        """Store the cursors as they are: lanes that stand still pass others' events without a word.

        Gives them. Raises Unavailable when no lease is held.
        """
        mine, now, epoch = dict(self._cursors), rfc3339(self._clock.now_s()), self._held()

        def work(tx: Tx) -> dict[str, int]:
            marks.require_lease(tx, epoch)
            held = marks.cursors(tx)
            for lane, position in mine.items():
                if position > held.get(lane, 0):  # or a batch that came in between would be applied twice
                    marks.move_cursor(tx, lane, position, now)
            return marks.cursors(tx)

        return await self._store.run(None, work)

    async def redrive(
        self,
        org: str | None,
        letter_id: str,
        actor: str,
        note: Callable[[Tx], None],
        body: bytes | None = None,
    ) -> DeadLetter:
        """Send one dead letter through again, with its old id; `note` writes the audit beside it.

        `body` and what it raises: see `redrive_one`.
        """
        now = rfc3339(self._clock.now_s())

        def work(tx: Tx) -> DeadLetter:
            note(tx)
            return redrive_one(tx, self._kinds, letter_id, actor, now, org, body)

        return await self._store.run(None, work)

    # Inside

    async def _begin(self) -> None:
        now = rfc3339(self._clock.now_s())
        holder = f"{os.uname().nodename}/{os.getpid()}"

        def work(tx: Tx) -> tuple[int, dict[str, int]]:
            return marks.take_lease(tx, holder, now), marks.cursors(tx)

        self._stale = False
        self._devices.forget()
        self._epoch, cursors = await self._store.run(None, work)
        self._cursors = dict(cursors)
        self._stored = dict(cursors)
        if self.ahead_of_journal is None:
            self._compare(max(cursors.values(), default=0))
        self._tell_moved()
        await asyncio.to_thread(self._backlog.begin, cursors)

    def _compare(self, furthest: int) -> None:
        """Hold the store's furthest cursor against where the journal ended at start."""
        self.ahead_of_journal = max(0, furthest - self._start_head)
        if self.ahead_of_journal:
            log.error(
                "the store is ahead of the journal, which was put back from an older copy",
                **{POSITION: furthest, COUNT: self.ahead_of_journal},
            )

    async def _batch(self, lane: str) -> bool:
        """Apply a lane's next batch; whether there was one."""
        after = self.cursor(lane)
        began = self._clock.ticks_s()
        found: Slice = await asyncio.to_thread(self._journal.read, after, BATCH, lane)
        self._backlog.reading(lane, found.records[0].received_at if found.records else None)
        if not found.records:
            self._cursors[lane] = found.through
            self._moved_at_s[lane] = self._clock.now_s()
            if found.through > after:
                self._tell_moved()
            if found.through - self._stored.get(lane, 0) > SCANNED_PAST:
                await self._store_cursor(lane, found.through)
            return False
        try:
            try:
                outcome = await self._store.run(None, lambda tx: self._work(tx, lane, found, sifted=False))
            except Mixed:
                outcome = await self._store.run(None, lambda tx: self._work(tx, lane, found, sifted=True))
        except (Unavailable, Corrupt):
            raise
        except (LaneStopped, HoldfastError) as stop:
            # Also what the batch's own frame met, such as a statement that is wrong: no event is at fault.
            self.stopped[lane] = str(stop)
            self._rest_until_s[lane] = self._clock.ticks_s() + STOPPED_S
            log.error("lane stopped", reason=str(stop), **{LANE: lane, POSITION: after})  # noqa: TRY400
            return False
        self.stopped.pop(lane, None)
        self._cursors[lane] = self._stored[lane] = outcome.through
        self._moved_at_s[lane] = self._clock.now_s()
        self._tell_moved()
        self.tell(outcome)
        dead = sum(count[2] for count in outcome.counts.values())
        if dead:
            log.warning("events parked as dead letters", **{LANE: lane, COUNT: dead})
        if self._busy():
            # Receipts come first: while a crowd sends, the applier takes a twentieth of the time at
            # first, and up to half of it the further it is behind.
            rests = max(1.0, 20.0 - self._backlog.lag_ms(lane) / 1000)
            await asyncio.sleep(min(0.5, rests * (self._clock.ticks_s() - began)))
        return True

    def _tell_moved(self) -> None:
        """Wake who waits for a cursor, of a lane in which nothing stood as well."""
        self._moved.set()
        self._moved = asyncio.Event()

    def _work(self, tx: Tx, lane: str, found: Slice, *, sifted: bool) -> Outcome:
        now = rfc3339(self._clock.now_s())
        outcome = apply_batch(
            tx,
            self._kinds,
            lane,
            found.records,
            found.through,
            self._held(),
            now,
            self._devices,
            sifted=sifted,
        )
        settled = {org: sum(counts) for org, counts in outcome.counts.items()}
        tx.on_commit(lambda: self._backlog.finished(lane, settled))
        return outcome

    def _held(self) -> int:
        if self._epoch is None:
            raise Unavailable("the applier holds no lease")
        return self._epoch

    async def _store_cursor(self, lane: str, position: int) -> None:
        now = rfc3339(self._clock.now_s())
        epoch = self._held()

        def work(tx: Tx) -> None:
            marks.require_lease(tx, epoch)
            marks.move_cursor(tx, lane, position, now)

        await self._store.run(None, work)
        self._stored[lane] = position

    def _waiting(self) -> bool:
        head = self._journal.stats().head
        ready = [lane for lane in LANES if self._rest_until_s.get(lane, 0.0) <= self._clock.ticks_s()]
        return any(self.cursor(lane) < head for lane in ready)
