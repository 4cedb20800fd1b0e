"""Every disk that a crash may leave behind, out of the calls that were made before it.

The model is that of ALICE (Pillai et al., OSDI 2014) and lazyfs: what was synced is there. Of what
was not, each sector may be there as it was at any moment since, a file's length may run ahead of its
data, and each create, rename and unlink may have happened or not, until the folder is synced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from random import Random
from typing import TypeVar

from holdfast.journal import segment
from holdfast.journal.scan import SECTOR_BYTES
from tests.faults.disks import Call

T = TypeVar("T")
Line = tuple[int, str, bytes]
"""A record: position, received_at, data."""


@dataclass
class _File:
    """A file's bytes on the device, and the calls that may or may not have reached it."""

    durable: bytes = b""
    pending: list[Call] = field(default_factory=list)
    failed: bool = False
    """A sync failed: the kernel may have dropped pages, and a later one would succeed and lie."""

    def now(self) -> bytes:
        """What a process sees."""
        return _after(self.durable, self.pending)


@dataclass
class Crash:
    """A disk after a crash, and what must be on it."""

    files: dict[str, bytes]
    acked: dict[int, bytes]
    """Position -> data of what was synced, and so may have been answered for."""
    written: set[Line]
    """Every record that was ever written: nothing else may be found."""
    how: str

    def lay(self, folder: Path) -> None:
        """Put the files into a folder."""
        folder.mkdir()
        for name, text in self.files.items():
            (folder / name).write_bytes(text)


class Disks:
    """Follows a log of calls, and gives the disks that a crash after any of them may leave."""

    def __init__(self, random: Random, initial: Crash | None = None) -> None:
        """`initial`: the disk that the log begins on."""
        self._random = random
        self._names: dict[str, int] = {}
        self._pending_names: list[Call] = []
        self._files: dict[int, _File] = {}
        self.acked: dict[int, bytes] = dict(initial.acked) if initial else {}
        self.written: set[Line] = set(initial.written) if initial else set()
        for number, (name, text) in enumerate(initial.files.items() if initial else (), 1):
            self._files[-number] = _File(text)
            self._names[name] = -number

    def take(self, call: Call) -> None:
        """One more call was made."""
        if call.name == "found":
            # The file that has this name for a process; it keeps its bytes under the log's number.
            number = self._name_now(call.path)
            self._names = {name: call.file if its == number else its for name, its in self._names.items()}
            self._pending_names = [
                each._replace(file=call.file) if each.file == number else each for each in self._pending_names
            ]
            self._files[call.file] = self._files.pop(number)
        elif call.name in ("create", "rename", "unlink"):
            if call.name == "create":
                self._files[call.file] = _File()
            self._pending_names.append(call)
        elif call.name == "sync_folder":
            self._names = _named(self._names, self._pending_names)
            self._pending_names = []
        else:
            self._data(self._files[call.file], call)

    def _data(self, file: _File, call: Call) -> None:
        if call.name == "sync":
            assert not file.failed, "a file was synced again after a sync of it had failed"
            if call.failed:
                file.failed = True
                return
            file.durable, file.pending = file.now(), []
            self.acked |= {
                record.position: record.data
                for _, record in segment.records(_committed(file.durable))
                if record is not None
            }
        else:
            file.pending.append(call)
            if call.name == "write":
                self.written |= {
                    (record.position, record.received_at, record.data)
                    for _, record in segment.records(file.now())
                    if record is not None
                }

    def _name_now(self, name: str) -> int:
        return _named(self._names, self._pending_names)[name]

    def killed(self) -> Crash:
        """The disk as the next process finds it, where this one died and the machine went on."""
        names = _named(self._names, self._pending_names)
        files = {name: self._files[number].now() for name, number in names.items()}
        return Crash(files, dict(self.acked), set(self.written), "the process was killed")

    def crashes(self, most: int) -> Iterator[Crash]:
        """Disks that a crash at this point may leave: the telling ones, and some at random."""
        for names, which in self._some(list(_subsets(self._pending_names)), most):
            found = _named(self._names, names)
            contents = [(name, self._contents(self._files[number])) for name, number in found.items()]
            telling = max((len(each) for _, each in contents), default=1)
            for at in self._some(list(range(telling)), most):
                files, how = {}, [which]
                for name, each in contents:
                    text, what = each[at % len(each)]
                    files[name] = text
                    how.append(f"{name}: {what}")
                yield Crash(files, dict(self.acked), set(self.written), "; ".join(how))

    def _some(self, these: list[T], most: int) -> list[T]:
        return these if len(these) <= most else self._random.sample(these, most)

    def _contents(self, file: _File) -> list[tuple[bytes, str]]:
        found = [(_after(file.durable, file.pending), "all of it")]
        if not file.pending:
            return found
        for number, call in enumerate(file.pending):
            before = _after(file.durable, file.pending[:number])
            found.append((before, f"without calls from {number}"))
            if call.name == "write":
                edge = SECTOR_BYTES - call.offset % SECTOR_BYTES
                for cut in range(edge, len(call.data), SECTOR_BYTES):
                    part = call._replace(data=call.data[:cut])
                    found.append((_after(before, [part]), f"call {number} torn at {cut}"))
        found += [(self._scattered(file), "sectors at random") for _ in range(4)]
        return found

    def _scattered(self, file: _File) -> bytes:
        """Each sector as it was at some moment since the last sync, and so the length."""
        moments = [_after(file.durable, file.pending[:number]) for number in range(len(file.pending) + 1)]
        size = len(self._random.choice(moments))
        longest = max(map(len, moments))
        text = b"".join(
            self._random.choice(moments)[at : at + SECTOR_BYTES].ljust(SECTOR_BYTES, b"\0")
            for at in range(0, longest, SECTOR_BYTES)
        )
        return text[:size]


def _committed(text: bytes) -> bytes:
    """Up to the last commit line's end: a write that came up short was synced, and answered for nothing."""
    at = text.rfind(segment.COMMIT)
    return text[: text.find(b"\n", at) + 1] if at >= 0 else b""


def _after(text: bytes, calls: Sequence[Call]) -> bytes:
    for call in calls:
        if call.name == "truncate":
            text = text[: call.offset].ljust(call.offset, b"\0")
        else:
            head = text[: call.offset].ljust(call.offset, b"\0")
            text = head + call.data + text[call.offset + len(call.data) :]
    return text


def _named(names: dict[str, int], calls: Sequence[Call]) -> dict[str, int]:
    found = dict(names)
    for call in calls:
        if call.name == "create":
            found[call.path] = call.file
        elif call.name == "unlink":
            found.pop(call.path, None)
        elif call.path in found:
            found[call.other] = found.pop(call.path)
    return found


def _subsets(calls: list[Call]) -> Iterator[tuple[list[Call], str]]:
    """Each selection of calls that may have happened, in order."""
    for size in range(len(calls) + 1):
        for chosen in combinations(calls, size):
            yield list(chosen), "names: " + (", ".join(f"{c.name} {c.path}" for c in chosen) or "as synced")
