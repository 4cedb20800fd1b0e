"""The package's source as the house's tests read it: modules, what they import, what they name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "holdfast"


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(modules()[name].read_text())


@cache
def imports(name: str) -> frozenset[str]:
    """What a module imports, type-only imports and those inside functions too; ours by their full name."""
    known = modules()
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in known else node.module)
    return frozenset(found)


def ours(name: str) -> set[str]:
    """The modules of ours that a module imports."""
    return {each for each in imports(name) if each in modules() and each != name}


def place(name: str) -> str:
    """The package or file a module stands in: `journal`, `settings`, and so on."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def words(name: str) -> Iterator[tuple[str, str]]:
    """(word, identifier) for every identifier a module makes up or uses."""
    for node in ast.walk(tree(name)):
        for field in ("name", "attr", "id", "arg", "asname"):
            identifier = getattr(node, field, None)
            if isinstance(identifier, str):
                for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier):
                    yield word.lower(), identifier
