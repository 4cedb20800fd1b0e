"""What a bench finds out: measured rounds, the bar they are held to, and how they were taken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec

ROUNDS = 3
"""Rounds of each side. They alternate, so that a machine that slows down slows both."""


class Figure(msgspec.Struct, kw_only=True, rename="camel"):
    """One line of the results. Without a bar it is there to orient."""

    bench: str
    name: str
    unit: str
    how: str
    """How it was measured, in one or two sentences."""
    ours: list[float]
    """One value a round."""
    peer_is: str = ""
    peer: list[float] = []
    """One value a round, each taken right after ours; empty when there is nothing to compare with."""
    least_ratio: float | None = None
    """The bar: ours / peer is at least this."""
    most: float | None = None
    """The bar: ours is at most this."""
    facts: dict[str, Any] = {}
    """Whatever else was found out on the way."""

    @property
    def value(self) -> float:
        """The median of ours."""
        return median(self.ours)

    @property
    def peer_value(self) -> float | None:
        """The median of the peer's."""
        return median(self.peer) if self.peer else None

    @property
    def ratio(self) -> float | None:
        """The median over the rounds of ours / peer."""
        if not self.peer:
            return None
        return median(ours / peer for ours, peer in zip(self.ours, self.peer, strict=True))

    @property
    def bar(self) -> str:
        """The bar in words; empty when there is none."""
        if self.least_ratio is not None:
            return f"at least {self.least_ratio:g} of the peer"
        if self.most is not None:
            return f"at most {self.most:g} {self.unit}"
        return ""

    @property
    def passed(self) -> bool | None:
        """Whether the bar is met; None when there is none."""
        if self.least_ratio is not None:
            return self.ratio is not None and self.ratio >= self.least_ratio
        return None if self.most is None else self.value <= self.most


class Scale(msgspec.Struct, kw_only=True):
    """How much a run does."""

    quick: bool
    """Small versions of everything: they show that the benches work, and little else."""

    @property
    def rounds(self) -> int:
        """How often each side is measured."""
        return 1 if self.quick else ROUNDS

    def size(self, full: int, quick: int) -> int:
        """The one or the other."""
        return quick if self.quick else full


def alternate(rounds: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Measure each side in turn, round after round; a list of values for each side."""
    found: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for values, side in zip(found, sides, strict=True):
            values.append(side())
    return found


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)


def number(value: float | None) -> str:
    """A number as people read it: three figures that count."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three figures
