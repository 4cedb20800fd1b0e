"""Disks for tests: one that fails when told to, one that remembers every call, one that hurries."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from holdfast.journal.disk import OsDisk, Unsynced


class QuickDisk(OsDisk):
    """The machine's disk without its syncs, for tests that only look at what bytes say."""

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """Write, and trust the page cache."""
        return self.write(fd, b"".join(parts), offset)

    def sync(self, fd: int) -> None:
        """Trust the page cache."""

    def sync_folder(self, path: Path) -> None:
        """Trust the page cache."""


class FailingDisk(OsDisk):
    """Fails the calls that `plan` says: it gets a call's name and number (from 1) and may raise.

    A plan may also return a number: a write then writes only that many bytes. A write that syncs is
    a `write` to the plan, and then a `sync`.
    """

    def __init__(self, plan: Callable[[str, int], int | None] = lambda _, __: None) -> None:
        """`plan` may be replaced at any time."""
        self.plan = plan
        self.calls: dict[str, int] = {}
        self.synced: list[int] = []
        """The descriptors whose sync was asked for, in order."""

    def _ask(self, name: str) -> int | None:
        self.calls[name] = self.calls.get(name, 0) + 1
        return self.plan(name, self.calls[name])

    def open(self, path: Path, *, create: bool) -> int:
        """Ask, then open."""
        self._ask("create" if create else "open")
        return super().open(path, create=create)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Ask, then write all or as much as the plan says."""
        most = self._ask("write")
        if most is None:
            return super().write(fd, data, offset)
        return super().write(fd, data[:most], offset) if most else 0

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """Ask twice, then write and sync; a sync that is to fail leaves what was written in the file."""
        most = self._ask("write")
        if most == 0:
            return 0
        if most is not None:
            parts = [b"".join(parts)[:most]]
        self.synced.append(fd)
        try:
            self._ask("sync")
        except OSError as fault:
            super().write(fd, b"".join(parts), offset)
            raise Unsynced(fault.errno, fault.strerror) from fault
        return super().write_synced(fd, parts, offset)

    def sync(self, fd: int) -> None:
        """Ask, then sync."""
        self.synced.append(fd)
        self._ask("sync")
        super().sync(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Ask, then cut."""
        self._ask("truncate")
        super().truncate(fd, size)

    def rename(self, old: Path, new: Path) -> None:
        """Ask, then rename."""
        self._ask("rename")
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        """Ask, then remove."""
        self._ask("unlink")
        super().unlink(path)

    def sync_folder(self, path: Path) -> None:
        """Ask, then sync."""
        self._ask("sync_folder")
        super().sync_folder(path)

    def close(self, fd: int) -> None:
        """Ask, then close."""
        self._ask("close")
        super().close(fd)


def fail(number: int) -> OSError:
    """An error as the system words it."""
    return OSError(number, os.strerror(number))


def failing(
    *names: str, code: int = errno.EIO, first: int = 1, times: int = 10**9
) -> Callable[[str, int], None]:
    """A plan that fails calls of these names, from the `first` on, so many `times`."""

    def plan(name: str, number: int) -> None:
        if name in names and first <= number < first + times:
            raise fail(code)

    return plan


class Call(NamedTuple):
    """One call as it was made, of those that change a disk; `found` gives a file that was there a number."""

    name: str
    path: str = ""
    other: str = ""
    """A rename's new name."""
    file: int = 0
    """Which file it was, however it is named."""
    offset: int = 0
    data: bytes = b""
    failed: bool = False


class RecordingDisk(FailingDisk):
    """Remembers every call that changes the disk, in order; can fail some of them too."""

    def __init__(self, plan: Callable[[str, int], int | None] = lambda _, __: None, known: int = 0) -> None:
        """Nothing is recorded yet; `known`: how many files an earlier life's log has given numbers."""
        super().__init__(plan)
        self.log: list[Call] = []
        self._files: dict[int, int] = {}
        self._next = known

    def open(self, path: Path, *, create: bool) -> int:
        """Open, and note which file it is."""
        fd = super().open(path, create=create)
        inode = os.fstat(fd).st_ino
        if create or inode not in self._files:
            self._next += 1
            self._files[inode] = self._next
            self.log.append(Call("create" if create else "found", path.name, file=self._next))
        return fd

    def _file(self, fd: int) -> int:
        return self._files[os.fstat(fd).st_ino]

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Write, and note what was written."""
        wrote = super().write(fd, data, offset)
        self.log.append(Call("write", file=self._file(fd), offset=offset, data=bytes(data[:wrote])))
        return wrote

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """Write and sync, and note both: a crash may fall between them."""
        data, file = b"".join(parts), self._file(fd)
        try:
            wrote = super().write_synced(fd, parts, offset)
        except Unsynced:
            left = os.fstat(fd).st_size - offset
            self.log.append(Call("write", file=file, offset=offset, data=data[:left]))
            self.log.append(Call("sync", file=file, failed=True))
            raise
        if wrote:
            self.log.append(Call("write", file=file, offset=offset, data=data[:wrote]))
            self.log.append(Call("sync", file=file))
        return wrote

    def sync(self, fd: int) -> None:
        """Sync, and note it; a failed one makes nothing durable."""
        try:
            super().sync(fd)
        except OSError:
            self.log.append(Call("sync", file=self._file(fd), failed=True))
            raise
        self.log.append(Call("sync", file=self._file(fd)))

    def truncate(self, fd: int, size: int) -> None:
        """Cut, and note where."""
        super().truncate(fd, size)
        self.log.append(Call("truncate", file=self._file(fd), offset=size))

    def rename(self, old: Path, new: Path) -> None:
        """Rename, and note both names."""
        super().rename(old, new)
        self.log.append(Call("rename", old.name, new.name))

    def unlink(self, path: Path) -> None:
        """Remove, and note it if there was something."""
        there = path.exists()
        super().unlink(path)
        if there:
            self.log.append(Call("unlink", path.name))

    def sync_folder(self, path: Path) -> None:
        """Sync, and note it."""
        super().sync_folder(path)
        self.log.append(Call("sync_folder"))
