"""JSON Merge Patch (RFC 7396): what changed between two documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def difference(old: Document, new: Document) -> dict[str, Any]:
    """The patch that makes `new` out of `old`; empty when they are equal.

    Lists are replaced whole. Raises ValueError for a None in `new`: in a patch that means "gone",
    so a document that holds one can't be told.
    """
    found: dict[str, Any] = dict.fromkeys(key for key in old if key not in new)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = difference(before, value)
            if inner:
                found[key] = inner
        elif before != value or type(before) is not type(value):
            _tellable(key, value)
            found[key] = value
    return found


def merged(document: Any, patch: Any) -> Any:  # noqa: ANN401 - RFC 7396 is defined over any JSON
    """A document with a patch applied: what a reader does."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def is_loud(patch: Document, quiet: frozenset[str]) -> bool:
    """Whether a patch changes more than fields of these names, at any depth."""
    return any(
        is_loud(value, quiet) if isinstance(value, dict) and value else key not in quiet
        for key, value in patch.items()
    )


def _tellable(key: str, value: Any) -> None:  # noqa: ANN401
    if value is None:
        raise ValueError(f"{key!r} is None: leave it out, a merge patch can't say it")
    if isinstance(value, dict):
        for inner, each in value.items():
            _tellable(f"{key}.{inner}", each)
