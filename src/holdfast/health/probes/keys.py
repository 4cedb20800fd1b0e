"""Can identities be proven with the keys at hand?"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from holdfast.health.probe import Outcome


class KeysProbe:
    """Signs something and checks it: what every sign-in needs. The portal's own keys are all there are."""

    part = "identityKeys"
    lines = ("own",)
    deadline_s = 1.0
    votes = (2, 3)

    def __init__(self, prove: Callable[[], None], period_s: float) -> None:
        """`prove` signs and verifies, and raises when that fails; in memory."""
        self._prove = prove
        self.period_s = period_s

    def evidence(self) -> Iterable[Outcome]:
        """None."""
        return ()

    async def ask(self) -> Iterable[Outcome]:
        """Sign and verify."""
        try:
            self._prove()
        except Exception as fault:  # noqa: BLE001 - whatever a key can do wrong
            return [Outcome("own", "down", f"a token just signed does not verify: {type(fault).__name__}")]
        return [Outcome("own", "ok")]

    def latency_ms(self) -> tuple[float | None, float | None]:
        """None."""
        return None, None
