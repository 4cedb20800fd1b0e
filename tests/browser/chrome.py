"""A Chromium of the test's own, on a profile that outlives it: spoken to over CDP, killed and started again.

Playwright is not used here: it keeps every page focused, so that none is ever hidden or frozen, and it
tidies up where a test wants a crash.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.browser.processes import kill_9
from tests.browser.talk import Gone, Refused, Talk

START_S: Final = 60.0
OFFLINE: Final = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
ONLINE: Final = {**OFFLINE, "offline": False}

QUICK_SYNC: Final = (
    *("initial_retry_delay_sec", "2"),
    *("retry_delay_factor", "1"),
    *("max_sync_attempts", "1000"),
    *("min_recovery_time_sec", "1"),
)
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--password-store=basic",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    # A sync that failed is tried again after 2 s each time, instead of after 5, 15 and 45 minutes.
    "--force-fieldtrials=BackgroundSync/Quick",
    f"--force-fieldtrial-params=BackgroundSync.Quick:{'/'.join(QUICK_SYNC)}",
)

SQLITE: Final = ("--enable-features=IdbSqliteOnDiskRollout:stage/UseSqliteForNewStores",)
"""Chromium's new engine under IndexedDB; without it, LevelDB."""


@dataclass
class Tab:
    """One page."""

    chrome: Chrome
    target: str
    session: str
    said: list[Any] = field(default_factory=list)
    """What the page told by `tell(…)`, in order."""
    crashed: bool = False
    opened: bool = False
    """Whether the test opened its outbox in it: then it is one of those that are used."""

    def begin(self, method: str, **params: Any) -> Future[dict[str, Any]]:  # noqa: ANN401 - as CDP has it
        return self.chrome.cdp.begin(method, params, sessionId=self.session)

    def call(self, method: str, *, timeout_s: float = 30.0, **params: Any) -> dict[str, Any]:  # noqa: ANN401
        return self.chrome.cdp.call(method, params, timeout_s=timeout_s, sessionId=self.session)

    def go(self, url: str, ready: str = "document.readyState === 'complete'") -> None:
        """Open an address, and wait until the expression holds there."""
        said = self.call("Page.navigate", url=url)
        assert not said.get("errorText"), f"{url}: {said['errorText']}"
        self.until(ready)

    def reload(self, ready: str = "document.readyState === 'complete'") -> None:
        """Reload, and wait until the expression holds in the new document."""
        self.evaluate("void (window.isOld = true)")
        self.call("Page.reload")
        self.until(f"!window.isOld && ({ready})")

    def evaluate(self, expression: str, *, timeout_s: float = 30.0) -> Any:  # noqa: ANN401 - whatever it gives
        """The value of an expression, waited for when it is a promise. `Refused` carries what it threw.

        What the page told before it had the value is in `said` by then."""
        said = self.call(
            "Runtime.evaluate",
            timeout_s=timeout_s,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        self.chrome.cdp.heard_so_far()
        return _value(said)

    def until(self, expression: str, timeout_s: float = 60.0) -> Any:  # noqa: ANN401 - whatever it gives
        """What the expression gives as soon as it is true; navigations in between are waited out."""
        end = time.monotonic() + timeout_s
        found: Any = None
        while time.monotonic() < end:
            try:
                found = self.evaluate(expression)
            except Refused as not_yet:
                found = not_yet
            else:
                if found:
                    return found
            time.sleep(0.05)
        raise AssertionError(f"{expression} did not come true within {timeout_s} s; last seen: {found!r}")

    def front(self) -> None:
        """Show this tab; the others of its window are hidden from now on."""
        self.call("Page.bringToFront")

    def freeze(self) -> None:
        """What Chromium does to a tab that was hidden for long: its tasks stop, its locks stay its own."""
        self.until("document.hidden")  # only a hidden page is frozen
        self.evaluate(FREEZE_IS_TOLD)
        before = self.said.count(FROZEN)
        self.call("Page.setWebLifecycleState", state="frozen")
        _wait(lambda: self.said.count(FROZEN) > before, "the page was not frozen")

    def thaw(self) -> None:
        """The tab goes on where it was."""
        self.call("Page.setWebLifecycleState", state="active")

    def crash(self) -> None:
        """The renderer dies; no `pagehide` comes. Close the tab afterwards."""
        self.begin("Page.crash")  # nobody is left to answer it
        _wait(lambda: self.crashed, "the renderer did not crash")

    def close(self) -> None:
        """As a person closes it: `pagehide` runs. Returns once the page is gone."""
        self.chrome.cdp.call("Target.closeTarget", {"targetId": self.target})
        _wait(lambda: self.session not in self.chrome.tabs, "the page did not go")

    def clock_jumps(self, by_s: float) -> None:
        """From now on, also after a reload, the page's wall clock is off by this much."""
        source = CLOCK.replace("BY_MS", str(round(by_s * 1000)))
        self.call("Page.addScriptToEvaluateOnNewDocument", source=source)
        self.evaluate(source)


FROZEN: Final = {"frozen": True}
FREEZE_IS_TOLD: Final = """void (document.onfreeze = () => tell('{"frozen": true}'))"""
CLOCK: Final = """(() => {
  const Real = window.realDate ??= Date;
  const off = BY_MS;
  window.Date = class extends Real {
    constructor(...given) { given.length ? super(...given) : super(Real.now() + off); }
    static now() { return Real.now() + off; }
  };
})()"""


def _value(said: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever the page gave
    if "exceptionDetails" in said:
        thrown = said["exceptionDetails"]
        raise Refused(thrown.get("exception", {}).get("description") or json.dumps(thrown))
    return said["result"].get("value")


def _wait(came: Callable[[], bool], otherwise: str, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not came():
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)


class Chrome:
    """A browser on a profile. `start` after `kill` is the same person opening it again."""

    def __init__(self, path: str, profile: Path, flags: tuple[str, ...] = ()) -> None:
        self._path = path
        self.profile = profile
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None
        self._offline = False
        self._workers: dict[str, str] = {}
        self._lock = threading.Lock()
        self._versions: dict[str, str] = {}
        self.tabs: dict[str, Tab] = {}
        self.cdp: Talk

    def start(self, *, offline: bool = False) -> None:
        """Start it, without a network if asked; returns once it can be spoken to."""
        self.profile.mkdir(parents=True, exist_ok=True)
        port_file = self.profile / "DevToolsActivePort"
        port_file.unlink(missing_ok=True)
        command = [self._path, *FLAGS, *self._flags, f"--user-data-dir={self.profile}", "about:blank"]
        with (self.profile.parent / f"{self.profile.name}.log").open("ab") as said:
            self._process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        _wait(lambda: port_file.is_file() and port_file.read_text().count("\n") == 1, "no Chromium", START_S)
        port, path = port_file.read_text().split("\n")
        self.tabs, self._workers, self._versions = {}, {}, {}
        self._offline = offline
        self.cdp = Talk(f"ws://127.0.0.1:{port}{path}", self._hear)
        # Pages and workers alike are held until they know whether there is a network.
        self.cdp.call(
            "Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        )

    def tab(self, url: str = "about:blank", ready: str = "document.readyState === 'complete'") -> Tab:
        """A new tab of the same window, at an address."""
        # Not opened empty and sent there: under load the empty page may arrive last.
        target = self.cdp.call("Target.createTarget", {"url": url})["targetId"]
        _wait(lambda: any(tab.target == target for tab in list(self.tabs.values())), "no tab came")
        tab = next(tab for tab in list(self.tabs.values()) if tab.target == target)
        tab.until(f"location.href !== 'about:blank' === {str(url != 'about:blank').lower()} && ({ready})")
        return tab

    def offline(self) -> None:
        """Tabs and workers, those to come included, are told so, and their requests stay.

        A worker that wakes may send before it has been told: refuse the link too, and it can't.
        """
        self._network(is_offline=True)

    def online(self) -> None:
        """The network is back, and whoever waits for it is told."""
        self._network(is_offline=False)

    def _network(self, *, is_offline: bool) -> None:
        self._offline = is_offline
        with self._lock:
            sessions = [*self.tabs, *self._workers]
        for session in sessions:
            self._told_network(session)

    def kill(self) -> set[int]:
        """SIGKILL every process of it; the ids."""
        assert self._process is not None
        killed = kill_9(self._process, self.profile)
        self._ended()
        return killed

    def quit(self) -> None:
        """As a person quits it."""
        assert self._process is not None
        with suppress(Gone):
            self.cdp.call("Browser.close")
        self._process.wait(START_S)
        kill_9(self._process, self.profile)
        self._ended()

    def stop_workers(self) -> int:
        """End every service worker, whatever it is doing; how many had been running."""
        running = len(self.workers_running)
        next(iter(self.tabs.values())).call("ServiceWorker.stopAllWorkers")
        _wait(lambda: not self.workers_running, "a worker was not stopped")
        return running

    @property
    def workers_running(self) -> set[str]:
        """The service workers that run now."""
        return {
            version for version, status in list(self._versions.items()) if status in ("running", "stopping")
        }

    def quota(self, origin: str, size_bytes: int | None) -> None:
        """What the origin may store; None is as much as ever."""
        params: dict[str, Any] = {"origin": origin}
        if size_bytes is not None:
            params["quotaSize"] = size_bytes
        next(iter(self.tabs.values())).call("Storage.overrideQuotaForOrigin", **params)

    def clear_databases(self, origin: str) -> None:
        """Delete the origin's databases under the pages that have them open."""
        tab = next(iter(self.tabs.values()))
        tab.call("Storage.clearDataForOrigin", origin=origin, storageTypes="indexeddb")

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def _ended(self) -> None:
        self._process = None
        self.cdp.close()
        self.tabs, self._workers, self._versions = {}, {}, {}

    # ---- what the browser tells

    def _hear(self, event: dict[str, Any]) -> None:
        method, params = event["method"], event.get("params", {})
        session = event.get("sessionId", "")
        with suppress(Refused, Gone):
            if method == "Target.attachedToTarget":
                self._attached(params["sessionId"], params["targetInfo"])
            elif method == "Target.detachedFromTarget":
                with self._lock:
                    self._workers.pop(params["sessionId"], None)
                    self.tabs.pop(params["sessionId"], None)
            elif method == "ServiceWorker.workerVersionUpdated":
                self._versions.update(
                    {each["versionId"]: each["runningStatus"] for each in params["versions"]}
                )
                if "starting" in self._versions.values():
                    self._let_workers_run()
            elif tab := self.tabs.get(session):
                _heard(tab, method, params)

    def _attached(self, session: str, info: dict[str, Any]) -> None:
        if info["type"] == "page":
            tab = Tab(self, info["targetId"], session)
            for method, params in PAGE_START:
                self.cdp.begin(method, params, sessionId=session)
            with self._lock:
                self.tabs[session] = tab
        elif info["type"] == "service_worker":
            with self._lock:
                self._workers[session] = info["url"]
            self.cdp.begin("Network.enable", sessionId=session)
        self._told_network(session)
        self.cdp.begin("Runtime.runIfWaitingForDebugger", sessionId=session)

    def _let_workers_run(self) -> None:
        """One that was stopped is held again as it starts, on the session it had."""
        with self._lock:
            sessions = list(self._workers)
        for session in sessions:
            self._told_network(session)
            self.cdp.begin("Runtime.runIfWaitingForDebugger", sessionId=session)

    def _told_network(self, session: str) -> None:
        with suppress(Gone):
            conditions = OFFLINE if self._offline else ONLINE
            self.cdp.begin("Network.emulateNetworkConditions", conditions, sessionId=session)


PAGE_START: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("Page.enable", {}),
    ("Inspector.enable", {}),
    ("Network.enable", {}),
    ("ServiceWorker.enable", {}),
    ("Runtime.enable", {}),
    ("Runtime.addBinding", {"name": "tell"}),
)


def _heard(tab: Tab, method: str, params: dict[str, Any]) -> None:
    if method == "Runtime.bindingCalled" and params["name"] == "tell":
        tab.said.append(json.loads(params["payload"]))
    elif method == "Inspector.targetCrashed":
        tab.crashed = True
