"""A store that fails when told to, around a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from holdfast.core.errors import Corrupt, HoldfastError, Unavailable
from holdfast.store.port import Store, StoreStats, Tx, UnitOutcome

T = TypeVar("T")
OUT: tuple[HoldfastError, ...] = (
    Unavailable("the store does not answer"),
    Corrupt("the store's file is damaged", code="store_corrupt"),
)
"""How a store says that it is out."""


def failing(error: HoldfastError) -> Callable[..., Awaitable[None]]:
    """In the place of one of a store's own verbs."""

    async def fails(*_: object) -> None:
        raise error

    return fails


class FailingStore:
    """Raises its `error` while `down`, waits for `hang` where one is set, counts what it was `asked`."""

    def __init__(self, inner: Store, error: HoldfastError | None = None) -> None:
        self._inner = inner
        self.error = error or OUT[0]
        self.down = False
        self.hang: asyncio.Event | None = None
        self.asked = 0

    async def run(self, org: str | None, work: Callable[[Tx], T]) -> T:
        await self._ask()
        return await self._inner.run(org, work)

    async def read(self, org: str | None, work: Callable[[Tx], T]) -> T:
        await self._ask()
        return await self._inner.read(org, work)

    async def _ask(self) -> None:
        self.asked += 1
        if self.hang is not None:
            await self.hang.wait()
        if self.down:
            raise self.error

    def transaction(self, org: str | None) -> AbstractContextManager[Tx]:
        return self._inner.transaction(org)

    def outcomes(self) -> list[UnitOutcome]:
        """As they were."""
        return self._inner.outcomes()

    async def touch(self, *, writes: bool) -> None:
        """As it is."""
        await self._inner.touch(writes=writes)

    def stats(self) -> StoreStats:
        return self._inner.stats()

    def close(self) -> None:
        self._inner.close()
