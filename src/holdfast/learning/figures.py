"""Figures of a course: which files are figures, what they are called, and which SVG is let in.

An SVG is a document that can run scripts. Shown through `<img>`, as lessons do, a browser runs
none; opened by its own address it would. Two walls: an SVG with a script, a handler, embedded
HTML or entities is left out by name (cleaning it well is harder than it looks), and the route that
serves figures sends `Content-Security-Policy: sandbox` and `nosniff` with each.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final, NamedTuple
from xml.parsers import expat

from holdfast.core.errors import Rejected

MAX_FIGURE_BYTES: Final = 10 * 1024 * 1024

CONTENT_TYPES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}

_ACTIVE: Final = frozenset({"script", "foreignobject", "iframe", "object", "embed", "handler", "listener"})
_ADDRESS: Final = re.compile(r"[\s\x00-\x1f]*(?:javascript|vbscript|data\s*:\s*text)", re.IGNORECASE)


class Figure(NamedTuple):
    """One figure: its path inside the course's assets, its media type, its bytes."""

    path: str
    content_type: str
    data: bytes


def is_figure(file: str) -> bool:
    """Whether a file is one by its name."""
    return PurePosixPath(file).suffix.lower() in CONTENT_TYPES


def asset_path(file: str) -> str:
    """Where a figure's file stands among the assets: `episodes/fig/x.png` is `fig/x.png`."""
    return file.removeprefix("episodes/")


def figure_of(file: str, data: bytes) -> Figure:
    """A figure that is safe to keep. Raises Rejected that says what is wrong with it."""
    kind = PurePosixPath(file).suffix.lower()
    if len(data) > MAX_FIGURE_BYTES:
        raise Rejected(f"{file!r} is larger than {MAX_FIGURE_BYTES} bytes", code="import_refused")
    fault = _svg_fault(data) if kind == ".svg" else None
    if fault is not None:
        raise Rejected(f"{file!r} {fault}", code="import_refused")
    return Figure(asset_path(file), CONTENT_TYPES[kind], data)


class _Active(Exception):
    """Found something that can act; the text says what."""


def _svg_fault(data: bytes) -> str | None:
    """What makes an SVG unfit; None when it is a plain drawing."""
    reader = expat.ParserCreate(namespace_separator=" ")
    reader.StartElementHandler = _look_at_element
    reader.EntityDeclHandler = _refuse_entity
    reader.ProcessingInstructionHandler = _look_at_instruction
    try:
        reader.Parse(data, True)  # noqa: FBT003 - the library's own shape
    except _Active as found:
        return str(found)
    except (expat.ExpatError, LookupError, ValueError) as error:
        return f"is not readable as SVG ({error})"
    return None


def _look_at_element(name: str, attributes: dict[str, str]) -> None:
    tag = name.rpartition(" ")[2].lower()
    if tag in _ACTIVE:
        raise _Active(f"holds <{tag}>, which can act")
    for key, value in attributes.items():
        attribute = key.rpartition(" ")[2].lower()
        if attribute.startswith("on"):
            raise _Active(f"holds the handler {attribute}")
        if _ADDRESS.match(value):
            raise _Active(f"holds a script in {attribute}")
        if tag in ("set", "animate") and attribute == "attributename" and value.lower().startswith("on"):
            raise _Active(f"holds an animation of the handler {value}")


def _refuse_entity(name: str, *_rest: object) -> None:
    raise _Active(f"declares the entity {name!r}, which could hide a script or swell without end")


def _look_at_instruction(target: str, _data: str) -> None:
    if target.lower() == "xml-stylesheet":
        raise _Active("asks for a style sheet from elsewhere")
