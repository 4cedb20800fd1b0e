"""What a running portal notes in its data directory, so that commands find it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec


class RunningAt(msgspec.Struct):
    """Where it listens, and which process it is."""

    url: str
    pid: int


def address_file(folder: Path) -> Path:
    """Where the note lies."""
    return folder / "run" / "portal.json"


@contextmanager
def noted(folder: Path, at: RunningAt) -> Iterator[None]:
    """Leave the note while the block lasts. A killed portal leaves it behind: its lock is the truth."""
    note = address_file(folder)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_bytes(msgspec.json.encode(at))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
