"""Ids and positions.

An event's id is a UUID of version 7 (RFC 9562, section 5.7), minted once, by the device.
A position is a place in the journal: opaque to everyone but its engine, ordered, written as 16
digits so that text order is journal order.
"""

from __future__ import annotations

import os
import re
import time
from typing import Final

UUID_PATTERN: Final = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_UUID = re.compile(UUID_PATTERN)
ENTROPY_BYTES: Final = 10
"""What of a UUIDv7 is not time, version or variant, rounded up to bytes."""


def uuid7(at_ms: int | None = None, entropy: bytes | None = None) -> str:
    """A UUIDv7 in lower case.

    `at_ms`: milliseconds since 1970, now if left out. `entropy`: 10 bytes, random if left out;
    given bytes make an id that can be minted again, as an importer that may run twice needs.
    """
    stamp = int(time.time() * 1000) if at_ms is None else at_ms
    tail = os.urandom(10) if entropy is None else entropy
    if len(tail) != ENTROPY_BYTES or not 0 <= stamp < 1 << 48:
        raise ValueError("uuid7 takes 0 <= at_ms < 2**48 and 10 bytes of entropy")
    bits = int.from_bytes(tail, "big")
    value = stamp << 80 | 0x7 << 76 | (bits >> 68 & 0xFFF) << 64 | 0b10 << 62 | (bits & (1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in its canonical form, any version, any case."""
    return _UUID.fullmatch(text) is not None


def position_text(position: int) -> str:
    """The wire form of a position: 16 digits."""
    return f"{position:016d}"


_LOW: Final = tuple(f"{number:03d}" for number in range(1000))


def position_texts(first: int, number: int) -> list[str]:
    """The wire forms of positions that follow one another; writing each out costs four times as much."""
    found: list[str] = []
    while len(found) < number:
        thousands, low = divmod(first + len(found), 1000)
        high = f"{thousands:013d}"
        found += [high + digits for digits in _LOW[low : low + number - len(found)]]
    return found
