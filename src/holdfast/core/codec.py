"""The one canonical JSON, and the one checksum.

Canonical: UTF-8, keys in code point order, no spaces, no NaN (RFC 8785 in spirit; numbers are
written as Python writes them). Used wherever two parties must arrive at the same bytes.
"""

from __future__ import annotations

import json
import zlib
from typing import Any


def canonical(value: Any) -> bytes:  # noqa: ANN401 - JSON is anything by nature
    """The canonical bytes of a JSON value."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def checksum(data: bytes) -> str:
    """CRC-32 (IEEE 802.3, as in zlib) as 8 hex digits."""
    return f"{zlib.crc32(data):08x}"
