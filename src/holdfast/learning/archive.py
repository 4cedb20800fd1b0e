"""A course's files out of a folder or a zip, before anyone looks into them.

A zip comes from outside: its names and sizes are claims. Nothing is ever written to a disk, so a
name can't reach outside; those that try are refused all the same, because such a zip was made to.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Final

from holdfast.core.errors import Rejected

MAX_FILES: Final = 2_000
MAX_UNPACKED_BYTES: Final = 200 * 1024 * 1024
MAX_RATIO: Final = 200
"""Unpacked bytes a packed byte may stand for, in files over a mebibyte; text packs 3 to 10 times."""

_BOMB_BYTES: Final = 1024 * 1024
_MAX_NAME: Final = 300
_MAX_FAULTS: Final = 50
_ENCRYPTED: Final = 0x1
_WANTED: Final = frozenset({".md", ".yaml", ".yml", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg"})

Files = dict[str, bytes]
"""Path inside the course, with forward slashes, to content; in name order."""


def refused(faults: list[str]) -> Rejected:
    """The error that lists all faults at once."""
    shown = faults[:_MAX_FAULTS]
    if len(faults) > len(shown):
        shown.append(f"and {len(faults) - len(shown)} more")
    return Rejected(
        "The course was not imported: " + "; ".join(shown) + ".",
        code="import_refused",
        hint="Mend what is named and import again; nothing was changed.",
    )


def files_of_zip(data: bytes) -> Files:
    """The files of a zip that a course can be made of. Raises Rejected `import_refused`."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            faults = _zip_faults(members)
            if faults:
                raise refused(faults)
            found = {
                member.filename: archive.read(member)
                for member in members
                if not member.is_dir() and _is_wanted(member.filename)
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as error:
        raise refused([f"the zip can't be read ({error})"]) from error
    return _without_top_folder(dict(sorted(found.items())))


def files_of_folder(folder: Path) -> Files:
    """The files of a folder that a course can be made of. Raises Rejected `import_refused`."""
    if not folder.is_dir():
        raise refused([f"{folder.name!r} is not a folder"])
    faults: list[str] = []
    found: Files = {}
    total_bytes = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not _is_wanted(name):
            continue
        if path.is_symlink():
            faults.append(f"{name!r} is a symbolic link")
            continue
        if not path.is_file():
            continue
        total_bytes += path.stat().st_size
        if len(found) >= MAX_FILES or total_bytes > MAX_UNPACKED_BYTES:
            raise refused([*faults, f"it holds more than {MAX_FILES} files or {MAX_UNPACKED_BYTES} bytes"])
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            faults.append(f"{name!r} can't be read ({error.strerror})")
    if faults:
        raise refused(faults)
    return found


def _zip_faults(members: list[zipfile.ZipInfo]) -> list[str]:
    faults: list[str] = []
    if len(members) > MAX_FILES:
        faults.append(f"the zip holds {len(members)} files, at most {MAX_FILES} are allowed")
    total_bytes = sum(member.file_size for member in members)
    if total_bytes > MAX_UNPACKED_BYTES:
        faults.append(f"the zip unpacks to {total_bytes} bytes, at most {MAX_UNPACKED_BYTES} are allowed")
    seen: set[str] = set()
    for member in members:
        why = _name_fault(member.orig_filename) or _member_fault(member)
        if why is None and member.filename in seen:
            why = "stands in the zip twice"
        seen.add(member.filename)
        if why is not None:
            faults.append(f"{member.orig_filename[:_MAX_NAME]!r} {why}")
    return faults


def _name_fault(name: str) -> str | None:
    """What is wrong with a name, as the zip has it (before the library cuts it at a NUL)."""
    if len(name) > _MAX_NAME:
        return "has a name that is too long"
    if any(ord(letter) < ord(" ") for letter in name):
        return "has a control character in its name"
    if name.startswith("/") or name[1:2] == ":":
        return "is an absolute path"
    if "\\" in name:
        return "has a backslash in its name"
    return "leads outside the zip" if ".." in name.split("/") else None


def _member_fault(member: zipfile.ZipInfo) -> str | None:
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted"
    mode = stat.S_IFMT(member.external_attr >> 16)
    if mode == stat.S_IFLNK:
        return "is a symbolic link"
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is not a plain file"
    if member.file_size > _BOMB_BYTES and member.file_size > MAX_RATIO * max(1, member.compress_size):
        return f"unpacks to more than {MAX_RATIO} times its size"
    return None


def _is_wanted(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in _WANTED and not hidden


def _without_top_folder(files: Files) -> Files:
    """A zip of a folder, as hosts of repositories make them, is the folder's content."""
    tops = {name.partition("/")[0] for name in files}
    top = next(iter(tops), "")
    if len(tops) != 1 or top in files or top == "episodes":
        return files
    return {name[len(top) + 1 :]: data for name, data in files.items()}
