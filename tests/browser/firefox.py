"""A Firefox of the test's own, on a profile that outlives it, spoken to over WebDriver BiDi."""

from __future__ import annotations

import json
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tests.browser.pages import LOADED, as_json, came_true
from tests.browser.processes import kill_9
from tests.browser.talk import Gone, Refused, Talk

START_S: Final = 60.0
PREFS: Final[dict[str, object]] = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "browser.sessionstore.resume_from_crash": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.disable_open_during_load": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.startup.max_resumed_crashes": -1,
}


class Tab:
    """One page."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self.context = context

    def evaluate(self, expression: str, *, timeout_s: float = 30.0) -> Any:  # noqa: ANN401 - whatever it gives
        """The value of an expression, waited for when it is a promise. `Refused` carries what it threw."""
        said = self._firefox.bidi.call(
            "script.evaluate",
            {
                "expression": as_json(expression),
                "target": {"context": self.context},
                "awaitPromise": True,
                "userActivation": True,
            },
            timeout_s=timeout_s,
        )
        if said["type"] == "exception":
            raise Refused(said["exceptionDetails"]["text"])
        return json.loads(said["result"]["value"])

    def go(self, url: str, ready: str = LOADED) -> None:
        """Open an address, and wait until the expression holds there."""
        params = {"context": self.context, "url": url, "wait": "complete"}
        self._firefox.bidi.call("browsingContext.navigate", params)
        came_true(self, ready)

    def close(self) -> None:
        """As a person closes it."""
        self._firefox.bidi.call("browsingContext.close", {"context": self.context})


class Firefox:
    """A browser on a profile. `start` after `kill` is the same person opening it again."""

    def __init__(self, path: str, profile: Path) -> None:
        self._path = path
        self.profile = profile
        self._process: subprocess.Popen[bytes] | None = None
        self.bidi: Talk

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, *urls: str) -> list[Tab]:
        """Start it, and open these addresses in tabs."""
        self.profile.mkdir(parents=True, exist_ok=True)
        prefs = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFS.items()]
        (self.profile / "user.js").write_text("\n".join(prefs))
        log = self.profile.parent / f"{self.profile.name}.log"
        options = ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(self.profile)]
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [self._path, *options], stdout=said, stderr=said, start_new_session=True
            )
        end = time.monotonic() + START_S
        while (told := re.search(rb"BiDi listening on (ws://\S+)", log.read_bytes())) is None:
            assert time.monotonic() < end, f"Firefox did not start:\n{log.read_text()}"
            time.sleep(0.05)
        self.bidi = Talk(told[1].decode() + "/session")
        self.bidi.call("session.new", {"capabilities": {}})
        return [self.tab(url) for url in urls]

    def tab(self, url: str, ready: str = LOADED) -> Tab:
        """A new tab at an address."""
        tab = Tab(self, self.bidi.call("browsingContext.create", {"type": "tab"})["context"])
        tab.go(url, ready)
        return tab

    def kill(self) -> set[int]:
        """SIGKILL every process of it; the ids."""
        assert self._process is not None
        killed = kill_9(self._process, self.profile)
        self._process = None
        self.bidi.close()
        return killed

    def quit(self) -> None:
        """As a person quits it."""
        assert self._process is not None
        with suppress(Gone):
            self.bidi.call("browser.close")
        self._process.wait(START_S)
        self.kill()
