"""Whoever wants an event to get lost: picks among all faults for a while, by a seed, and notes what comes.

One run is a portal, a network, a browser with three to five tabs that keep adding, and this. In the end all
is made well again, everything drains, and the oracle places every event that was called saved.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tests.browser import damage
from tests.browser import proxy as faults
from tests.browser.chrome import Chrome, Tab
from tests.browser.harness import Learner, drained
from tests.browser.proxy import Act, Proxy, Strike
from tests.browser.talk import Gone, Refused
from tests.served import Served, until

SENDING: Final = r"^/api/(client|analytics)/"
HOTEL: Final = "<!doctype html><title>Welcome</title>"
ACTS: Final[dict[str, Act]] = {
    "cut before": faults.cut_before,
    "answer lost": faults.lose_answer,
    "answer cut": faults.cut_within_answer,
    "asked twice": faults.ask_twice,
    "answered twice": faults.answer_twice,
    "slow": faults.slow(1.0),
    "captive html": faults.reply(200, HOTEL, "text/html"),
    "captive json": faults.reply(200, '{"ok":true}', "application/json"),
    "401": faults.reply(401, "{}", "application/json"),
    "403": faults.reply(403, HOTEL, "text/html"),
    "413": faults.reply(413, "too large"),
    "429": faults.reply(429, "slower", Retry_After="1"),
    "500": faults.reply(500, "broken"),
    "503": faults.reply(503, "later", Retry_After="1"),
}
EVERY_MS: Final = 150
AT_ONCE: Final = 2


@dataclass
class Nemesis:
    """One run against one learner."""

    seed: int
    ada: Learner
    portal: Served
    may_destroy: bool = True
    """Whether it may also harm what the device holds: then events may be lost, but not in silence."""
    did: Counter[str] = field(default_factory=Counter)
    """What really happened, by its name."""
    story: list[str] = field(default_factory=list)
    destroyed: int = 0
    _strikes: list[tuple[str, Strike]] = field(default_factory=list)
    _jumps: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._began = time.monotonic()

    @property
    def chrome(self) -> Chrome:
        return self.ada.chrome

    @property
    def proxy(self) -> Proxy:
        return self.ada.proxy

    # ---- the run

    def run(self, for_s: float) -> None:
        """Hurt it for so long, then make all well again and wait until everything has arrived."""
        for _ in range(self._random.randint(3, 5)):
            self._new_tab()
        end = time.monotonic() + for_s
        while time.monotonic() < end:
            self._hurt()
            time.sleep(self._random.uniform(0.05, 1.0))
            self._fill_up()
        self._make_well()

    def _hurt(self) -> None:
        often = [
            self._strike,
            self._strike,
            self._strike,
            self._cut,
            self._refuse,
            self._hang,
            self._withhold,
        ]
        tabs = [
            self._reload,
            self._close,
            self._crash,
            self._freeze,
            self._ask,
            self._jump,
            self._stop_worker,
        ]
        rare = [
            self._kill_browser,
            self._quit_browser,
            self._kill_portal,
            self._lose_session,
            self._other_person,
        ]
        rare += [self._no_room]
        if self.may_destroy:
            rare += [self._clear, self._damage]
        act = self._random.choice(self._random.choices([often, tabs, rare], weights=[5, 4, 2])[0])
        name = act.__name__.strip("_")
        began = time.monotonic()
        # A tab that is gone or busy dying does not answer: that is the point, and no failure.
        try:
            act()
        except (Refused, Gone, TimeoutError) as fault:
            self._note(f"{name}: {type(fault).__name__} {str(fault)[:80]}")
        else:
            self._note(f"{name} ({time.monotonic() - began:.1f} s)")

    def _note(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:5.1f} {what}")

    def _done(self, what: str, *, really: bool) -> None:
        if really:
            self.did[what] += 1

    def _tabs(self) -> list[Tab]:
        return [tab for tab in list(self.chrome.tabs.values()) if tab.said or tab.opened]

    def _some_tab(self) -> Tab:
        tabs = self._tabs()
        if not tabs:
            return self._new_tab()
        return self._random.choice(tabs)

    def _new_tab(self) -> Tab:
        tab = self.ada.tab()
        tab.evaluate(f"void keepAdding({EVERY_MS}, {AT_ONCE})")
        return tab

    def _fill_up(self) -> None:
        """At least three tabs, whatever happened; a network that is out keeps new ones out too."""
        with suppress(Refused, Gone, TimeoutError, AssertionError):
            if len(self._tabs()) < 3:
                self._new_tab()

    # ---- the network

    def _strike(self) -> None:
        name, act = self._random.choice(sorted(ACTS.items(), key=lambda pair: pair[0]))
        times = self._random.randint(1, 4)
        self._strikes.append((name, self.proxy.strike(act, SENDING, times)))
        self._note(f"strike: {name} x {times}")

    def _cut(self) -> None:
        self._done("cut", really=self.proxy.cut() > 0)

    def _refuse(self) -> None:
        self.proxy.refuse()
        self.chrome.offline()
        time.sleep(self._random.uniform(0.2, 3.0))
        self.proxy.open_again()
        self.chrome.online()
        self._done("refused", really=True)

    def _hang(self) -> None:
        before = self.proxy.hangs
        self.proxy.hang()
        time.sleep(self._random.uniform(0.5, 3.0))
        self.proxy.open_again()
        self._done("hung", really=self.proxy.hangs > before)

    def _withhold(self) -> None:
        strike = self.proxy.strike(faults.withhold, SENDING, times=2)
        time.sleep(self._random.uniform(0.5, 3.0))
        self.proxy.lift(strike)
        self._done("withheld", really=strike.done > 0)

    def _kill_portal(self) -> None:
        self.portal.kill()
        time.sleep(self._random.uniform(0.0, 1.0))
        self.portal.start()
        self._done("portal killed", really=True)

    # ---- the tabs

    def _reload(self) -> None:
        tab = self._some_tab()
        self.ada.reload(tab)
        tab.evaluate(f"void keepAdding({EVERY_MS}, {AT_ONCE})")
        self._done("reloaded", really=True)

    def _close(self) -> None:
        self._some_tab().close()
        self._done("closed", really=True)

    def _crash(self) -> None:
        tab = self._some_tab()
        tab.crash()
        tab.close()
        self._done("crashed", really=tab.crashed)

    def _freeze(self) -> None:
        tab = self._some_tab()
        led = tab.evaluate("outbox.status.sendsHere")
        blank = self.chrome.tab()
        blank.front()
        tab.freeze()
        time.sleep(self._random.uniform(0.5, 6.0))
        tab.thaw()
        blank.close()
        self._done("leader frozen" if led else "frozen", really=True)

    def _ask(self) -> None:
        self._some_tab().evaluate("outbox.sendNow()")

    def _jump(self) -> None:
        by_s = self._random.choice([-86_400 * 40, -7_200, -60, 60, 7_200, 86_400 * 40])
        self._some_tab().clock_jumps(by_s)
        self._done("clock", really=True)

    def _stop_worker(self) -> None:
        with suppress(StopIteration):
            self._done("worker stopped", really=self.chrome.stop_workers() > 0)

    # ---- the device

    def _kill_browser(self) -> None:
        self.chrome.kill()
        self._done("killed", really=True)
        self._start_again()

    def _quit_browser(self) -> None:
        self.chrome.quit()
        self._done("quit", really=True)
        self._start_again()

    def _start_again(self) -> None:
        self.chrome.start()
        # A cookie of the last half minute may have gone down with the browser.
        self._sign_in()
        for _ in range(3):
            self._new_tab()

    def _sign_in(self) -> None:
        """As a person does, again and again until it works."""
        until(self._signed_in, 60.0)

    def _signed_in(self) -> bool:
        with suppress(Refused, Gone, TimeoutError, AssertionError):
            self.ada.sign_in()
            return True
        return False

    def _no_room(self) -> None:
        self.chrome.quota(self.proxy.url, 1)
        unsafe = self.ada.promises.unsafe
        time.sleep(self._random.uniform(1.0, 4.0))
        self.chrome.quota(self.proxy.url, None)
        self._done("no room", really=self.ada.promises.unsafe > unsafe)

    def _clear(self) -> None:
        self.chrome.clear_databases(self.proxy.url)
        self.destroyed += 1
        self._done("databases deleted", really=True)

    def _damage(self) -> None:
        for tab in self._tabs():
            with suppress(Refused, Gone, TimeoutError):
                tab.evaluate("window.adding = false", timeout_s=2.0)
        newest = max((each.seq for each in self.ada.promises.saved.values()), default=0)
        text = f'"lastSeq":{newest}'
        # Without its mirror nobody could know that there was something: see `is_in_local_storage`.
        end = time.monotonic() + 8.0
        while not damage.is_in_local_storage(self.chrome.profile, text) and time.monotonic() < end:
            time.sleep(0.2)
        known = damage.is_in_local_storage(self.chrome.profile, text)
        self.chrome.kill()
        if known:
            harms: list[Callable[..., object]] = [
                damage.flip,
                damage.zero_page,
                damage.cut_off,
                damage.remove,
            ]
            with suppress(AssertionError):  # too small to be damaged in the middle
                self._random.choice(harms)(self.chrome.profile, self.proxy.port)
                self.destroyed += 1
                self._done("damaged", really=True)
        self._start_again()

    # ---- the people

    def _lose_session(self) -> None:
        tab = self.chrome.tab(f"{self.proxy.url}/test/page", "typeof signOut === 'function'")
        tab.evaluate("signOut()")
        tab.close()
        time.sleep(self._random.uniform(0.2, 2.0))
        self._sign_in()
        self._done("signed out", really=True)

    def _other_person(self) -> None:
        cleo = Learner(self.chrome, self.proxy, "cleo")
        cleo.sign_in()
        time.sleep(self._random.uniform(0.2, 2.0))
        self._sign_in()
        self._done("another person", really=True)

    # ---- the end

    def _make_well(self) -> None:
        for name, strike in self._strikes:
            self.did[name] += strike.done
        self.proxy.restore()
        self.chrome.online()
        self.chrome.quota(self.proxy.url, None)
        for tab in self._tabs():
            with suppress(Refused, Gone, TimeoutError):
                tab.evaluate("window.adding = false", timeout_s=5.0)
        self._sign_in()
        last = self.ada.tab()
        drained(last, 120.0)
        last.until("outbox.sendNow(), outbox.losses().then((all) => all.every(({told}) => told))", 60.0)
        self._note("drained")
