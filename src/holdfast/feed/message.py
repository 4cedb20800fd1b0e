"""SSE framing (WHATWG HTML, "Server-sent events"): an event as the bytes of one write."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_encode: Final = msgspec.json.Encoder().encode

PUSH: Final = b":\n\n"
"""An empty comment. Some virus scanners hold each event until the next bytes come
(featurehub-io/featurehub #296): these are the next bytes."""


def frame(event: str, data: Any, message_id: str | None = None, retry_ms: int | None = None) -> bytes:  # noqa: ANN401
    """An event whose `data` is one line of JSON; with `retry_ms` also how long to wait before coming back."""
    head = f"event: {event}\n"
    if message_id is not None:
        head += f"id: {message_id}\n"
    if retry_ms is not None:
        head += f"retry: {retry_ms}\n"
    body = data if isinstance(data, bytes) else _encode(data)
    return head.encode() + b"data: " + body + b"\n\n" + PUSH


def encode(document: Any) -> bytes:  # noqa: ANN401
    """A document as JSON without any line break."""
    return _encode(document)
