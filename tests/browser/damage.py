"""Damage to an origin's databases on the disk, while the browser is not running."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

PAGE_BYTES = 4096


def database_files(profile: Path, port: int) -> list[Path]:
    """The files of http://127.0.0.1:<port>'s IndexedDB, either engine's, largest first."""
    folders = [each for each in (profile / "Default" / "IndexedDB").iterdir() if f"_{port}" in each.name]
    files = [each for folder in folders for each in folder.rglob("*") if each.is_file()]
    return sorted(files, key=lambda each: -each.stat().st_size)


def is_in_local_storage(profile: Path, text: str) -> bool:
    """Whether a text has reached the disk there: Chromium keeps the first of an origin's in memory for some
    five seconds, and what comes later until a minute has passed for each time it wrote."""
    folder = profile / "Default" / "Local Storage"
    spelt = (text.encode(), text.encode("utf-16-le"))
    contents = []
    for each in folder.rglob("*"):
        with suppress(FileNotFoundError):  # a running Chromium puts its files together
            contents += [each.read_bytes()] if each.is_file() else []
    return any(each in content for content in contents for each in spelt)


def _largest(profile: Path, port: int) -> Path:
    found = database_files(profile, port)
    assert found, "the origin has no database on the disk"
    assert found[0].stat().st_size > 2 * PAGE_BYTES, f"hardly anything is in {found[0]}"
    return found[0]


def zero_page(profile: Path, port: int) -> Path:
    """The page in the middle of the largest file becomes zeros, as a lost write leaves it."""
    file = _largest(profile, port)
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES)
        opened.write(b"\0" * PAGE_BYTES)
    return file


def flip(profile: Path, port: int) -> Path:
    """Sixteen bytes in the middle of the largest file have every bit turned."""
    file = _largest(profile, port)
    with file.open("r+b") as opened:
        middle = file.stat().st_size // 2
        opened.seek(middle)
        were = opened.read(16)
        opened.seek(middle)
        opened.write(bytes(each ^ 0xFF for each in were))
    return file


def cut_off(profile: Path, port: int) -> Path:
    """The second half of the largest file is gone."""
    file = _largest(profile, port)
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)
    return file


def remove(profile: Path, port: int) -> Path:
    """All of the origin's databases are gone, as after a browser made room."""
    folder = _largest(profile, port).parent
    shutil.rmtree(folder)
    return folder
