"""What `holdfast doctor` looks at, one question a function. Nothing here changes anything that stays."""

from __future__ import annotations

import os
import platform
import sqlite3
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Final, Literal

import httpx2
import msgspec

from holdfast import __version__
from holdfast.access.keys import SECRET_BYTES
from holdfast.cli import ground
from holdfast.cli.desk import is_held, running_at
from holdfast.core.clock import parse_rfc3339, rfc3339
from holdfast.core.errors import HoldfastError, Misconfigured, Rejected
from holdfast.events import marks
from holdfast.journal import archive, segment
from holdfast.journal.reader import Place
from holdfast.journal.recovery import look
from holdfast.settings import Settings
from holdfast.wiring import read_store

SLOW_MS: Final = 25.0
"""A sync that takes longer is felt by whoever waits for a receipt."""
TOO_SLOW_MS: Final = 250.0
HARDLY_MS: Final = 0.02
"""No disk syncs in less: something in between says yes without doing it."""
SYNCS: Final = 50
SKEW_S: Final = 300.0
DAY_S: Final = 86_400.0
BUILT: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock before this is wrong for certain."""
OLDEST_SQLITE: Final = (3, 38, 0)
"""The first with JSON functions built in, which replays need."""
REMOTE: Final = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p")
FLEETING: Final = ("tmpfs", "ramfs")

_STRAY: Final = "An earlier version's commands made one where the setting was not loaded: move it away."

Verdict = Literal["good", "look", "mend"]


class Look(msgspec.Struct, rename="camel"):
    """One thing looked at: `mend` must be mended, `look` should be looked at, `good` is."""

    what: str
    verdict: Verdict
    found: str
    mend: str = ""


def examine(settings: Settings, user_id: int) -> Iterator[Look]:
    """Everything, in the order it matters. `user_id`: who asks, and so who will run the portal."""
    folder = settings.folder
    yield from _mode(settings)
    if not folder.is_dir():
        parent = next(each for each in folder.resolve().parents if each.exists())
        if os.access(parent, os.W_OK):
            yield Look("data directory", "look", f"{folder} is not there yet", "The first start makes it.")
        else:
            yield Look("data directory", "mend", f"{folder} is not there, and can't be made",
                       f"Make it, or make {parent} writable.")  # fmt: skip
        return
    yield from _folder(folder, user_id)
    yield from _keys(settings)
    yield from _sync(folder)
    places = _places(folder)
    yield from _archive(places)
    yield from _space(settings, places)
    yield from _clock(places)
    yield from _versions(settings, places)
    yield from _portal(settings)


def _mode(settings: Settings) -> Iterator[Look]:
    before = ground.started(settings.folder)
    if settings.demo and before is not None and not before.demo:
        found = "a demonstration here, and the portal in this folder is none: its settings are not loaded"
        yield Look("mode", "mend", found, ground.LOAD)
    elif settings.demo:
        mend = "For real use set HOLDFAST_ENV=production, HOLDFAST_DATA_DIR and HOLDFAST_SECRET_KEY."
        yield Look("mode", "look", "a demonstration: demo accounts work", mend)
    else:
        yield Look("mode", "good", "no demo accounts, no made-up keys")
    if settings.env == "production" and not settings.secure_cookies:
        yield Look(
            "cookies", "look", "sessions also go over plain HTTP", "Behind TLS: HOLDFAST_SECURE_COOKIES=on."
        )


def _folder(folder: Path, user_id: int) -> Iterator[Look]:
    for name in ("", "store.sqlite3", "logs"):
        path = folder / name
        if not path.exists():
            continue
        if not os.access(path, os.R_OK | os.W_OK):
            yield Look("rights", "mend", f"{path} can't be read and written", "Give it to the portal's user.")
            return
        if path.stat().st_uid not in (user_id, 0) and user_id != 0:
            yield Look("rights", "look", f"{path} is another user's", "Run this as the portal's user.")
    yield Look("rights", "good", "everything can be read and written")
    kind = file_system(folder)
    if kind in FLEETING:
        yield Look("file system", "mend", f"{kind}: what is on it is gone after a restart", "Use a disk.")
    elif kind in REMOTE:
        mend = "Use a disk of this machine: locks and syncs over a network are not what they seem."
        yield Look("file system", "mend", f"{kind}: another machine's", mend)
    else:
        yield Look("file system", "good", kind or "not known here")


def file_system(path: Path) -> str:
    """The type of the file system a path is on, as the kernel names it; empty where that can't be told."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    best = ("", "")
    at = str(path.resolve())
    for line in lines:
        words = line.split()
        mount = words[1].replace("\\040", " ")
        inside = at == mount or at.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, words[2])
    return best[1]


def _keys(settings: Settings) -> Iterator[Look]:
    path = settings.folder / "secret.key"
    if settings.secret_key is not None:
        what = "HOLDFAST_SECRET_KEY"
        yield _the_same_key(settings) or Look("keys", "good", f"{what} is set and long enough")
        if path.exists():
            yield Look("stray key", "look", f"{path.name} is there too, and {what} goes before it", _STRAY)
        return
    if not path.exists() and ground.is_there(settings.folder):
        yield Look("keys", "mend", "there is a store and no key for it", ground.LOAD)
        return
    if not path.exists():
        yield Look("keys", "look", "no secret yet", "The first start makes one; keep a copy of it.")
        return
    try:
        size = len(path.read_bytes().strip())
    except OSError as fault:
        yield Look(
            "keys", "mend", f"{path.name} can't be read: {fault.strerror}", "Give it to the portal's user."
        )
        return
    if size < SECRET_BYTES:
        yield Look("keys", "mend", f"{path.name} holds {size} bytes", "Put it back from a copy.")
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield Look("keys", "mend", f"{path.name} can be read by others", f"chmod 600 {path}")
    else:
        yield _the_same_key(settings) or Look("keys", "good", f"{path.name} is there, and its owner's only")


def _the_same_key(settings: Settings) -> Look | None:
    """What is wrong with a key that is not the one the portal was last started with."""
    try:
        ground.keys_of(settings)
    except Misconfigured as fault:
        return Look("keys", "mend", fault.message, fault.hint)
    except Rejected:
        return None  # no portal yet: nothing was started with another
    return None


def _sync(folder: Path) -> Iterator[Look]:
    """Measure what a receipt waits for: 4 KiB appended and synced."""
    path = (folder / "logs" if (folder / "logs").is_dir() else folder) / f".doctor-{os.getpid()}"
    times: list[float] = []
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for _ in range(SYNCS):
                os.write(fd, b"x" * 4096)
                began = time.perf_counter()
                os.fdatasync(fd)
                times.append((time.perf_counter() - began) * 1000)
        finally:
            os.close(fd)
            path.unlink()
    except OSError as fault:
        yield Look(
            "sync", "mend", f"the disk refused: {fault.strerror}", "See docs/runbooks/journal-unwritable.md."
        )
        return
    cuts = quantiles(times, n=100)
    found = f"{cuts[49]:.2f} ms in the middle, {cuts[94]:.2f} ms for the slowest of twenty"
    if cuts[49] > TOO_SLOW_MS:
        yield Look("sync", "mend", found, "Receipts wait for this: use another disk.")
    elif cuts[94] > SLOW_MS:
        yield Look("sync", "look", found, "Something else uses the disk, or it is a slow one: iostat -x 1.")
    elif cuts[49] < HARDLY_MS:
        yield Look("sync", "look", found, "No disk is that fast: find out what answers in its place.")
    else:
        yield Look("sync", "good", found)


def _places(folder: Path) -> list[Place]:
    try:
        return look(folder / "logs") if (folder / "logs").is_dir() else []
    except OSError:
        return []


def _archive(places: list[Place]) -> Iterator[Look]:
    archived = [each for each in places if archive.is_archived(each.path)]
    away = [each for each in archived if not each.path.exists()]
    if away:
        found = f"{len(away)} of {len(archived)} archived segments are not there, such as {away[0].path.name}"
        mend = (
            "Mount the archive's volume, or copy them back: until then there is no proof, rebuild or erasure."
        )
        yield Look("archive", "mend", found, mend)
    elif archived:
        yield Look("archive", "good", f"{len(archived)} segments are archived, and all of them are there")


def _space(settings: Settings, places: list[Place]) -> Iterator[Look]:
    # The marks are on the journal's volume, which need not be the store's.
    logs = settings.folder / "logs"
    room = os.statvfs(logs if logs.is_dir() else settings.folder)
    free = room.f_bavail * room.f_frsize
    found = f"{free >> 20:,} MiB are free"
    rate = bytes_a_day(places, time.time())
    if rate > 0:
        # The store grows with the journal, by about as much.
        days = max(0, free - settings.disk_high_bytes) / (2 * rate)
        found += f"; at the present rate ({rate / 2**20:,.1f} MiB of journal a day) for {days:,.0f} days"
        if days < 7:  # noqa: PLR2004 - a week is what getting a disk may take
            yield Look("space", "mend", found, "Make room or enlarge the volume within the week.")
            return
    if free < settings.disk_high_bytes:
        yield Look("space", "mend", found, "See docs/runbooks/disk-filling.md.")
    elif free < settings.disk_soft_bytes:
        yield Look("space", "look", found, "Analytics wait already: make room.")
    else:
        yield Look("space", "good", found)
    if room.f_files and room.f_favail * 100 < room.f_files:
        yield Look(
            "space", "mend", "the volume is out of inodes", "Remove small files that are not the portal's."
        )


def bytes_a_day(places: list[Place], now_s: float) -> float:
    """How fast the journal grew over its last day at least, by when its segments were begun."""
    grown = 0
    for place in reversed(places):
        grown += place.end_bytes
        begun = _begun(place)
        if begun is not None and now_s - begun >= DAY_S:
            return grown / ((now_s - begun) / DAY_S)
    return 0.0


def _begun(place: Place) -> float | None:
    header = place.header
    if header is None:
        with place.path.open("rb") as file:
            header = segment.parse_header(file.readline(4096).rstrip(b"\n"))
    return None if header is None else parse_rfc3339(header.created_at)


def _clock(places: list[Place]) -> Iterator[Look]:
    now_s = time.time()
    said = rfc3339(now_s)
    begun = _begun(places[-1]) if places else None
    if now_s < BUILT.timestamp():
        yield Look("clock", "mend", f"it says {said}", "Set it, and keep it by NTP.")
    elif begun is not None and begun > now_s + SKEW_S:
        found = f"it says {said}, and the journal was begun at {rfc3339(begun)}"
        yield Look("clock", "mend", found, "One of the two was wrong: set it, and keep it by NTP.")
    else:
        yield Look("clock", "good", f"it says {said}")


def _versions(settings: Settings, places: list[Place]) -> Iterator[Look]:
    found = f"Holdfast {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        yield Look("versions", "mend", found, "Replays and proofs need SQLite 3.38 or newer.")
    else:
        yield Look("versions", "good", found)
    path = settings.folder / "store.sqlite3"
    if not path.exists():
        return
    try:
        with read_store(settings) as tx:
            held = marks.cursors(tx)
    except HoldfastError as fault:
        yield Look("store", "mend", fault.message, fault.hint or "See docs/runbooks/store-out.md.")
        return
    furthest = max(held.values(), default=0)
    head = max((each.last for each in places), default=0)
    # The journal was looked at first: a portal that runs may have come further since.
    if furthest > head and not is_held(settings.folder):
        found = f"it has come to position {furthest}, and the journal ends at {head}"
        mend = "The journal is an older copy: put the newer one back before the portal is started."
        yield Look("store", "mend", found, mend)
    else:
        yield Look("store", "good", f"it answers; it has come to position {furthest}")


def _portal(settings: Settings) -> Iterator[Look]:
    if not is_held(settings.folder):
        yield Look("portal", "look", "none runs on this folder", "holdfast serve --data …")
        return
    try:
        url = running_at(settings.folder).url
        answer = httpx2.get(f"{url}/readyz", timeout=5.0)
    except (HoldfastError, httpx2.HTTPError) as fault:
        yield Look(
            "portal", "mend", f"one holds the folder and does not answer: {fault}", "Look into its log."
        )
        return
    verdict: Verdict = "good" if answer.is_success else "mend"
    yield Look(
        "portal",
        verdict,
        f"{url} answers {answer.status_code}",
        "" if answer.is_success else "/api/health says why.",
    )
