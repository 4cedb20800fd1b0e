"""The ids lately committed, in memory: the first, cheap answer to "did you have this already?".

It is not the guarantee (that is the unique mark in the store): an id that fell out of the window is
accepted again, and the applier counts it as a duplicate. Two generations of half the size each make
eviction free.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from holdfast.core.errors import Corrupt
from holdfast.journal.port import Journal
from holdfast.journal.record import Record
from holdfast.journal.segment import owner

log = structlog.get_logger(__name__)

CONFLICTS: Final = 1000

_Frame = tuple[int, list[str], "array[int]"]
"""Events committed together: the first one's position, their ids, their digests. All of its ids share
one, which is less than a number each, and far less work."""
_Place = _Frame | int
"""An event that came alone is one number: position << 32 | digest."""


class Window:
    """At most `size` ids, the newest ones; at most 250 bytes each."""

    def __init__(self, size: int = 65_536) -> None:
        """`size`: how many ids to remember."""
        self._half = max(size // 2, 1)
        self._young: dict[str, dict[str, _Place]] = {}
        self._old: dict[str, dict[str, _Place]] = {}
        self._number = 0
        self._conflicts: dict[tuple[str, str, int], None] = {}

    def get(self, org: str, event_id: str) -> tuple[int, int] | None:
        """(digest, position) of a committed id, None when it isn't known."""
        found = None
        mine = self._young.get(org)
        if mine is not None:
            found = mine.get(event_id)
        if found is None and (mine := self._old.get(org)) is not None:
            found = mine.get(event_id)
        if found is None:
            return None
        if isinstance(found, int):
            return found & 0xFFFFFFFF, found >> 32
        first, ids, digests = found
        at = ids.index(event_id)
        return digests[at], first + at

    def strangers(self, org: str, ids: Sequence[str]) -> bool:
        """Whether none of the ids is known: the common case, told without a look at each."""
        young, old = self._young.get(org), self._old.get(org)
        return (young is None or young.keys().isdisjoint(ids)) and (old is None or old.keys().isdisjoint(ids))

    def add(self, org: str, event_id: str, digest: int, position: int) -> None:
        """Remember a committed id."""
        self._young.setdefault(org, {})[event_id] = position << 32 | digest
        self._grown(1)

    def extend(self, org: str, ids: list[str], digests: list[int], first: int) -> None:
        """Remember committed events of one org that stand at `first` and the positions after it.

        The list of ids is kept: it is the window's from now on.
        """
        if len(ids) == 1:
            self.add(org, ids[0], digests[0], first)
            return
        frame = (first, ids, array("I", digests))
        self._young.setdefault(org, {}).update(dict.fromkeys(ids, frame))
        self._grown(len(ids))

    def _grown(self, number: int) -> None:
        self._number += number
        if self._number >= self._half:
            self._old, self._young, self._number = self._young, {}, 0

    def conflicted(self, org: str, event_id: str, digest: int) -> bool:
        """Whether this very conflict is kept already: one dead letter of it is enough."""
        return (org, event_id, digest) in self._conflicts

    def note_conflict(self, org: str, event_id: str, digest: int) -> None:
        """Remember a conflict, the last thousand of them."""
        self._conflicts[org, event_id, digest] = None
        if len(self._conflicts) > CONFLICTS:
            del self._conflicts[next(iter(self._conflicts))]

    def fill(self, records: Iterable[tuple[str, Record]]) -> None:
        """After a start: take the journal's last (org, record) pairs, oldest first."""
        for org, record in records:
            if self.get(org, record.id) is None:
                self.add(org, record.id, record.digest, record.position)


def remember(window: Window, journal: Journal, size: int) -> None:
    """Fill a window after a start with what stands in the journal's last `size` positions."""
    head = journal.stats().head
    after = max(0, head - size)
    while after < head:
        try:
            found = journal.read(after, 5_000)
        except Corrupt as away:
            # Duplicates of those are told by their marks.
            log.warning("ids in the archive are not remembered", reason=away.message)
            return
        window.fill((owner(record.data)[0], record) for record in found.records)
        if found.through <= after:
            break
        after = found.through
