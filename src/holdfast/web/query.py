"""A query string as the struct that a call asks for."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from holdfast.core.errors import Rejected

_NUMBER: Final = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?\Z")


def read(shape: type, raw: bytes) -> Any:  # noqa: ANN401 - what `shape` says
    """The query as a `shape`. Raises Rejected `malformed` or `invalid`, which names the field."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=50
        )
    except (ValueError, UnicodeDecodeError):
        raise Rejected("the query string can't be read", code="malformed") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise Rejected(f"the query names {name!r} twice", code="invalid")
        if name in _times(shape) and _NUMBER.match(value):
            # Read as leniently as a query has to be, a number would pass for seconds since 1970.
            raise Rejected(
                f"the query's {name!r} is no time", code="invalid", hint="Write it as RFC 3339 does."
            )
        values[name] = value
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as fault:
        raise Rejected(f"the query is not right: {fault}", code="invalid") from None


@cache
def _times(shape: type) -> frozenset[str]:
    """The fields of a query that are points in time."""
    found = msgspec.inspect.type_info(shape)
    assert isinstance(found, msgspec.inspect.StructType)  # noqa: S101 - every query is one
    return frozenset(field.encode_name for field in found.fields if _holds_time(field.type))


def _holds_time(kind: msgspec.inspect.Type) -> bool:
    if isinstance(kind, msgspec.inspect.UnionType):
        return any(map(_holds_time, kind.types))
    return isinstance(kind, msgspec.inspect.DateTimeType)
