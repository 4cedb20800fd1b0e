"""Which seeds a run walks through: a few always, many in `make soak`."""

from __future__ import annotations

import os
from typing import Final

import pytest

FIRST: Final = int(os.environ.get("HOLDFAST_FIRST_SEED", "1"))
SOAKED: Final = int(os.environ.get("HOLDFAST_SEEDS", "200"))


def seeds(few: int, *, soaked: int = SOAKED) -> list[int | object]:
    """`few` seeds for every run, and up to `soaked` more for a soak."""
    always: list[int | object] = [*range(1, few + 1)]
    more = (pytest.param(seed, marks=pytest.mark.soak) for seed in range(FIRST, FIRST + soaked) if seed > few)
    return [*always, *more]
