"""Error families as problem documents (RFC 9457), with Retry-After where waiting helps."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from holdfast.core.errors import CODES, HoldfastError

UNAUTHORIZED: Final = 401
MEDIA_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, rename="camel", omit_defaults=True):
    """A problem document. `type` is a tag that names the code; `title` says what the code means."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    hint: str = ""
    retry_after_s: float | None = None


def problem(error: HoldfastError) -> Problem:
    """The document of an error."""
    return Problem(
        type=f"tag:holdfast,2026:{error.code}",
        title=CODES[error.code][1],
        status=error.status,
        code=error.code,
        detail=error.message,
        hint=error.hint,
        retry_after_s=error.retry_s,
    )


def headers(error: HoldfastError) -> list[tuple[bytes, bytes]]:
    """The headers that go with it: Retry-After in whole seconds, WWW-Authenticate with a 401."""
    found: list[tuple[bytes, bytes]] = []
    if error.retry_s is not None:
        found.append((b"retry-after", str(max(1, math.ceil(error.retry_s))).encode()))
    if error.status == UNAUTHORIZED:
        found.append((b"www-authenticate", b'Bearer realm="holdfast"'))
    return found
