"""How often somebody may do something: a token bucket for each key.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm of
ATM networks, ITU-T I.371): nothing has to drip, and a full bucket needs no memory at all.
"""

from __future__ import annotations

import heapq
from typing import Final

from holdfast.core.clock import Clock

_TINY_S: Final = 1e-6
"""Waits below this are rounding, not waits."""


class RateLimit:
    """Buckets that hold `burst` and refill at `rate_per_s`.

    `keys_limit` bounds the memory: over it, full buckets are forgotten, and if that is not enough
    the fullest eighth, so that whoever floods the table frees nobody who is being held back.
    """

    def __init__(self, rate_per_s: float, burst: float, clock: Clock, keys_limit: int = 100_000) -> None:
        if rate_per_s <= 0 or burst < 1 or keys_limit < 1:
            raise ValueError("a rate limit needs rate_per_s > 0, burst >= 1 and keys_limit >= 1")
        self._s_each = 1.0 / rate_per_s
        self._capacity_s = burst / rate_per_s
        self._clock = clock
        self._keys_limit = keys_limit
        self._full_at: dict[str, float] = {}

    def take(self, key: str, cost: float = 1.0) -> float:
        """Take `cost` out of the key's bucket; 0.0 when it was there.

        Else nothing is taken and the answer is the seconds to wait until it will be there. A cost
        over the burst counts as the whole burst, so that the wait always ends.
        """
        now = self._clock.ticks_s()
        cost_s = min(cost * self._s_each, self._capacity_s)
        full_at = max(self._full_at.get(key, now), now) + cost_s
        wait_s = full_at - now - self._capacity_s
        if wait_s > _TINY_S:
            return wait_s
        if len(self._full_at) >= self._keys_limit and key not in self._full_at:
            self._forget(now)
        self._full_at[key] = full_at
        return 0.0

    def give_back(self, key: str, cost: float = 1.0) -> None:
        """Put back what a `take` took, when what it was for need not count."""
        full_at = self._full_at.get(key)
        if full_at is not None:
            self._full_at[key] = full_at - cost * self._s_each

    def __len__(self) -> int:
        return len(self._full_at)

    def _forget(self, now: float) -> None:
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        excess = len(self._full_at) - self._keys_limit * 7 // 8
        if excess > 0:
            for key in heapq.nsmallest(excess, self._full_at, key=self._full_at.__getitem__):
                del self._full_at[key]
