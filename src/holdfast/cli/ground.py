"""Whether a command stands on the portal that is meant: its folder, its mode and its key.

A command's environment is not the portal's: a shell on the server has none of the unit's settings.
By the wrong key it would be refused, or sign what nobody takes; by the wrong mode it would put demo
accounts into a school. So a portal notes in its folder what it was started with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import structlog

from holdfast.access.keys import Keys, fingerprint
from holdfast.core.errors import Misconfigured, Rejected
from holdfast.settings import Settings
from holdfast.wiring import make_keys

log = structlog.get_logger(__name__)

LOAD: Final = (
    "Load the settings that the portal runs with, such as: set -a; . /etc/holdfast/secret; set +a "
    "(see docs/runbooks/index.md)."
)
"""The mend, wherever a command has not the portal's settings."""


class Started(msgspec.Struct, rename="camel"):
    """What the portal of a folder was last started with."""

    demo: bool
    key: str
    """Tells its key from others, and gives nothing of it away."""


def _path(folder: Path) -> Path:
    return folder / "run" / "started.json"


def started(folder: Path) -> Started | None:
    """What the portal there was last started with; None when that is not known."""
    try:
        return msgspec.json.decode(_path(folder).read_bytes(), type=Started)
    except (OSError, msgspec.DecodeError):
        return None


def note_start(settings: Settings) -> None:
    """Note what the portal of this folder is started with. A note that can't be written stops no start."""
    now = Started(settings.demo, fingerprint(make_keys(settings)))
    if started(settings.folder) == now:
        return
    path = _path(settings.folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(now) + b"\n")
    except OSError as fault:
        log.warning("what the portal was started with is not noted", reason=fault.strerror)


def is_there(folder: Path) -> bool:
    """Whether a folder holds a portal's data: its store or its journal."""
    return (folder / "store.sqlite3").exists() or any((folder / "logs").glob("**/offline-sync*.jsonl"))


def require_portal(settings: Settings) -> None:
    """Raise Rejected `not_found` when the folder holds no portal's data."""
    if not is_there(settings.folder):
        raise Rejected(
            f"there is no portal's data in {settings.folder}",
            code="not_found",
            hint="Is it the right folder? `holdfast serve --data …` begins a new portal in it.",
        )


def require_start(settings: Settings) -> None:
    """Raise Misconfigured when a portal's data may not be opened with these settings by who begins anew."""
    before = started(settings.folder)
    if before is None:
        if is_there(settings.folder):
            _require_a_key(settings)
    else:
        _require_mode(settings, before)


def keys_of(settings: Settings) -> Keys:
    """The keys of a folder's portal, which are never made up here.

    Raises Rejected `not_found`, Misconfigured `setting_missing` or `setting_invalid` with the mend.
    """
    require_portal(settings)
    before = started(settings.folder)
    if before is not None:
        _require_mode(settings, before)
    _require_a_key(settings)
    keys = make_keys(settings)
    if before is not None and before.key != fingerprint(keys):
        which = "HOLDFAST_SECRET_KEY" if settings.secret_key is not None else "secret.key"
        raise Misconfigured(
            f"{which} is not the key that the portal in {settings.folder} was last started with", hint=LOAD
        )
    return keys


def _require_mode(settings: Settings, before: Started) -> None:
    if settings.demo and not before.demo:
        raise Misconfigured(
            f"the portal in {settings.folder} is no demonstration, and DEV_FALLBACK is on here",
            code="setting_missing",
            hint=LOAD,
        )


def _require_a_key(settings: Settings) -> None:
    if settings.secret_key is None and not (settings.folder / "secret.key").exists():
        raise Misconfigured(
            f"HOLDFAST_SECRET_KEY is not set, and there is no secret.key in {settings.folder}",
            code="setting_missing",
            hint=LOAD,
        )
