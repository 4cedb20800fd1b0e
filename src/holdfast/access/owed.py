"""Notes for the audit that can't stand in the transaction of their act: there is none, or no store.

Signing in must work while the store can only be read, and a token is revoked also while there is none;
a failed sign-in must cost nobody a write. So these notes wait here, and are written as soon as can be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import structlog

from holdfast.access.audit import Note, note_for
from holdfast.core.clock import Clock, rfc3339
from holdfast.core.errors import Corrupt, Unavailable
from holdfast.core.ids import uuid7
from holdfast.store.port import Store, Tx

log = structlog.get_logger(__name__)

MOST: Final = 10_000


class _Tries:
    """Failed sign-ins to one account."""

    def __init__(self, at: str) -> None:
        self.first_at = self.last_at = at
        self.times = 1


class Owed:
    """What is to be noted. `most`: how many notes wait; what comes then is counted in the log only."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._waiting: dict[str, Note] = {}
        self._tries: dict[tuple[str, tuple[str | None, ...]], _Tries] = {}
        self._lost = 0

    def add(
        self, orgs: Iterable[str | None], actor: str, act: str, subject: str, details: dict[str, Any]
    ) -> None:
        """Owe a note to each of these orgs; None is the platform."""
        at = rfc3339(self._clock.now_s())
        for org in orgs:
            if len(self._waiting) >= self._most:
                self._lost += 1
                continue
            one = Note(uuid7(), at, org, actor, act, subject, details)
            self._waiting[one.id] = one

    def refused(self, orgs: Iterable[str | None], user_id: str) -> None:
        """Owe a note on a failed sign-in. Who tries a thousand times between two writings is one note.

        `user_id`: whose account was tried, empty for nobody's. What was typed is not noted: people type
        their password in the wrong field.
        """
        at = rfc3339(self._clock.now_s())
        tries = self._tries.get(key := (user_id, tuple(orgs)))
        if tries is None:
            self._tries[key] = _Tries(at)
        else:
            tries.times += 1
            tries.last_at = at

    async def flush(self, store: Store) -> bool:
        """Write what waits; False when the store can't be reached. Writing twice does no harm."""
        tries, self._tries = self._tries, {}
        for (user_id, orgs), each in tries.items():
            details = {"times": each.times, "firstAt": each.first_at, "lastAt": each.last_at}
            self.add(orgs, "", "session.refused", user_id, details)
        notes = list(self._waiting.values())
        if not notes:
            return True
        try:
            await store.run(None, lambda tx: _write(tx, notes))
        except (Unavailable, Corrupt):
            return False
        for one in notes:
            self._waiting.pop(one.id, None)
        if self._lost:
            log.error("notes for the audit were lost while the store was out", count=self._lost)
            self._lost = 0
        return True


def _write(tx: Tx, notes: Iterable[Note]) -> None:
    for one in notes:
        note_for(tx, one.org, one.actor, one.act, one.subject, one.details, id=one.id, at=one.at)
