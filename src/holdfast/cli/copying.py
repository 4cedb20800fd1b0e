"""A whole copy of a data directory, made beside a running portal; and putting one back.

The store is copied first, in one snapshot, and the journal after it up to a commit: so the copy's
journal is never older than its store, and a portal that is started on it catches up by itself.
"""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from holdfast import __version__
from holdfast.core.clock import SystemClock, rfc3339
from holdfast.core.errors import Conflict, Corrupt, Rejected
from holdfast.journal import archive
from holdfast.journal.reader import Place
from holdfast.journal.recovery import look
from holdfast.settings import Settings
from holdfast.wiring import copy_store

LIST: Final = "backup.json"
_CHUNK: Final = 1 << 20


class Copied(msgspec.Struct, rename="camel"):
    """One file of a copy."""

    name: str
    bytes: int
    sha256: str


class Backup(msgspec.Struct, rename="camel"):
    """What a copy holds; it lies in it as `backup.json`, written last."""

    made_at: str
    version: str
    head: int
    """The last position in the copied journal."""
    files: list[Copied]
    away: list[str] = []
    """Archived segments that were not there to be copied: the copy holds their notes alone."""


def back_up(settings: Settings, to: Path) -> Backup:
    """Copy a data directory into a new folder. Raises Conflict when there is something in it.

    Works beside a running portal and without one. Every file is on the disk before this returns.
    """
    if to.exists() and any(to.iterdir()):
        raise Conflict(f"{to} is not empty", hint="Name a folder that is not there yet.")
    source = settings.folder
    if not (source / "store.sqlite3").exists():
        raise Rejected(f"there is no portal's data in {source}", code="not_found")
    (to / "logs").mkdir(parents=True, exist_ok=True)
    to.chmod(0o700)
    names = ["store.sqlite3"]
    copy_store(settings, to / "store.sqlite3")
    head, away = 0, []
    for place in look(source / "logs"):
        note = archive.note_path(source / "logs", place.first)
        if archive.is_archived(place.path) and note.exists():
            shutil.copyfile(note, to / "logs" / note.name)
            names.append(f"logs/{note.name}")
        name = str(place.path.relative_to(source))
        try:
            _copy_segment(source / "logs", place, to / name)
        except Corrupt as fault:
            if fault.code != "archive_away":
                raise
            away.append(name)
            continue
        names.append(name)
        head = max(head, place.last)
    if (source / "secret.key").exists():
        shutil.copyfile(source / "secret.key", to / "secret.key")
        (to / "secret.key").chmod(0o600)
        names.append("secret.key")
    made = Backup(
        rfc3339(SystemClock().now_s()), __version__, head, [_copied(to, name) for name in names], away
    )
    (to / LIST).write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    for path in (*(to / name for name in (*names, LIST)), *_folders(to)):
        _sync(path)
    return made


def put_back(copy: Path, to: Path) -> Backup:
    """Check a copy, and lay it into a folder that holds no portal yet.

    Raises Rejected when the folder is no copy, Corrupt when a file is not what it was, Conflict when
    there is something where it shall go.
    """
    try:
        made = msgspec.json.decode((copy / LIST).read_bytes(), type=Backup)
    except (OSError, msgspec.DecodeError) as fault:
        raise Rejected(f"{copy} is no copy that `holdfast backup` finished", code="not_found") from fault
    for known in made.files:
        path = copy / known.name
        if not path.exists() or _copied(copy, known.name) != known:
            raise Corrupt(
                f"{known.name} is not what was copied", hint="Use another copy; keep this one for a look."
            )
    if to.exists() and any(to.iterdir()):
        raise Conflict(f"{to} is not empty", hint="Move what lies there aside first; do not delete it.")
    (to / "logs").mkdir(parents=True, exist_ok=True)
    to.chmod(0o700)
    for known in made.files:
        (to / known.name).parent.mkdir(exist_ok=True)
        shutil.copyfile(copy / known.name, to / known.name)
        (to / known.name).chmod(0o600)
        _sync(to / known.name)
    for path in _folders(to):
        _sync(path)
    return made


def _copy_segment(logs: Path, place: Place, to: Path) -> None:
    """Copy a segment, which may have been sealed or archived meanwhile. Raises Corrupt."""
    to.parent.mkdir(exist_ok=True)
    fd = archive.opened(logs, place.path, place.first, place.last)
    with os.fdopen(fd, "rb") as read, to.open("wb") as write:
        left = place.end_bytes
        while left > 0:
            part = read.read(min(_CHUNK, left))
            if not part:
                raise Corrupt(f"{to.name} ends before its last commit")
            write.write(part)
            left -= len(part)


def _folders(root: Path) -> list[Path]:
    kept = root / "logs" / archive.FOLDER
    return [*([kept] if kept.exists() else []), root / "logs", root, root.parent]


def _copied(folder: Path, name: str) -> Copied:
    digest, size = sha256(), 0
    with (folder / name).open("rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
            size += len(part)
    return Copied(name, size, digest.hexdigest())


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
