"""A portal that kills itself with SIGKILL at a chosen point of its work.

Alone, as a program:  `killable.py --data FOLDER --kill between-write-and-sync:3`. The points:

    before-write:N             the journal is about to write for the Nth time
    within-write:N             half of the Nth write is written
    between-write-and-sync:N   the Nth write is written and not yet synced
    after-sync:N               synced, and no receipt has gone out
    within-roll:N              before the Nth rename: between two names of a segment
    mid-apply:N                the Nth batch's rows are written, and not committed
    after-commit:N             the Nth batch is committed, and the applier does not know it yet

And while a person is erased:

    erase-begun:1              it is written down, and nothing is done yet
    erase-planned:1            the active segment is sealed; what will change is not on record yet
    erase-segment:N            it is on record; N - 1 segments are written anew
    erase-unnamed:N            the Nth segment is written anew beside the old one
    erase-rows:1               the rows are gone, and that is not committed
    erase-answered:1           the receipt is kept, and nobody has it yet

With `--nursery` it loads everything once and forks a portal for each line of JSON on its standard
input, `{"data": …, "kill": …, "environ": {…}}`; it tells, in lines too, where each one listens and
when one has died. So a start costs a tenth of a second.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop

from holdfast.cli import serving
from holdfast.events import erasure, marks
from holdfast.events.backlog import Backlog
from holdfast.events.erasing import Eraser
from holdfast.journal import erasing as in_files
from holdfast.journal.disk import OsDisk
from holdfast.settings import load
from holdfast.wiring import opened

POINTS: Final = (
    "before-write",
    "within-write",
    "between-write-and-sync",
    "after-sync",
    "within-roll",
    "mid-apply",
    "after-commit",
)


ERASE_POINTS: Final = (
    "erase-begun:1",
    "erase-planned:1",
    "erase-segment:1",
    "erase-segment:2",
    "erase-unnamed:2",
    "erase-rows:1",
    "erase-answered:1",
)


class Killer:
    """Counts how often a point is passed, and kills this process at the chosen one."""

    def __init__(self, kill: str | None) -> None:
        """`kill`: a point and a number, such as `after-sync:5`; None never kills."""
        self._point, _, number = (kill or ":0").partition(":")
        self._left = int(number)

    def at(self, point: str) -> bool:
        """Whether this is the moment."""
        if point != self._point:
            return False
        self._left -= 1
        return self._left == 0

    def passes(self, point: str) -> None:
        """Die here if this is the moment."""
        if self.at(point):
            die()


def die() -> None:
    """No chance to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


class KillingDisk(OsDisk):
    """The machine's disk, with the moments at which the process may die."""

    def __init__(self, killer: Killer) -> None:
        """`killer` knows which moment it is."""
        self._killer = killer

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Write, or die before, or half-way."""
        self._killer.passes("before-write")
        if self._killer.at("within-write"):
            super().write(fd, data[: len(data) // 2], offset)
            die()
        return super().write(fd, data, offset)

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """Write and sync, or die before, or half-way, or between the two, or right after."""
        data = b"".join(parts)
        self._killer.passes("before-write")
        if self._killer.at("within-write"):
            super().write(fd, data[: len(data) // 2], offset)
            die()
        if self._killer.at("between-write-and-sync"):
            super().write(fd, data, offset)
            die()
        wrote = super().write_synced(fd, parts, offset)
        self._killer.passes("after-sync")
        return wrote

    def sync(self, fd: int) -> None:
        """Sync, or die before, or right after."""
        self._killer.passes("between-write-and-sync")
        super().sync(fd)
        self._killer.passes("after-sync")

    def rename(self, old: Path, new: Path) -> None:
        """Rename, or die before."""
        self._killer.passes("erase-unnamed" if old.suffix == ".erasing" else "within-roll")
        super().rename(old, new)


def before(killer: Killer, point: str, then: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a moment to die before it does anything."""

    def passed(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
        killer.passes(point)
        return then(*args, **named)

    return passed


def erasing(killer: Killer) -> None:
    """The moments of an erasure."""
    erase = Eraser.erase

    async def answered(*args: Any) -> Any:  # noqa: ANN401 - as the method
        receipt = await erase(*args)
        killer.passes("erase-answered")
        return receipt

    Eraser.erase = answered  # type: ignore[method-assign,assignment]
    Eraser._finish = before(killer, "erase-begun", Eraser._finish)  # type: ignore[method-assign]
    erasure.records_of = before(killer, "erase-planned", erasure.records_of)
    in_files.put = before(killer, "erase-segment", in_files.put)
    # The receipt is signed after the rows are gone, in the same transaction.
    Eraser._signature = before(killer, "erase-rows", Eraser._signature)  # type: ignore[method-assign]


def serve(data: str, kill: str | None, environ: dict[str, str], ready: Callable[[str], None]) -> None:
    """Run a portal until it is told to stop, or dies."""
    killer = Killer(kill)
    # The ledger is counted after the marks and the effects of a batch, in the same transaction; the
    # backlog hears of a batch right after its commit.
    marks.tally = before(killer, "mid-apply", marks.tally)
    Backlog.finished = before(killer, "after-commit", Backlog.finished)  # type: ignore[method-assign]
    erasing(killer)
    serving.opened = partial(opened, disk=KillingDisk(killer))  # type: ignore[attr-defined]
    uvloop.run(serving.serve(load(environ, data_dir=Path(data)), "127.0.0.1", 0, ready))


def tell(to: int = 1, **what: Any) -> None:  # noqa: ANN401 - JSON
    """One line to whoever started this."""
    os.write(to, json.dumps(what).encode() + b"\n")


def nursery() -> None:
    """Fork a portal for each line that comes in, until no more can come."""
    living: set[int] = set()
    asked = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115 - for as long as this runs
    while True:
        readable, _, _ = select.select([asked], [], [], 0.01)
        if readable:
            line = asked.readline()
            if not line:
                break
            living.add(_born(json.loads(line)))
        for pid in list(living):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                living.discard(pid)
                tell(dead=pid, status=os.waitstatus_to_exitcode(status))
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _born(wanted: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        tell(born=pid)
        return pid
    status = 1
    try:
        told = os.dup(1)
        with Path(wanted["data"]).with_suffix(".log").open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        serve(
            wanted["data"],
            wanted["kill"],
            wanted["environ"],
            lambda url: tell(told, url=url, pid=os.getpid()),
        )
        status = 0
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    """As a program."""
    words = argparse.ArgumentParser()
    words.add_argument("--nursery", action="store_true")
    words.add_argument("--data")
    words.add_argument("--kill")
    said = words.parse_args()
    if said.nursery:
        nursery()
    else:
        serve(said.data, said.kill, dict(os.environ), lambda url: tell(url=url, pid=os.getpid()))


if __name__ == "__main__":
    main()
