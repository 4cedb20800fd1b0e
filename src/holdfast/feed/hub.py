"""The in-process feed: a ring of the last patches per topic, encoded once for all readers."""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from holdfast.feed.message import PUSH, encode, frame
from holdfast.feed.patch import difference, is_loud
from holdfast.feed.port import FeedStats, Reader, Told

RING: Final = 256
RING_BYTES: Final = 256 << 10
"""Most patches, and most bytes of them, that are kept per topic for those who come back."""


class _Topic:
    """One document and who follows it."""

    __slots__ = ("body", "document", "epoch", "readers", "ring", "ring_bytes", "seq", "snapshot")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.seq = 0
        self.document: dict[str, Any] = {}
        """As readers have it: quiet fields may be older than in `body`."""
        self.body = b""
        self.snapshot: bytes | None = None
        self.ring: deque[tuple[int, bytes]] = deque()
        self.ring_bytes = 0
        self.readers: dict[Reader, None] = {}

    def keep(self, patch: bytes) -> None:
        self.ring.append((self.seq, patch))
        self.ring_bytes += len(patch)
        while len(self.ring) > RING or self.ring_bytes > RING_BYTES:
            self.ring_bytes -= len(self.ring.popleft()[1])

    def forget(self) -> None:
        self.ring.clear()
        self.ring_bytes = 0
        self.snapshot = None


class Hub:
    """A feed in this process; see the port."""

    def __init__(self) -> None:
        """Empty. What epochs are made of is drawn, so that no two starts can share one."""
        self._secret = secrets.token_bytes(16)
        self._topics: dict[str, _Topic] = {}
        self._published = self._delivered = self._resumed = self._snapshots = 0

    def publish(self, topic: str, document: Mapping[str, Any], quiet: frozenset[str] = frozenset()) -> Told:
        """A topic's document from now on."""
        at = self._topics.get(topic)
        first = at is None
        if at is None:
            epoch = hashlib.blake2b(topic.encode(), key=self._secret, digest_size=6).hexdigest()
            at = self._topics[topic] = _Topic(epoch)
        stamped = {**document, "epoch": at.epoch, "seq": at.seq}
        changed = difference(at.document, stamped)
        if changed and (first or is_loud(changed, quiet)):
            base = at.seq
            at.seq = stamped["seq"] = base + 1
            at.document = stamped
            at.snapshot = None
            if not first:
                changed["seq"] = at.seq
                patch = frame("patch", {"base": base, "patch": changed}, f"{at.epoch}.{at.seq}")
                at.keep(patch)
                self._published += 1
                self._delivered += len(at.readers)
                for reader in tuple(at.readers):
                    reader.deliver(patch)
        at.body = encode(stamped)
        return self._told(at)

    def now(self, topic: str) -> Told | None:
        """A topic as it stands."""
        at = self._topics.get(topic)
        return None if at is None else self._told(at)

    def join(self, topic: str, reader: Reader, last_id: str | None = None) -> bytes:
        """Follow a topic."""
        at = self._topics[topic]
        at.readers[reader] = None
        missed = self._missed(at, last_id)
        if missed is not None:
            self._resumed += 1
            return missed or PUSH
        self._snapshots += 1
        return self._told(at).snapshot

    def leave(self, topic: str, reader: Reader) -> None:
        """No longer follow."""
        at = self._topics.get(topic)
        if at is not None:
            at.readers.pop(reader, None)

    def readers(self, topic: str) -> int:
        """How many follow a topic."""
        at = self._topics.get(topic)
        return 0 if at is None else len(at.readers)

    def release(self, topic: str) -> None:
        """Let go of what was kept for those who come back."""
        at = self._topics.get(topic)
        if at is not None and not at.readers:
            at.forget()

    def stats(self) -> FeedStats:
        """The feed's condition."""
        return FeedStats(
            topics=len(self._topics),
            readers=sum(len(at.readers) for at in self._topics.values()),
            published=self._published,
            delivered=self._delivered,
            resumed=self._resumed,
            snapshots=self._snapshots,
        )

    def _told(self, at: _Topic) -> Told:
        if at.snapshot is None:
            at.snapshot = frame("snapshot", at.document, f"{at.epoch}.{at.seq}")
        return Told(at.seq, at.body, at.snapshot)

    def _missed(self, at: _Topic, last_id: str | None) -> bytes | None:
        """The patches after an id; None when they are no longer, or never were, at hand."""
        epoch, _, number = (last_id or "").partition(".")
        if epoch != at.epoch or not number.isdecimal() or len(number) > 18:  # noqa: PLR2004 - 64 bits
            return None
        seq = int(number)
        if seq > at.seq or (seq < at.seq and (not at.ring or at.ring[0][0] > seq + 1)):
            return None
        return b"".join(patch for its, patch in at.ring if its > seq)
