"""What the store knows of a device that is heard for the first time since a start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sqlalchemy import select

from holdfast.core.errors import HoldfastError
from holdfast.events.backlog import Backlog
from holdfast.events.devices import Load, Ranges
from holdfast.store import schema
from holdfast.store.port import Store, Tx

LOAD_S: Final = 0.25
"""How long a receipt may wait for it."""


def device_loader(store: Store, waiting: Backlog, caught_up: Callable[[], bool]) -> Load:
    """What the store knows of a device, where that and what was heard since start are the whole truth."""
    table = schema.devices

    async def load(org: str, user: str, device: str, generation: int, forgot: bool) -> Ranges | None:  # noqa: FBT001
        # What waited in the journal at start is in no table yet: until it is, a gap might not be one.
        if not caught_up() or (forgot and waiting.of(org) > 0) or store.stats().ok is False:
            return None

        def work(tx: Tx) -> Ranges:
            statement = select(table.c.seqs).where(
                table.c.user_id == user, table.c.device_id == device, table.c.generation == generation
            )
            rows = tx.rows(statement)
            return [list(span) for span in rows[0].seqs] if rows else []

        try:
            async with asyncio.timeout(LOAD_S):
                return await store.read(org, work)
        except (HoldfastError, TimeoutError):
            return None

    return load
