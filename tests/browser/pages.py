"""What can be done to a page in any engine, once something evaluates an expression in it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Protocol

from tests.browser.talk import Refused

LOADED = "document.readyState === 'complete'"


class Page(Protocol):
    """One tab of some engine."""

    def evaluate(self, expression: str, *, timeout_s: float = 30.0) -> Any:  # noqa: ANN401 - whatever it gives
        """The value of an expression, waited for when it is a promise. `Refused` carries what it threw."""


def as_json(expression: str) -> str:
    """An expression whose value travels as text: undefined, dates and all come as JSON has them."""
    return f"(async () => JSON.stringify((await ({expression})) ?? null))()"


def came_true(page: Page, expression: str, timeout_s: float = 60.0) -> Any:  # noqa: ANN401 - whatever it gives
    """What the expression gives as soon as it is true; navigations in between are waited out."""
    end = time.monotonic() + timeout_s
    found: Any = None
    while time.monotonic() < end:
        try:
            found = page.evaluate(expression)
        except Refused as not_yet:
            found = not_yet
        else:
            if found:
                return found
        time.sleep(0.05)
    raise AssertionError(f"{expression} did not come true within {timeout_s} s; last seen: {found!r}")


def reloaded(page: Page, ready: str = LOADED) -> None:
    """Reload, and wait until the expression holds in the new document."""
    page.evaluate("void (window.isOld = true)")
    # It may go before it can answer.
    with suppress(Refused):
        page.evaluate("void setTimeout(() => location.reload(), 20)")
    came_true(page, f"!window.isOld && ({ready})")
