"""The few calls of the operating system that durability rests on, in one place.

They are a port of their own so that tests can fail them, count them, and build every disk that a
crash may leave behind.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """File calls as POSIX has them; each may raise OSError."""

    def open(self, path: Path, *, create: bool) -> int:
        """A descriptor for reading and appending; `create` refuses a file that exists."""
        ...

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Write at an offset; may write less than asked, and says how much."""
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


class OsDisk:
    """The machine's own disk."""

    def open(self, path: Path, *, create: bool) -> int:
        """Open for reading and writing, private to this user."""
        flags = os.O_RDWR | os.O_CLOEXEC
        return os.open(path, flags | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """pwrite(2)."""
        return os.pwrite(fd, data, offset)

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


def make_folder(folder: Path, disk: Disk) -> None:
    """Make the folder, and its name durable: files are as safe as the folder they are in."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        disk.sync_folder(each.parent)
