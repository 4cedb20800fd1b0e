"""The alarms' own outbox: what is to be told stands on disk until it was told. It is not the store's.

A file of lines, `trigger` and `resolve` in the order they happened, `told` once somebody took it. What
an earlier start left open is known again, so that its resolve follows even if the portal died between.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

NAME: Final = "alarms.jsonl"
KEPT: Final = 500
"""So many lines, and the file is written anew with what still counts."""


class Entry(msgspec.Struct, rename="camel", frozen=True):
    """One thing to tell."""

    id: int
    act: Literal["trigger", "resolve"]
    key: str
    rule: str
    component: str
    org: str
    severity: str
    summary: str
    runbook: str
    at: str


class _Told(msgspec.Struct, rename="camel", frozen=True):
    told: int
    to: str


class _Line(msgspec.Struct, rename="camel"):
    entry: Entry | None = None
    to: tuple[str, ...] | None = None
    """Whom the entry is for; None in lines of before, which did not say it."""
    told: _Told | None = None


class _Waiting(NamedTuple):
    """An entry that somebody is still to be told of."""

    entry: Entry
    asked: set[str]
    """Whom it is for, told or not."""
    owed: set[str]


class AlarmBook:
    """Entries that wait for their receivers, per receiver in order. Raises OSError where the disk fails."""

    def __init__(self, folder: Path, receivers: Iterable[str]) -> None:
        """`receivers`: names of who must be told.

        One that is new hears only of what comes, and of what one that is gone was not told: an address
        that was misspelt is put right by another in its place.
        """
        self._path = folder / NAME
        self._receivers = tuple(receivers)
        self._waiting: dict[int, _Waiting] = {}
        self.open: dict[str, Entry] = {}
        """Key -> the trigger that no resolve followed."""
        self._lines = 0
        self._begun = False
        self._next = 1
        self._load()

    def _load(self) -> None:
        decode = msgspec.json.Decoder(_Line).decode
        found = self._path.read_bytes().split(b"\n") if self._path.exists() else []
        for raw in found:
            try:
                line = decode(raw)
            except msgspec.DecodeError:
                continue  # torn: nobody was told that it stands here
            if line.entry is not None:
                self._take(line.entry, self._receivers if line.to is None else line.to)
            elif line.told is not None:
                self._settle(line.told.told, line.told.to)
        self._hand_over()
        self._lines = len(found)
        # A full disk keeps no portal from starting: the long book says the same, and is tidied later.
        with contextlib.suppress(OSError):
            self._rewrite()

    def _take(self, entry: Entry, to: Iterable[str]) -> None:
        self._next = max(self._next, entry.id + 1)
        asked = set(to)
        if asked:
            self._waiting[entry.id] = _Waiting(entry, asked, set(asked))
        if entry.act == "trigger":
            self.open[entry.key] = entry
        else:
            self.open.pop(entry.key, None)

    def _hand_over(self) -> None:
        """What those that are gone were not told is for those that are new; with nobody new, for nobody."""
        present = set(self._receivers)
        for entry_id, (entry, asked, owed) in list(self._waiting.items()):
            heirs = set() if owed <= present else present - asked
            self._waiting[entry_id] = _Waiting(entry, (asked & present) | heirs, (owed & present) | heirs)
            self._drop_if_told(entry_id)

    def add(self, **fields: str) -> Entry:
        """Note something to tell; on disk when this returns."""
        entry = Entry(id=self._next, **fields)  # type: ignore[arg-type]
        # A line that fails may stand on disk all the same, so its number is used up.
        self._next += 1
        self._append(_Line(entry=entry, to=self._receivers))
        self._take(entry, self._receivers)
        return entry

    def next_for(self, receiver: str) -> Entry | None:
        """The oldest thing a receiver was not told."""
        return next((one.entry for _, one in sorted(self._waiting.items()) if receiver in one.owed), None)

    def told(self, entry: Entry, receiver: str) -> None:
        """A receiver has taken it, or never will."""
        try:
            self._append(_Line(told=_Told(entry.id, receiver)))
        finally:
            # On a disk that takes nothing they are told again by the next life, not all the time by this one.
            self._settle(entry.id, receiver)
        if self._lines > KEPT:
            self._rewrite()

    def _settle(self, entry_id: int, receiver: str) -> None:
        if entry_id in self._waiting:
            self._waiting[entry_id].asked.add(receiver)
            self._waiting[entry_id].owed.discard(receiver)
            self._drop_if_told(entry_id)

    def _drop_if_told(self, entry_id: int) -> None:
        if not self._waiting[entry_id].owed:
            del self._waiting[entry_id]

    @property
    def waiting(self) -> int:
        """How many tellings are still to be done."""
        return sum(len(one.owed) for one in self._waiting.values())

    def _append(self, line: _Line) -> None:
        # The line before it may be torn: an earlier life's last, or one that failed.
        data = _encode(line) if self._begun else b"\n" + _encode(line)
        self._begun = False
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # A disk that is nearly full takes a part and says so by the number alone.
            if os.write(fd, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(fd)
        finally:
            os.close(fd)
        self._begun = True
        self._lines += 1

    def _rewrite(self) -> None:
        """Only what still counts: open triggers and what is owed. Written beside, then put in place."""
        told = {each.id: _Waiting(each, set(), set()) for each in self.open.values()}
        kept = told | self._waiting
        if not kept and not self._path.exists():
            return
        lines = []
        for entry_id, (entry, asked, owed) in sorted(kept.items()):
            lines.append(_encode(_Line(entry=entry, to=tuple(sorted(asked)))))
            lines += [_encode(_Line(told=_Told(entry_id, each))) for each in sorted(asked - owed)]
        beside = self._path.with_suffix(".new")
        with beside.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._lines = 0


def _encode(line: _Line) -> bytes:
    said = {name: value for name, value in msgspec.structs.asdict(line).items() if value is not None}
    return msgspec.json.encode(said) + b"\n"
