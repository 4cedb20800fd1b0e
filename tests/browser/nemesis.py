"""Whoever wants an event to get lost: for a minute, by a seed, one fault after another, and some at once.

A run is a portal, a network, and a browser with three to five tabs that never stop adding. Most faults last
for seconds, and others come meanwhile: a browser is killed while the network is out, a portal while a tab is
frozen; and beside all of them single requests are struck. Two seeds that follow each other deal every fault
and every strike. In the end all is made well again, and each person's outbox drains.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.browser import strikes
from tests.browser.chrome import Chrome
from tests.browser.harness import PRINCIPALS, Learner, Saved, heard_out
from tests.browser.proxy import Proxy, Strike
from tests.browser.strikes import STRIKES, Deck, Used
from tests.browser.talk import Gone, Refused
from tests.served import Served

Mend = tuple[float, str, Callable[[], None]]
UNHEARD = (Refused, Gone, TimeoutError, AssertionError, OSError)
"""What speaking to a tab may come to while all this goes on."""


@dataclass
class Nemesis:
    """One run."""

    seed: int
    chrome: Chrome
    proxy: Proxy
    portal: Served
    learners: dict[str, Learner] = field(default_factory=dict)
    did: Counter[str] = field(default_factory=Counter)
    """How often each fault has really happened."""
    story: list[str] = field(default_factory=list)
    _used: list[Used] = field(default_factory=list)
    _mends: list[Mend] = field(default_factory=list)
    _strikes: list[tuple[str, Strike]] = field(default_factory=list)
    _link_is_up: bool = True
    _who: str = "ada"
    _signed_in: bool = False
    deleted: dict[str, set[int]] = field(default_factory=dict)
    """Whose databases were deleted, in which generations: what waited there is lost."""
    overtaken: dict[str, dict[int, int]] = field(default_factory=dict)
    """Of generations begun while the browser was still deleting, the highest number given out meanwhile."""
    _lost_at: float = -60.0
    _unseen: set[str] = field(default_factory=set)
    """Whose outbox nobody has opened since the browser was killed."""

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._began = time.monotonic()
        self._wanted = self._random.randint(3, 5)
        self.learners = {who: Learner(self.chrome, self.proxy, who) for who in ("ada", "cleo")}
        self._faults, self._blows = fault_deck(self.seed), Deck(self.seed, STRIKES)

    # ---- the run

    def run(self, for_s: float) -> None:
        """Hurt it for so long, then make all well again and wait until everything has arrived."""
        self._start_browser()
        self._keep_house()
        self._began = time.monotonic()
        next_s = next_strike_s = 0.0
        while (now := time.monotonic() - self._began) < for_s:
            for mend in [each for each in self._mends if each[0] <= now]:
                self._mend(mend)
            self._keep_house()
            if now >= next_strike_s:
                self._strike()
                next_strike_s = now + self._random.uniform(2.0, 5.0)
            if now >= next_s:
                self._notice()
                self._hurt(self._faults.deal())
                next_s = time.monotonic() - self._began + self._random.uniform(1.0, 4.0)
            time.sleep(0.1)
        self._make_well()

    def _hurt(self, name: str) -> None:
        try:
            how = FAULTS[name](self)
        except UNHEARD as fault:
            how = f"came to nothing: {type(fault).__name__} {str(fault)[:120]}"
        if how:
            self._note(f"{name} {how}")
        else:
            self._faults.put_back(name)

    def _notice(self) -> None:
        """What the pages found out meanwhile, into the story."""
        for who, learner in self.learners.items():
            self._note(f"    {who}: {learner.promises.in_brief}")

    def _note(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:6.1f} s  {what}")

    def _did(self, what: str) -> None:
        self.did[what] += 1

    def _later(self, least_s: float, most_s: float, what: str, mend: Callable[[], None]) -> str:
        lasts_s = self._random.uniform(least_s, most_s)
        self._mends.append((time.monotonic() - self._began + lasts_s, what, mend))
        return f"for {lasts_s:.1f} s"

    def _mend(self, mend: Mend) -> None:
        self._mends.remove(mend)
        _, what, do = mend
        with suppress(*UNHEARD):
            do()
        self._note(what)

    def _keep_house(self) -> None:
        """People sign in again and open tabs again, whatever happened; neither works without a network."""
        gone = [each for each in self._used if each.tab.crashed or each.tab.session not in self.chrome.tabs]
        self._used = [each for each in self._used if each not in gone]
        if not self._link_is_up or self.portal.process is None:
            return
        try:
            if not self._signed_in:
                self.learners[self._who].sign_in()
                self._signed_in = True
                self._note(f"{self._who} signs in")
                for used in self._used:
                    if used.who == self._who and not used.frozen:
                        # As the portal's page does it after signing in.
                        used.tab.evaluate("outbox.sendNow()", timeout_s=strikes.QUICK_S)
            wanted = self._wanted if self._who == "ada" else 1
            while sum(each.who == self._who for each in self._used) < wanted:
                self._open()
        except UNHEARD as fault:
            self._note(f"no tab, or not signed in yet: {type(fault).__name__} {str(fault)[:120]}")

    def _open(self) -> None:
        unaware = self._random.random() < 0.25
        learner = self.learners[self._who]
        used = Used(learner.tab(strikes.UNAWARE if unaware else "{}"), self._who, unaware)
        self._start_adding(used)
        self._used.append(used)
        self._unseen.discard(self._who)

    def _start_adding(self, used: Used) -> None:
        used.tab.evaluate(strikes.ADDING)
        used.tab.evaluate(strikes.WORKER.format(who=json.dumps(PRINCIPALS[used.who])))

    def _some(self) -> Used:
        """A tab that lives."""
        able = [each for each in self._used if not each.frozen]
        if not able:
            raise Gone("no tab is open that runs")
        return self._random.choice(able)

    # ---- the network

    def _refuse(self) -> str:
        if not self._link_is_up:
            return ""
        self._link_is_up = False
        self.proxy.refuse()
        # Half of the time the browser is not told, as with a router whose line is cut.
        if told := self._random.random() < 0.5:
            self.chrome.offline()
        self._did("refused")
        return f"(told: {told}) " + self._later(1.0, 8.0, "the network is back", self._link_up)

    def _hang(self) -> str:
        if not self._link_is_up:
            return ""
        self._link_is_up = False
        self.proxy.hang()
        self._did("link hung")
        return self._later(1.0, 6.0, "the line hangs no more", self._link_up)

    def _link_up(self) -> None:
        self.proxy.open_again()
        self.chrome.online()
        self._link_is_up = True

    def _cut(self) -> str:
        count = self.proxy.cut()
        self.did["cut"] += count > 0
        return f"{count} connections"

    def _strike(self) -> None:
        name = self._blows.deal()
        strike = self.proxy.strike(STRIKES[name], strikes.CALLS, self._random.randint(1, 5))
        self._strikes.append((name, strike))

        def lift() -> None:
            self.proxy.lift(strike)
            if not strike.begun:
                self._blows.put_back(name)

        self._note(f"{name} x {strike.times} {self._later(2.0, 10.0, f'no more: {name}', lift)}")

    def _kill_portal(self) -> str:
        if self.portal.process is None:
            return ""
        self.portal.kill()
        self._did("portal killed")
        return self._later(0.5, 4.0, "the portal is back", self.portal.start)

    # ---- the tabs

    def _reload(self) -> str:
        if not self._link_is_up:
            return ""
        used = self._some()
        self.learners[used.who].reload(used.tab)
        used.unaware = False
        self._start_adding(used)
        self._did("reloaded")
        return used.who

    def _close(self) -> str:
        used = self._some()
        used.tab.close()
        self._did("closed")
        return used.who

    def _crash(self) -> str:
        used = self._some()
        used.tab.crash()
        used.tab.close()
        self._did("crashed")
        return used.who

    def _freeze(self) -> str:
        able = [each for each in self._used if not each.frozen]
        if len(able) < 2:
            return ""
        leads = "outbox.status.sendsHere"
        used = next((each for each in able if each.tab.evaluate(leads, timeout_s=strikes.QUICK_S)), able[0])
        led = used.tab.evaluate(leads, timeout_s=strikes.QUICK_S)
        next(each for each in able if each is not used).tab.front()
        used.tab.until("document.hidden", strikes.QUICK_S)
        used.frozen = True
        used.tab.freeze()
        self._did("leader frozen" if led else "frozen")
        # Sometimes for longer than a leader may be silent.
        most_s = self._random.choice((4.0, 22.0))
        return f"(led: {led}) " + self._later(most_s - 3.0, most_s, "thawed", lambda: self._thaw(used))

    def _thaw(self, used: Used) -> None:
        used.tab.thaw()
        used.frozen = False

    def _jump(self) -> str:
        by_s = self._random.choice(
            (-400 * strikes.DAY_S, -7_200.0, -60.0, 60.0, 7_200.0, 400 * strikes.DAY_S)
        )
        self._some().tab.clock_jumps(by_s)
        self._did("clock jumped")
        return f"by {by_s:.0f} s"

    def _stop_workers(self) -> str:
        running = len(self.chrome.workers_running)
        self._some().tab.call("ServiceWorker.stopAllWorkers", timeout_s=strikes.QUICK_S)
        self.did["workers stopped"] += running > 0
        return str(running)

    # ---- the device

    def _kill_browser(self) -> str:
        # A numbering that nobody has put down as lost yet stands in localStorage alone, which a killed
        # browser keeps without its last seconds, up to a minute: until then there is nothing that could tell.
        if self._is_fresh_loss():
            return ""
        killed = self.chrome.kill()
        self._did("browser killed")
        # What localStorage forgot of a numbering is put down again when its outbox is opened; until then the
        # database alone knows the last of it.
        self._unseen = {who for who, learner in self.learners.items() if learner.promises.saved}
        self._start_browser()
        return f"{len(killed)} processes"

    def _start_browser(self) -> None:
        self._used = []
        # A cookie of the last half minute went down with the browser.
        self._signed_in = False
        self.chrome.start(offline=not self._link_is_up)
        # After a crash a worker starts anew; held for a debugger, it would hold the requests of its pages.
        attach = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        self.chrome.cdp.call("Target.setAutoAttach", attach)

    def _no_room(self) -> str:
        used = self._some()
        unsafe = self._unsafe()
        self._quota(1_000_000)
        used.tab.evaluate(strikes.LARGE)

        def lift() -> None:
            self.did["no room"] += self._unsafe() > unsafe
            self._quota(None)

        return self._later(3.0, 8.0, "there is room again", lift)

    def _unsafe(self) -> int:
        return sum(learner.promises.unsafe for learner in self.learners.values())

    def _quota(self, size_bytes: int | None) -> None:
        params: dict[str, Any] = {"origin": self.proxy.url}
        if size_bytes is not None:
            params["quotaSize"] = size_bytes
        self._some().tab.call("Storage.overrideQuotaForOrigin", timeout_s=strikes.QUICK_S, **params)

    def _generation(self, who: str) -> int:
        """The latest that was begun, of their outbox."""
        return max((each.generation for each in self.learners[who].promises.saved.values()), default=0)

    def _is_fresh_loss(self) -> bool:
        since_s = time.monotonic() - self._lost_at
        return self._generation("ada") in self.deleted.get("ada", ()) or since_s < strikes.LOCAL_STORAGE_S

    def _delete(self) -> str:
        if self._is_fresh_loss() or self._unseen:
            return ""
        for who in self.learners:
            self.deleted.setdefault(who, set()).add(self._generation(who))
        self._lost_at = time.monotonic()
        tab = self._some().tab
        tab.call(
            "Storage.clearDataForOrigin",
            timeout_s=strikes.QUICK_S,
            origin=self.proxy.url,
            storageTypes="indexeddb",
        )
        # Seen once on a busy machine: the browser closed a database, let a page open it anew and keep an
        # event there, and deleted that too. What was kept by now may be told of a little later.
        time.sleep(0.5)
        for who, learner in self.learners.items():
            begun = self.overtaken.setdefault(who, {})
            for each in learner.promises.saved.values():
                if each.generation > max(self.deleted[who]):
                    begun[each.generation] = max(each.seq, begun.get(each.generation, 0))
        self._did("databases deleted")
        return f"of generations {self.deleted}, and of what was begun meanwhile {self.overtaken}"

    def took(self, who: str, kept: Saved) -> bool:
        """Whether a deletion explains that something is lost."""
        upto = self.overtaken.get(who, {}).get(kept.generation, 0)
        return kept.generation in self.deleted.get(who, ()) or kept.seq <= upto

    # ---- the people

    def _sign_out(self) -> str:
        if not (self._link_is_up and self._signed_in):
            return ""
        self._some().tab.evaluate(strikes.SIGN_OUT, timeout_s=strikes.QUICK_S)
        self._did("signed out")
        # Not by `_keep_house`, which would be there at once.
        return self._later(1.0, 5.0, "the session is missed", lambda: self._be(self._who))

    def _switch(self) -> str:
        if self._who != "ada":
            return ""
        self._be("cleo")
        self._did("another person")
        return self._later(4.0, 10.0, "ada is back", lambda: self._be("ada"))

    def _be(self, who: str) -> None:
        self._who, self._signed_in = who, False

    # ---- the end

    def _make_well(self) -> None:
        for mend in list(self._mends):
            self._mend(mend)
        for name, strike in self._strikes:
            self.did[name] += strike.done
        self.proxy.restore()
        self._link_up()
        if self.portal.process is None:
            self.portal.start()
        for used in self._used:
            with suppress(*UNHEARD):
                used.tab.evaluate("window.adding = false", timeout_s=strikes.QUICK_S)
                if used.unaware:
                    used.tab.close()  # it does not hear that it should try now
        for who, learner in self.learners.items():
            if learner.promises.saved or who == "ada":
                self._drain(learner)

    def _drain(self, learner: Learner) -> None:
        learner.sign_in()
        tab = learner.tab()
        tab.front()
        self.chrome.quota(self.proxy.url, None)
        try:
            heard_out(tab, strikes.DRAINED_S)
        except AssertionError:
            self._note(f"{learner.who} at the end: {tab.evaluate('JSON.stringify(outbox.status)')}")
            raise
        self._note(f"{learner.who}'s outbox is drained")


DELETED: Final = "databases are deleted"
FAULTS: Final[dict[str, Callable[[Nemesis], str]]] = {
    "the network is refused": Nemesis._refuse,
    "the line hangs": Nemesis._hang,
    "cut": Nemesis._cut,
    "the portal is killed": Nemesis._kill_portal,
    "a tab is reloaded": Nemesis._reload,
    "a tab is closed": Nemesis._close,
    "a renderer crashes": Nemesis._crash,
    "the leader is frozen": Nemesis._freeze,
    "a clock jumps": Nemesis._jump,
    "workers are stopped": Nemesis._stop_workers,
    "the browser is killed": Nemesis._kill_browser,
    "no room": Nemesis._no_room,
    DELETED: Nemesis._delete,
    "signed out": Nemesis._sign_out,
    "another person": Nemesis._switch,
}
OFTEN: Final = [*(set(FAULTS) - {DELETED}), *(set(FAULTS) - {DELETED, "no room"})]


def fault_deck(seed: int) -> Deck:
    """Of two seeds one never deletes a database, so that nothing at all may be lost there."""
    return Deck(seed, FAULTS, OFTEN)
