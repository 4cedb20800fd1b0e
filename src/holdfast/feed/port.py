"""The Feed port: a document per topic, told to its readers as snapshots and patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol


class Reader(Protocol):
    """Somebody who follows a topic."""

    def deliver(self, frame: bytes) -> None:
        """Take a whole SSE frame. Must neither wait nor raise, nor call the feed; may drop it."""
        ...


class Told(NamedTuple):
    """A topic as it stands: the document, and what says so."""

    seq: int
    body: bytes
    """The whole document as JSON, quiet fields as fresh as the last `publish`."""
    snapshot: bytes
    """The SSE frame that brings any reader to `seq`, whatever it knew before."""


class FeedStats(NamedTuple):
    """A feed's condition since start, from memory."""

    topics: int
    readers: int
    published: int
    """Patches made."""
    delivered: int
    """Frames handed to readers."""
    resumed: int
    """Readers that came back and got only what they missed."""
    snapshots: int
    """Readers that got the whole document."""


class Feed(Protocol):
    """Documents by topic, for one event loop.

    Topics are opaque names; whoever names them per org keeps orgs apart, for nothing of one topic
    ever reaches a reader of another. Each document gets two fields: `epoch`, another for each topic
    and with every start of the feed, and `seq`, which rises by one with each change of that topic. So
    an id of one topic means nothing in another, whoever comes with it. Order:
    a reader gets a topic's frames in the order of `seq`. Nothing is durable, nothing waits, and no
    call does I/O: the feed speaks when everything else is out.
    """

    def publish(self, topic: str, document: Mapping[str, Any], quiet: frozenset[str] = frozenset()) -> Told:
        """A topic's document from now on; readers get the difference, as an event `patch`.

        Its data is `{"base": seq before, "patch": JSON Merge Patch}`. Where only fields named in
        `quiet` differ, at any depth, nobody is told until something else does. Raises ValueError
        for a None in the document.
        """
        ...

    def now(self, topic: str) -> Told | None:
        """A topic as it stands; None before its first `publish`."""
        ...

    def join(self, topic: str, reader: Reader, last_id: str | None = None) -> bytes:
        """Follow a topic: the frames that bring the reader to now, and `deliver` from then on.

        `last_id`: the id (`epoch.seq`) of the last frame it has; what it missed is given if it is
        still at hand, else an event `snapshot` with the whole document. Raises LookupError before
        the topic's first `publish`.
        """
        ...

    def leave(self, topic: str, reader: Reader) -> None:
        """No longer follow; also for somebody who does not."""
        ...

    def readers(self, topic: str) -> int:
        """How many follow a topic."""
        ...

    def release(self, topic: str) -> None:
        """Let go of the patches that are kept for those who come back, unless somebody follows the topic.

        Its document and its number stay, so that an id of before is still understood: who missed
        something gets the whole document.
        """
        ...

    def stats(self) -> FeedStats:
        """The feed's condition."""
        ...
