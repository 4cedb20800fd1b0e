"""What the nemesis works with: faults of requests, what its pages do, how long it waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.browser import proxy as faults
from tests.browser.chrome import Tab
from tests.browser.proxy import Act

CALLS: Final = r"^/api/(client|analytics|auth/session)"
"""What the outbox asks for; signing in is left alone, and so are the pages."""
STRIKES: Final[dict[str, Act]] = {
    "cut before": faults.cut_before,
    "answer lost": faults.lose_answer,
    "answer cut": faults.cut_within_answer,
    "asked twice": faults.ask_twice,
    "answered twice": faults.answer_twice,
    "withheld": faults.withhold,
    "hung": faults.hang,
    "slow": faults.slow(1.0),
    "captive html": faults.reply(200, "<!doctype html><title>Welcome</title>", "text/html"),
    "captive json": faults.reply(200, '{"ok":true}', "application/json"),
    "401": faults.reply(401, "{}", "application/json"),
    "413": faults.reply(413, "too large"),
    "429": faults.reply(429, "slower", Retry_After="2"),
    "503": faults.reply(503, "later", Retry_After="1"),
}
UNAWARE: Final = "{page: {visible: () => true, listen: () => () => {}}, channel: null}"
"""A page that hears neither that it is hidden or frozen nor what other tabs say."""
ADDING: Final = "void keepAdding(200, 3)"
WORKER: Final = "void withWorker({who}).then(() => askForSync()).catch(() => {{}})"
LARGE: Final = """void (async () => {
  for (let n = 0; n < 12; n++) await add(5, "analytics.recorded", 30_000);
})().catch(() => {})"""
SIGN_OUT: Final = """fetch("/api/auth/session").then((answer) => answer.json()).then(({csrfToken}) =>
  fetch("/api/auth/logout", {method: "POST", headers: {"X-CSRF-Token": csrfToken}}))
  .then((answer) => { if (!answer.ok) throw new Error(`signing out: ${answer.status}`) })"""
DAY_S: Final = 86_400.0
LOCAL_STORAGE_S: Final = 8.0
"""Chromium keeps what is written there in memory for five seconds, and up to a minute once it has written."""
QUICK_S: Final = 8.0
"""How long a tab that lives may take to answer."""
DRAINED_S: Final = 90.0


class Deck:
    """Cards by chance, each before any comes again: two seeds in a row begin with a half of them each."""

    def __init__(self, seed: int, cards: Iterable[str], again: Iterable[str] | None = None) -> None:
        """`again`: what is dealt from when all of its half have been; by default all."""
        cards = sorted(cards)
        Random((seed + 1) // 2).shuffle(cards)
        self._random = Random(seed)
        self.first_half: Final = cards[seed % 2 :: 2]
        self._left = list(self.first_half)
        self._again = sorted(cards if again is None else again)

    def deal(self) -> str:
        """The next card."""
        if not self._left:
            self._left = list(self._again)
            self._random.shuffle(self._left)
        return self._left.pop(0)

    def put_back(self, card: str) -> None:
        """It came to nothing: it comes again, a little later."""
        self._left.insert(2, card)


@dataclass(eq=False)
class Used:
    """A tab that somebody uses."""

    tab: Tab
    who: str
    unaware: bool = False
    frozen: bool = False
