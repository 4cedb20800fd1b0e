"""What goes into a journal and what comes out: Event and Record, and the envelope they share.

The envelope is one JSON object whose first three members stand at fixed places, so that a scan
can tell id, digest and lane without parsing:

    {"id":"<36>","digest":"<8>","lane":"<lane>","orgId":"<org>", …, "body":<the sender's own bytes>}
"""

from __future__ import annotations

from typing import Final, NamedTuple

ID: Final = slice(7, 43)
DIGEST: Final = slice(55, 63)
LANE_AT: Final = 73
"""Where the lane's text begins in an envelope."""


class Event(NamedTuple):
    """One event on its way into a journal.

    `data` is the envelope: JSON on one line, in UTF-8, beginning as `envelope_head` writes it.
    The journal keeps these bytes exactly and checksums them.
    """

    id: str
    org: str
    lane: str
    digest: int
    data: bytes


class Record(NamedTuple):
    """An event as written: where, when it was received (RFC 3339 UTC), and the envelope's bytes."""

    position: int
    received_at: str
    data: bytes

    @property
    def id(self) -> str:
        """The event's id, without parsing the envelope."""
        return self.data[ID].decode()

    @property
    def digest(self) -> int:
        """The digest that tells a duplicate from a conflict, without parsing the envelope."""
        return int(self.data[DIGEST], 16)


def envelope_head(event_id: str, digest: int, lane: str, org: str) -> bytes:
    """The envelope's beginning, up to and with the org; the caller appends `,…}`.

    Ids, lanes and orgs are plain ASCII without quotes or backslashes: their owners refuse others.
    """
    return b'{"id":"%b","digest":"%08x","lane":"%b","orgId":"%b"' % (
        event_id.encode(),
        digest,
        lane.encode(),
        org.encode(),
    )
