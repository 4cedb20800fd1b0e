"""Log keys, named once, so that a search over logs finds every line about one thing."""

from __future__ import annotations

from typing import Final

EVENT_ID: Final = "event_id"
KIND: Final = "kind"
ORG: Final = "org_id"
ACTOR: Final = "actor_id"
POSITION: Final = "position"
LANE: Final = "lane"
CODE: Final = "code"
COUNT: Final = "count"
SEGMENT: Final = "segment"
LATENCY_MS: Final = "latency_ms"
REQUEST_ID: Final = "request_id"
