"""The few calls of the operating system that durability rests on, in one place.

They are a port of their own so that tests can fail them, count them, and build every disk that a
crash may leave behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from holdfast.core.errors import Conflict


class Unsynced(OSError):
    """A file took bytes, and they may not be on the device: what a failed sync means."""


class Disk(Protocol):
    """File calls as POSIX has them; each may raise OSError."""

    def open(self, path: Path, *, create: bool) -> int:
        """A descriptor for reading and appending; `create` refuses a file that exists."""
        ...

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Write at an offset; may write less than asked, and says how much."""
        ...

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """Write parts, one after another, at a file's end, and return when they are on the device.

        May write less than asked, and says how much; so much is on the device. Raises Unsynced when
        the file may have taken some of it and the device may not, and another OSError only when the
        file is as it was.
        """
        ...

    def sync(self, fd: int) -> None:
        """Return when the file's data, and the size needed to read it, are on the device."""
        ...

    def truncate(self, fd: int, size: int) -> None:
        """Cut the file."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Give a file its name, atomically."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Return when the folder's names are on the device (redis/redis #3487: a rename alone isn't)."""
        ...

    def close(self, fd: int) -> None:
        """Let go of a descriptor."""
        ...


_MOST_PARTS: Final = 1024
"""IOV_MAX on Linux: with more, pwritev(2) fails."""
_NOT_KNOWN: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""How a kernel or a file system refuses a flag it does not know."""


class OsDisk:
    """The machine's own disk."""

    at_once: bool = hasattr(os, "RWF_DSYNC")
    """Whether to write and sync in one call. Python's lock is then waited for once and not twice."""

    def open(self, path: Path, *, create: bool) -> int:
        """Open for reading and writing, private to this user."""
        flags = os.O_RDWR | os.O_CLOEXEC
        return os.open(path, flags | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """pwrite(2)."""
        return os.pwrite(fd, data, offset)

    def write_synced(self, fd: int, parts: Sequence[bytes], offset: int) -> int:
        """pwritev(2) with RWF_DSYNC; where that is not known, pwrite(2) and fdatasync(2)."""
        if self.at_once:
            try:
                return os.pwritev(fd, parts[:_MOST_PARTS], offset, os.RWF_DSYNC)
            except OSError as fault:
                if _may_have_grown(fd, offset):
                    raise Unsynced(fault.errno, fault.strerror) from fault
                if fault.errno not in _NOT_KNOWN:
                    raise
                self.at_once = False
        wrote = os.pwrite(fd, b"".join(parts), offset)
        try:
            os.fdatasync(fd)
        except OSError as fault:
            raise Unsynced(fault.errno, fault.strerror) from fault
        return wrote

    def sync(self, fd: int) -> None:
        """fdatasync(2)."""
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        """ftruncate(2)."""
        os.ftruncate(fd, size)

    def rename(self, old: Path, new: Path) -> None:
        """rename(2)."""
        old.rename(new)

    def unlink(self, path: Path) -> None:
        """unlink(2), content with a file that is not there."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """fsync(2) on the folder."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def close(self, fd: int) -> None:
        """close(2)."""
        os.close(fd)


def _may_have_grown(fd: int, size: int) -> bool:
    """Whether a file is longer than it was: a write that was refused leaves its size alone."""
    try:
        return os.fstat(fd).st_size > size
    except OSError:
        return True


def rest_of(parts: list[bytes], wrote: int) -> list[bytes]:
    """What is left to write; nearly always nothing."""
    if wrote == sum(map(len, parts)):
        return []
    return [b"".join(parts)[wrote:]]


def make_folder(folder: Path, disk: Disk) -> None:
    """Make the folder, and its name durable: files are as safe as the folder they are in."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        disk.sync_folder(each.parent)


def lock_folder(folder: Path) -> int:
    """Become the folder's only writer, for as long as the descriptor is open; see `FileJournal`."""
    fd = os.open(folder / "offline-sync.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Conflict(
            f"another process writes the journal in {folder}",
            code="store_in_use",
            hint="Stop the portal that runs on this data directory, or use its API.",
        ) from None
    return fd
