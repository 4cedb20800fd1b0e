"""The file engine: rolling segments, natural group commit, one writer thread.

Group commit has no timer: while one group is being synced the next one gathers; a linger was
measured to make both throughput and latency worse. A failed sync is never tried again, because the
kernel may have dropped the pages and the second sync would succeed and lie ("fsyncgate", PostgreSQL
list 2018): the group's senders hear `unknown_outcome`, the segment ends at its last good commit, a
new one is opened whose header says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
import time
from asyncio import get_running_loop
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from holdfast.core.clock import Clock, SystemClock, rfc3339
from holdfast.core.errors import HoldfastError, Unavailable
from holdfast.journal import erasing, gather, segment
from holdfast.journal.archiving import archive_sealed
from holdfast.journal.disk import Disk, OsDisk, Unsynced, lock_folder, make_folder, rest_of
from holdfast.journal.gather import Gathering, Group
from holdfast.journal.pace import Pace
from holdfast.journal.port import NOTHING_ERASED, Counts, Erased, Finding, JournalStats, Slice
from holdfast.journal.reader import Reader
from holdfast.journal.record import Event
from holdfast.journal.recovery import Recovered, open_segment, recover

log = structlog.get_logger(__name__)

GROUP_EVENTS = 4096
"""Most events in one group: bounds the time a sender waits for its neighbours."""


HEAL_S = 1.0
"""How often a journal that could not write finds out whether it can again."""


class FileJournal:
    """A journal in a folder of JSONL segments; see `segment` for the format."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 64 << 20,
        waiting_bytes: int = 64 << 20,
        disk: Disk | None = None,
        clock: Clock | None = None,
        after: int = 0,
        leap: int = 0,
    ) -> None:
        """Take the folder's lock, recover what is there, start the writer.

        `after`: the store's furthest cursor; positions given from now on lie beyond it, even if
        the journal was put back from an older copy. `leap`: so many positions are left out at once,
        for a store that can't tell its cursors now. Raises Conflict `store_in_use` when another
        process writes here.
        """
        self._folder = folder
        self._disk = disk or OsDisk()
        self._clock = clock or SystemClock()
        self._segment_bytes = segment_bytes
        self._waiting_limit_bytes = waiting_bytes
        make_folder(folder, self._disk)
        self._lock_fd: int | None = lock_folder(folder)
        try:
            found: Recovered = recover(folder, self._disk, self._clock)
        except BaseException:
            os.close(self._lock_fd)
            self._lock_fd = None
            raise
        self._reader = Reader(folder, found.segments)
        self._fd = found.fd
        self._end_bytes = found.end_bytes
        self._sha = found.sha
        self._gathering = Gathering(max(found.head, after) + leap, GROUP_EVENTS)
        self._counts = found.counts
        self._fault: str | None = found.fault
        self._failed_groups = 0
        self._pace = Pace()
        self._writing_bytes = 0
        self._too_much = False
        self._closing = False
        self._closed = False
        self._seal_asked = False
        self._idle = False
        self._rewriting = threading.Lock()
        """Held by who changes sealed segments."""
        self._lock = threading.RLock()
        self._gate = threading.Condition(self._lock)
        self._listeners: list[Callable[[], None]] = []
        self._writer = threading.Thread(target=self._write_forever, name="journal-writer", daemon=True)
        self._writer.start()

    # The port's verbs

    def append(self, events: Sequence[Event]) -> asyncio.Future[int]:
        """Write the events as one frame; see the port."""
        if self._closing or self._too_much:
            raise self._refusal()
        loop = get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        # No lock up to here: it would cost a lone event as much as all the rest of this.
        came = self._gathering.came
        came.append((events, done, loop))
        number = len(came)
        if len(events) >= gather.WORTH_WORDING or number >= gather.WORDED_TOGETHER:
            self._word_all()
        if self._idle:
            with self._gate:
                self._idle = False
                self._gate.notify()
        elif number == 1:
            # The writer is at the disk: what else comes in this turn of the loop is worded with it.
            loop.call_soon(self._word_all)
        if self._closed:
            self._refuse_late()
        return done

    def _refusal(self) -> Unavailable:
        if self._closing:
            return Unavailable("the journal is closing", code="draining")
        return Unavailable("too much waits for the disk", code="queue_full", retry_s=1.0)

    def _weigh(self) -> None:
        """See whether too much waits; the lock is held."""
        self._too_much = self._gathering.worded_bytes + self._writing_bytes > self._waiting_limit_bytes

    def read(self, after: int, limit: int, lane: str | None = None) -> Slice:
        """Durable records after a position; see the port."""
        return self._reader.read(after, limit, lane)

    def counts(self, through: int | None = None) -> Counts:
        """Durable events per org and lane; see the port."""
        if through is not None:
            return self._reader.counts(through)
        with self._gate:
            return {org: dict(lanes) for org, lanes in self._counts.items()}

    def stats(self) -> JournalStats:
        """The journal's condition; see the port."""
        free: int | None = None
        with contextlib.suppress(OSError):
            room = os.statvfs(self._folder)
            free = room.f_bavail * room.f_frsize
        with self._gate:
            return JournalStats(
                durable="fsync",
                head=self._reader.head,
                bytes=self._reader.size_bytes,
                segments=self._reader.number,
                waiting_bytes=self._gathering.size_bytes + self._writing_bytes,
                sync_p99_ms=self._pace.p99_ms(self._clock.ticks_s()),
                free_bytes=free,
                scars=self._reader.scars,
                failed_groups=self._failed_groups,
                fault=self._fault,
            )

    def seal(self) -> None:
        """Let the writer close the active segment after its present group."""
        with self._gate:
            self._seal_asked = True
            self._gate.notify()

    def verify(self, erased: Erased = NOTHING_ERASED) -> Iterator[Finding]:
        """Prove every segment; see the port."""
        return self._reader.verify(erased)

    def close(self) -> None:
        """Write what waits, stop the writer, let the lock go."""
        with self._gate:
            self._closing = True
            self._gate.notify()
        self._writer.join()
        self._closed = True
        self._refuse_late()
        if self._fd is not None:
            with contextlib.suppress(OSError):  # every frame in it was synced
                self._disk.close(self._fd)
            self._fd = None
        with self._rewriting:  # the next process must not find a segment half-way
            self._reader.close()
            if self._lock_fd is not None:  # closed twice, its number could be another file's by now
                os.close(self._lock_fd)
                self._lock_fd = None

    # Beside the port: this engine's own process can say at once that there is something to read.

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` after each durable frame, from the writer's thread: it must return at once."""
        self._listeners.append(heard)

    def erase(self, wanted: erasing.Wanted, *, plan: bool) -> erasing.Erasing:
        """Take something out of sealed segments.

        `plan`: work out the same and change nothing. It may be run again after a crash. Not on the loop.
        """
        with self._rewriting:
            return erasing.erase(self._folder, self._disk, self._reader, wanted, plan=plan)

    def archive(self, before: str, through: int) -> list[str]:
        """Archive segments that were sealed before a time and end by a position. Not on the loop."""
        with self._rewriting:
            stops = lambda: self._closing  # noqa: E731
            return archive_sealed(self._folder, self._disk, self._reader, before, through, stops)

    @property
    def active_is_empty(self) -> bool:
        """Whether everything durable stands in sealed segments."""
        return self._reader.active_is_empty

    # The writer's thread

    def _write_forever(self) -> None:
        while True:
            with self._gate:
                while self._nothing_to_do():
                    if not self._gate.wait(HEAL_S if self._fault else None) and self._fault:
                        break
                self._idle = False
                if not self._gathering and self._closing:
                    return
                heal = self._fault is not None and not self._gathering
                if self._gathering.came:
                    self._word()
                group = self._gathering.take()
                self._writing_bytes = group.size_bytes
                seal = self._seal_asked
                self._seal_asked = False
            if group.waiting or heal:
                # With nobody waiting, an empty frame finds out whether the disk takes writes again.
                self._write_group(group)
            if seal or self._end_bytes >= self._segment_bytes:
                self._roll(self._end_bytes)

    def _nothing_to_do(self) -> bool:
        """Say so before looking: whoever appends from now on wakes the writer. The lock is held."""
        self._idle = True
        return not (self._gathering or self._closing or self._seal_asked)

    def _word_all(self) -> None:
        """Word what came, beside the writer; nothing is left to do if the writer did it."""
        if self._gathering.came:
            with self._lock:
                group = self._word()
                self._weigh()
            if group is not None:
                group.digest()

    def _word(self) -> Group | None:
        """Word what came; the lock is held. The group that it is in, None where that failed."""
        try:
            return self._gathering.word(rfc3339(self._clock.now_s()).encode())
        except Exception as fault:
            # Neither an appender nor the writer may fall over it, nor those who came before or after.
            log.exception("journal lines could not be worded")
            error = Unavailable(f"the journal failed: {fault}", code="unknown_outcome", retry_s=1.0)
            self._gathering.drop().answer(error)
            return None

    def _refuse_late(self) -> None:
        """Answer who appended while the writer left."""
        with self._lock:
            self._gathering.lift()
            self._gathering.drop().answer(self._refusal())

    def _write_group(self, group: Group) -> None:
        error: HoldfastError | None = None
        try:
            self._commit(group)
        except Unavailable as refused:
            error = refused
        except Exception as fault:
            # Whatever it was, the senders must hear that nothing is certain, and the thread must live.
            log.exception("journal group failed")
            error = Unavailable(f"the journal's writer failed: {fault}", code="unknown_outcome", retry_s=1.0)
        with self._gate:
            self._writing_bytes = 0
            self._weigh()
            if error is None:
                self._fault = None
            else:
                self._failed_groups += 1
                self._fault = error.message
        if error is None and group.waiting:
            for heard in self._listeners:
                heard()
        group.answer(error)

    def _commit(self, group: Group) -> None:
        if self._fd is None:
            self._open_next()
        fd = self._fd
        assert fd is not None  # noqa: S101 - it was opened, or that raised
        last = group.last or self._reader.head
        commit, sha = segment.commit_line(
            last, group.events, group.size_bytes, group.digest(), group.orgs, self._sha
        )
        start = self._end_bytes
        began = time.perf_counter()
        end = self._write_all(fd, [*group.texts, commit], start)
        with self._gate:
            self._pace.took((time.perf_counter() - began) * 1000, self._clock.ticks_s())
            self._end_bytes = end
            self._sha = sha
            segment.add(group.orgs, self._counts)
            self._reader.grow(last, end, group.orgs, sha)

    def _write_all(self, fd: int, parts: list[bytes], start: int) -> int:
        """Write and sync all of it, or nothing that counts; where it ends.

        A short write is how a full disk begins: it is cut back to `start`.
        """
        at = start
        try:
            while parts:
                wrote = self._disk.write_synced(fd, parts, at)
                if wrote == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - as the disk would
                at += wrote
                parts = rest_of(parts, wrote)
        except Unsynced as fault:
            self._abandon(fd, start)
            raise Unavailable(
                f"the disk failed to sync: {fault.strerror}", code="unknown_outcome", retry_s=1.0
            ) from fault
        except OSError as fault:
            try:
                self._disk.truncate(fd, start)
                # Or a crash could mix sectors of these bytes with those that are written here next.
                self._disk.sync(fd)
            except OSError:
                self._abandon(fd, start)
            full = fault.errno in (errno.ENOSPC, errno.EDQUOT)
            raise Unavailable(
                f"the journal could not write: {fault.strerror}",
                code="disk_full" if full else "journal_unavailable",
                hint="Free space on the journal's volume; nothing that was answered for is at risk.",
                retry_s=30.0 if full else 5.0,
            ) from fault
        return at

    def _abandon(self, fd: int, end: int) -> None:
        """End the segment at its last good commit: the next one's header will say so."""
        with contextlib.suppress(OSError):
            self._disk.truncate(fd, end)
        with contextlib.suppress(OSError):
            self._disk.close(fd)
        self._fd = None

    def _open_next(self) -> None:
        """Open a segment where there is none to write to, after a failure or on a disk that was full."""
        try:
            self._fd, self._end_bytes = open_segment(
                self._folder, self._disk, self._clock, self._reader, self._sha
            )
        except OSError as fault:
            raise Unavailable(
                f"no new journal segment could be opened: {fault.strerror}",
                code="disk_full" if fault.errno == errno.ENOSPC else "journal_unavailable",
                retry_s=30.0,
            ) from fault

    def _roll(self, size: int) -> None:
        """Seal the active segment. What fails here loses nothing: the segment simply goes on."""
        if self._fd is None or self._reader.active_is_empty:
            return
        try:
            fd, end = open_segment(self._folder, self._disk, self._clock, self._reader, self._sha)
        except OSError as fault:
            log.warning("journal segment could not be sealed", reason=str(fault), size_bytes=size)
            if self._reader.active is None:
                # It has its sealed name, and a header that says where it ends may lie beside it:
                # what is written to it now would not count after a start.
                self._abandon(self._fd, size)
            return
        old, self._fd, self._end_bytes = self._fd, fd, end
        with contextlib.suppress(OSError):  # every frame in it was synced
            self._disk.close(old)
