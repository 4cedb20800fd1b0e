"""Do dead letters wait for a person?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import case, func, select

from holdfast.core.errors import HoldfastError
from holdfast.health.probe import Outcome
from holdfast.store import schema
from holdfast.store.port import Store, Tx

ENFORCED: Final = ("org_required", "org_forbidden", "not_a_member", "forbidden")
"""Codes of what the rule of orgs kept from its effect."""


class Letters(NamedTuple):
    """An org's open letters, and how many of them are an admin's work that the rule of orgs stopped."""

    open: int
    enforced: int


class DeadLetterProbe:
    """Counts open letters per org; counted anew at once after a batch that parked some."""

    part = "deadLetters"
    lines = ("open",)
    deadline_s = 3.0
    votes = (1, 1)

    def __init__(self, store: Store, period_s: float) -> None:
        """`store`: where letters lie."""
        self._store = store
        self.period_s = period_s
        self.letters: dict[str, Letters] = {}
        """Org -> letters that are parked or exhausted, as last counted."""

    @property
    def open(self) -> dict[str, int]:
        """Org -> how many wait."""
        return {org: each.open for org, each in self.letters.items()}

    def evidence(self) -> Iterable[Outcome]:
        """None: only the store knows."""
        return ()

    async def ask(self) -> Iterable[Outcome]:
        """Count; no answer while the store is out, so that it turns unknown."""
        letters = schema.dead_letters
        enforced = case(((letters.c.lane == "admin") & letters.c.code.in_(ENFORCED), 1), else_=0)
        statement = (
            select(letters.c.org_id, func.count(), func.sum(enforced))
            .where(letters.c.status.in_(["parked", "exhausted"]))
            .group_by(letters.c.org_id)
        )

        def work(tx: Tx) -> dict[str, Letters]:
            return {
                str(org): Letters(int(number), int(of)) for org, number, of in map(tuple, tx.rows(statement))
            }

        try:
            self.letters = await self._store.read(None, work)
        except HoldfastError:
            return ()
        total = sum(each.open for each in self.letters.values())
        reason = f"{total} dead letters wait for a person" if total else None
        return [Outcome("open", "degraded" if total else "ok", reason)]

    def latency_ms(self) -> tuple[float | None, float | None]:
        """None: the store's own probe measures that."""
        return None, None
