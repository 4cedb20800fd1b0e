"""How long to wait before trying again.

Full jitter, after Marc Brooker's "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015):
a wait drawn evenly from zero to a ceiling that doubles keeps a crowd of senders apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable


def full_jitter_s(
    attempt: int,
    *,
    base_s: float = 1.0,
    cap_s: float = 300.0,
    draw: Callable[[], float] = random.random,
) -> float:
    """Seconds to wait before attempt number `attempt` (1 is the first retry).

    `draw` gives a number in [0, 1); tests inject their own.
    """
    if attempt < 1:
        raise ValueError("attempts are counted from 1")
    ceiling_s = min(cap_s, base_s * float(2 ** min(attempt - 1, 62)))
    return draw() * ceiling_s
