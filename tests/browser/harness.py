"""A page of the test's own that uses the real outbox against the real portal, and what it was promised."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from holdfast.learning.demo import PASSWORD
from tests.browser.chrome import Chrome, Tab
from tests.browser.proxy import Proxy
from tests.served import PEOPLE

HERE: Final = Path(__file__).parent
BROWSER: Final = HERE.parents[1] / "browser"
PAGE: Final = b'<!doctype html><title>outbox</title><script type="module" src="/test/page.js"></script>'
PRINCIPALS: Final = {
    "ada": {"orgId": "tidewater", "userId": "demo-ada"},
    "cleo": {"orgId": "highland", "userId": "demo-cleo"},
}


ENTRY: Final = """
export { openOutbox, tabParts } from "SOURCE/src/outbox/alone";
export { HERE_CACHE, HERE_URL, markOf, tagOf } from "SOURCE/src/wire/worker-words";
"""


def bundle(folder: Path, source: Path = BROWSER) -> dict[str, bytes]:
    """The outbox as it stands in a source tree, and what else the page needs of it: file names to scripts."""
    npx = shutil.which("npx")
    assert npx, "npx builds the page's script"
    entry, out = folder / "outbox.ts", folder / "out"
    entry.write_text(ENTRY.replace("SOURCE", str(source)))
    said = subprocess.run(
        [npx, "rolldown", str(entry), "--format", "esm", "--dir", str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return {each.name: each.read_bytes() for each in out.iterdir()}


def put_up(proxy: Proxy, scripts: Mapping[str, bytes]) -> None:
    """Serve the page at /test/page, and its scripts beside it."""
    proxy.pages["/test/page"] = ("text/html", PAGE)
    proxy.pages["/test/page.js"] = ("text/javascript", (HERE / "page.js").read_bytes())
    for name, script in scripts.items():
        proxy.pages[f"/test/{name}"] = ("text/javascript", script)


@dataclass(frozen=True)
class Saved:
    """One event that a page was told is on its device."""

    id: str
    kind: str
    seq: int
    generation: int


@dataclass
class Promises:
    """What pages were told, of one principal."""

    saved: dict[str, Saved] = field(default_factory=dict)
    undeliverable: dict[str, str] = field(default_factory=dict)
    """Id to reason."""
    settled: dict[str, list[str]] = field(default_factory=dict)
    losses: list[dict[str, Any]] = field(default_factory=list)
    drained: list[dict[str, Any]] = field(default_factory=list)
    unsafe: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def in_brief(self) -> str:
        """For a story."""
        last = max(((each.generation, each.seq) for each in self.saved.values()), default=(0, 0))
        ranges = {(loss["generation"], *each) for loss in self.losses for each in loss["missing"]}
        return f"{len(self.saved)} saved, last {last}, {self.unsafe} not kept, lost {sorted(ranges)}"

    def hear(self, told: Iterable[dict[str, Any]]) -> Promises:
        """Take in what pages told."""
        for each in told:
            self._hear(each)
        return self

    def _hear(self, each: dict[str, Any]) -> None:
        if "saved" in each:
            self.saved[each["saved"]] = Saved(each["saved"], each["kind"], each["seq"], each["generation"])
        elif "unsafe" in each:
            self.unsafe += 1
        elif "fault" in each:
            self.faults.append(each["fault"])
        elif "news" in each:
            self._heard(each["news"])

    def _heard(self, news: dict[str, Any]) -> None:
        match news["type"]:
            case "settled":
                self.settled.setdefault(news["id"], []).append(news["outcome"])
            case "undeliverable":
                self.undeliverable[news["item"]["id"]] = news["item"]["reason"]
            case "loss":
                self.losses.append(news["loss"])
            case "drained":
                self.drained.append(news)
            case _:
                pass


@dataclass
class Learner:
    """Somebody who uses the page in one browser, and who remembers what they were promised."""

    chrome: Chrome
    proxy: Proxy
    who: str = "ada"
    _told: list[list[dict[str, Any]]] = field(default_factory=list)

    @property
    def promises(self) -> Promises:
        """All that their pages have told so far, those that are gone included."""
        found = Promises()
        for told in self._told:
            found.hear(list(told))
        return found

    def sign_in(self) -> None:
        """In a tab that is closed again; the browser keeps the cookie."""
        tab = self.chrome.tab(f"{self.proxy.url}/test/page", "typeof signIn === 'function'")
        tab.evaluate(f"signIn({json.dumps(PEOPLE[self.who])}, {json.dumps(PASSWORD)})")
        tab.close()

    def signed_in_long_ago(self) -> None:
        """Sign in, and quit: a cookie reaches the disk then, or after half a minute."""
        self.sign_in()
        self.chrome.quit()
        self.chrome.start()

    def tab(self, more: str = "{}") -> Tab:
        """A tab with the outbox open. `more`: parts that differ from the browser's own, as an expression."""
        tab = self.chrome.tab(f"{self.proxy.url}/test/page", "typeof openMine === 'function'")
        self._told.append(tab.said)
        tab.opened = True
        self.open_in(tab, more)
        return tab

    def open_in(self, tab: Tab, more: str = "{}") -> None:
        """Open the outbox in a tab, such as one that was reloaded."""
        tab.until("typeof openMine === 'function'")
        tab.evaluate(f"openMine({json.dumps(PRINCIPALS[self.who])}, {more}).then(() => true)")

    def with_worker(self, tab: Tab, *scope: str) -> None:
        """Give the portal's own service worker leave to send; `askForSync()` asks the browser to wake it."""
        given = ", ".join([json.dumps(PRINCIPALS[self.who]), *map(json.dumps, scope)])
        tab.evaluate(f"withWorker({given}).then(() => true)")

    def reload(self, tab: Tab) -> None:
        """Reload a tab, and open the outbox in it again."""
        tab.reload("typeof openMine === 'function'")
        self.open_in(tab)


def waiting(tab: Tab) -> int:
    """How many entries wait on the device, read from the database."""
    return int(tab.evaluate("outbox.waiting().then((all) => all.length)"))


def drained(tab: Tab, timeout_s: float = 60.0) -> None:
    """Wait until nothing waits; a person asks for it to be sent now, again and again."""
    tab.until("outbox.sendNow(), outbox.waiting().then((all) => all.length === 0)", timeout_s)


def heard_out(tab: Tab, timeout_s: float) -> None:
    """Drained, every loss told; and what the device itself has to say in the end is heard."""
    drained(tab, timeout_s)
    tab.until("outbox.sendNow(), outbox.losses().then((all) => all.every(({told}) => told))", timeout_s)
    losses, refused = tab.evaluate("Promise.all([outbox.losses(), outbox.undeliverable()])")
    tab.said += [{"news": {"type": "loss", "loss": each}} for each in losses]
    tab.said += [{"news": {"type": "undeliverable", "item": each}} for each in refused]
