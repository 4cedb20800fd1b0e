"""What the SQLite engine saw of its file: how units went and how long they took, and which file it holds."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.exc import DBAPIError

from holdfast.core.errors import Corrupt, HoldfastError, Unavailable
from holdfast.store.port import StoreStats, UnitOutcome


class Seen:
    """Outcomes and times of units. Written by the store's threads, read by anybody."""

    def __init__(self) -> None:
        self.write_ms: deque[float] = deque(maxlen=256)
        self.read_ms: deque[float] = deque(maxlen=256)
        self.begins_s: float | None = None
        """Since when the unit that writes waits for its transaction; monotonic."""
        self.began_s: float | None = None
        """Since when it has it."""
        self._last: tuple[bool | None, float, str | None] = (None, 0.0, None)
        self._outcomes: deque[UnitOutcome] = deque(maxlen=64)

    def note(self, reason: str | None, *, writes: bool) -> None:
        """A unit has ended; `reason` says why the store could not do it."""
        self._outcomes.append(UnitOutcome(writes, reason))
        self._last = (reason is None, time.time(), reason)

    def outcomes(self) -> list[UnitOutcome]:
        """See the port."""
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]

    def stats(self) -> StoreStats:
        """See the port."""
        ok, at_s, reason = self._last
        begins_s, began_s, now_s = self.begins_s, self.began_s, time.monotonic()
        return StoreStats(
            "sqlite",
            ok,
            at_s,
            reason,
            _percentile(self.write_ms, 0.95),
            _percentile(self.read_ms, 0.95),
            _percentile(self.read_ms, 0.5),
            None if begins_s is None else now_s - begins_s,
            None if began_s is None else now_s - began_s,
        )


class HeldFile:
    """Which file the connections hold.

    Another file of that name is never opened while the portal runs: SQLite would lay the old file's
    WAL over it, and on closing write that WAL into it, for it knows a WAL by its name alone. The
    connections stay open, so that what they hold is whole when the file is put back.
    """

    def __init__(self, path: Path | None) -> None:
        """`path` None: a database in memory, which nobody can replace."""
        self._path = path
        self._held: tuple[int, int] | None = None

    def target(self) -> str:
        """What to connect to."""
        if self._path is None:
            return ":memory:"
        # A file that was there and is gone is an outage: an empty one made in its place would look well.
        return f"file:{quote(str(self._path))}?mode={'rwc' if self._held is None else 'rw'}"

    def looking(self) -> str:
        """What to connect to for a look: such a connection leaves the WAL alone when it closes."""
        return f"file:{quote(str(self._path))}?mode=ro"

    def hold(self) -> None:
        """The connections hold what bears the name now."""
        if self._path is not None:
            self._held = self._found()

    def check(self) -> None:
        """Refuse to go on with a file that lost its name: what is written there is lost to the next start.

        Raises Unavailable until it is back.
        """
        if self._path is None or self._held is None:
            return
        if self._found() != self._held:
            raise Unavailable("the store's file was replaced: put it back, or restart with the new one")

    def _found(self) -> tuple[int, int]:
        assert self._path is not None  # noqa: S101 - the callers looked
        try:
            found = os.stat(self._path)  # noqa: PTH116 - each unit pays for it
        except OSError as gone:
            raise Unavailable(f"the store's file is gone: {gone.strerror}") from gone
        return found.st_dev, found.st_ino


def reason_of(error: HoldfastError, cause: BaseException | None) -> str | None:
    """Why the store could not do a unit, None where that was no fault of the store.

    `cause`: what the error came of. Where that is not the driver, it is a word of ours: that a lease was
    taken, that something of the journal is missing.
    """
    if not isinstance(error, Unavailable | Corrupt):
        return None
    driver = isinstance(cause, DBAPIError | sqlite3.Error)
    return error.message if driver or error.code == "store_corrupt" else None


def _percentile(values: deque[float], share: float) -> float | None:
    ordered = sorted(values.copy())
    return round(ordered[int(len(ordered) * share)], 3) if ordered else None
