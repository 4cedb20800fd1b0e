"""A WebKitGTK of the test's own on a screen that nobody sees, spoken to over its remote inspector.

Not over WebDriver: a browser driven by that keeps everything in memory, so that nothing outlives it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.browser.pages import LOADED, as_json, came_true
from tests.browser.processes import kill_9
from tests.browser.talk import Refused, Talk
from tests.ports import quiet_port

START_S: Final = 60.0
TARGET: Final = re.compile(r'class="targeturl">([^<]*)<.*?(/socket/\d+/\d+/WebPage)', re.DOTALL)


class Tab:
    """One page. Its process may change with a navigation, and what speaks to it follows."""

    def __init__(self, socket_url: str) -> None:
        self._target = ""
        self._asked: dict[int, Future[dict[str, Any]]] = {}
        self._numbers = iter(range(1, 1_000_000_000))
        self._talk = Talk(socket_url, self._hear)

    def _hear(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event["method"]:
            case "Target.targetCreated":
                if params["targetInfo"]["type"] == "page":
                    self._target = params["targetInfo"]["targetId"]
            case "Target.didCommitProvisionalTarget":
                self._target = params["newTargetId"]
            case "Target.dispatchMessageFromTarget":
                said = json.loads(params["message"])
                if (answer := self._asked.pop(said.get("id", 0), None)) is not None:
                    answer.set_result(said)
            case _:
                pass

    def call(self, method: str, params: dict[str, Any], timeout_s: float = 30.0) -> dict[str, Any]:
        """One call to the page itself. `Refused` also when the page went away meanwhile."""
        number = next(self._numbers)
        answer: Future[dict[str, Any]] = Future()
        self._asked[number] = answer
        message = json.dumps({"id": number, "method": method, "params": params})
        if not self._target:
            raise Refused("the page is not there yet")
        self._talk.call("Target.sendMessageToTarget", {"targetId": self._target, "message": message})
        try:
            said = answer.result(timeout_s)
        except TimeoutError:
            raise Refused(f"{method} was not answered within {timeout_s} s") from None
        if "error" in said:
            raise Refused(json.dumps(said["error"]))
        result: dict[str, Any] = said["result"]
        return result

    def evaluate(self, expression: str, *, timeout_s: float = 30.0) -> Any:  # noqa: ANN401 - whatever it gives
        """The value of an expression, waited for when it is a promise. `Refused` carries what it threw."""
        promised = self.call("Runtime.evaluate", {"expression": as_json(expression)}, timeout_s)
        if promised.get("wasThrown"):
            raise Refused(promised["result"].get("description", "thrown"))
        promise = {"promiseObjectId": promised["result"]["objectId"], "returnByValue": True}
        said = self.call("Runtime.awaitPromise", promise, timeout_s)
        if said.get("wasThrown"):
            raise Refused(said["result"].get("description", json.dumps(said["result"])))
        return json.loads(said["result"]["value"])

    def close(self) -> None:
        """End what speaks to the page."""
        self._talk.close()


class Webkit:
    """A browser on a profile. `start` after `kill` is the same person opening it again."""

    def __init__(self, mini_browser: str, profile: Path) -> None:
        self._path = mini_browser
        self.profile = profile
        self._process: subprocess.Popen[bytes] | None = None
        self._screen: subprocess.Popen[bytes] | None = None
        self._tabs: list[Tab] = []

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, *urls: str) -> list[Tab]:
        """Start it with these addresses, each in a tab."""
        self.profile.mkdir(parents=True, exist_ok=True)
        port = quiet_port()
        places = {
            f"XDG_{what}_HOME": str(self.profile / what.lower()) for what in ("DATA", "CACHE", "CONFIG")
        }
        env = {
            **os.environ,
            **places,
            "HOME": str(self.profile),
            "DISPLAY": self._display(),
            "NO_AT_BRIDGE": "1",
            # A container has no namespaces to give away, and the pages are our own.
            "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1",
            "WEBKIT_INSPECTOR_HTTP_SERVER": f"127.0.0.1:{port}",
        }
        with (self.profile.parent / f"{self.profile.name}.log").open("ab") as said:
            self._process = subprocess.Popen(
                [self._path, "--enable-developer-extras=true", *urls],
                env=env,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        targets = _targets(port, len(urls))
        self._tabs = []
        for url in urls:
            place = next(place for at, place in targets if at == url and place)
            targets.remove((url, place))
            tab = Tab(f"ws://127.0.0.1:{port}{place}")
            self._tabs.append(tab)
            came_true(tab, LOADED)
        return self._tabs

    def _display(self) -> str:
        if self._screen is None:
            reading, writing = os.pipe()
            self._screen = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
                pass_fds=[writing],
                stderr=subprocess.DEVNULL,
            )
            os.close(writing)
            with os.fdopen(reading) as told:
                self._number = told.readline().strip()
            assert self._number, "Xvfb did not start"
        return f":{self._number}"

    def kill(self) -> set[int]:
        """SIGKILL every process of it; the ids."""
        assert self._process is not None
        killed = kill_9(self._process, self.profile)
        self._process = None
        for tab in self._tabs:
            tab.close()
        return killed

    def end(self) -> None:
        """Kill it, and its screen."""
        if self.is_running:
            self.kill()
        if self._screen is not None:
            self._screen.send_signal(signal.SIGTERM)
            self._screen.wait(START_S)


def _targets(port: int, count: int) -> list[tuple[str, str]]:
    """Address and place of every page, once all are there."""
    end = time.monotonic() + START_S
    found: list[tuple[str, str]] = []
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/") as listing:
            found = TARGET.findall(listing.read().decode())
        if len([url for url, _ in found if url.startswith("http")]) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"WebKit did not open {count} pages: {found}")
