"""The browser's outbox: saving events and sending what waits, in Chromium, against what else does this job.

Ours and the peers take turns in one page of one browser, whose profile lies on the disk. The page is
`browser/bench/outbox.js`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, Route, sync_playwright

from bench.figure import Figure, Scale, say
from bench.folder import ROOT, work_folder
from bench.serving import Served, seeded
from holdfast.learning import demo
from tests.chromium import find_chromium

BUILD_S: Final = 180
WRITERS: Final = 16
PEERS: Final = {
    "idb": "idb 8: a strict transaction an event; sent by a plain loop of batches of 50.",
    "dexie": "Dexie 4, `chromeTransactionDurability: strict`: `add`; sent by the same loop, `bulkDelete`.",
    "workbox": "Workbox's Queue 7: `pushRequest` (relaxed, it knows no other); `replayRequests` sends one "
    "request an event and deletes each before it is sent.",
    "pouchdb": "PouchDB 9: `put` (relaxed); sent by the same loop, `bulkDocs` of deletions.",
}
SAVE_P50_MS: Final = 5.0
SAVES_PER_S: Final = 3_000.0
DRAIN_S: Final = 10.0
WAITING: Final = 10_000
SLOW: Final = {"workbox": 20, "pouchdb": 10}
"""They take minutes for as many: a share of them says as much."""
RAISED: Final = {"HOLDFAST_BATCHES_PER_S": "1000000", "HOLDFAST_BATCHES_BURST": "1000000"}
"""How often one person may send is no figure of speed."""
_HTML: Final = '<!doctype html><title>bench</title><script type="module" src="/bench/outbox.js"></script>'
_SAVING: Final = (
    "Chromium, one tab, profile on the disk. {count:,} events, each writer waits for its last. "
    "Ours: strict, checksummed, numbered, told to other tabs."
)


def run(scale: Scale) -> list[Figure]:
    """Measure; raises RuntimeError where there is no Chromium or the page can't be built."""
    with work_folder() as folder, seeded(folder / "data") as data:
        script = _built(folder / "page")
        with Served.portal(data, RAISED) as portal, _page(folder / "profile", portal.url, script) as page:
            figures = _saving(page, scale)
            figures.append(_draining(page, scale))
    return figures


def _built(out: Path) -> str:
    vite = ROOT / "browser" / "node_modules" / ".bin" / "vite"
    words = [str(vite), "build", "--config", "vite.bench.config.ts", "--outDir", str(out)]
    done = subprocess.run(
        words, cwd=ROOT / "browser", capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the page was not built:\n{done.stdout}{done.stderr}")
    return (out / "outbox.js").read_text()


@contextmanager
def _page(profile: Path, url: str, script: str) -> Iterator[Page]:
    """The page on the portal's own address, signed in."""
    chromium = find_chromium()
    if chromium is None:
        raise RuntimeError("there is no Chromium")

    def serve(route: Route) -> None:
        if route.request.url.endswith(".js"):
            route.fulfill(body=script, content_type="text/javascript")
        else:
            route.fulfill(body=_HTML, content_type="text/html")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium, args=["--no-sandbox"]
        )
        try:
            page = browser.new_page()
            page.on("pageerror", lambda fault: say(f"  the page: {fault}"))
            page.route("**/bench/*", serve)
            page.goto(f"{url}/bench/page")
            _begin(page)
            yield page
        finally:
            browser.close()


def _begin(page: Page) -> None:
    """Wait for the page's script, and sign in."""
    page.wait_for_function("window.ready")
    email = next(person.email for person in demo.PEOPLE if person.email.startswith("ada"))
    page.evaluate("([email, password]) => signIn(email, password)", [email, demo.PASSWORD])


def _rounds(page: Page, scale: Scale, call: str, words: list[Any], names: list[str]) -> dict[str, list[Any]]:
    """Each in turn, round after round."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    for _ in range(scale.rounds):
        for name in names:
            found[name].append(page.evaluate(call, [name, *words]))
    return found


def _saving(page: Page, scale: Scale) -> list[Figure]:
    names = ["ours", *PEERS]
    count = scale.size(3_000, 200)
    single = scale.size(400, 50)
    call = "([peer, count, writers]) => save(peer, count, writers)"
    say("  saving, one writer")
    alone = _rounds(page, scale, call, [single, 1], names)
    say("  saving, sixteen writers")
    many = _rounds(page, scale, call, [count, WRITERS], names)

    def others(found: dict[str, list[Any]], key: str) -> dict[str, float]:
        return {
            name: round(sorted(one[key] for one in found[name])[len(found[name]) // 2], 2) for name in PEERS
        }

    said = " ".join(PEERS.values())
    return [
        Figure(
            bench="outbox",
            name="saving one event, p50",
            unit="ms",
            how=_SAVING.format(count=single),
            ours=[one["p50Ms"] for one in alone["ours"]],
            peer_is=PEERS["idb"],
            peer=[one["p50Ms"] for one in alone["idb"]],
            most=SAVE_P50_MS,
            facts={"p50 in ms": others(alone, "p50Ms"), "the others": said},
        ),
        Figure(
            bench="outbox",
            name="time for 3,000 events by 16 writers",
            unit="s",
            how=_SAVING.format(count=count) + " The bar is 3,000 events a second.",
            ours=[SAVES_PER_S / one["perS"] for one in many["ours"]],
            peer_is=PEERS["idb"],
            peer=[SAVES_PER_S / one["perS"] for one in many["idb"]],
            most=1.0,
            facts={
                "ours, events/s": [round(one["perS"]) for one in many["ours"]],
                "events/s": others(many, "perS"),
                "p50 in ms, ours": [round(one["p50Ms"], 2) for one in many["ours"]],
            },
        ),
    ]


def _draining(page: Page, scale: Scale) -> Figure:
    """Fill each to the brim, then let it send everything to the portal."""
    names = ["ours", *PEERS]
    fill = "async ([peer, count]) => (await save(peer, count, 16), finish(peer))"
    for name in names:
        page.evaluate("([peer]) => clear(peer)", [name])
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(scale.rounds):
        for name in names:
            count = scale.size(WAITING, 200) // SLOW.get(name, 1)
            page.evaluate(fill, [name, count])
            page.reload()
            _begin(page)
            began = time.monotonic()
            took = page.evaluate("([peer]) => drain(peer)", [name])
            say(
                f"  {name} sent {took['count']} in {took['seconds']:.1f} s ({time.monotonic() - began:.1f} s)"
            )
            found[name].append(took["seconds"] * WAITING / max(1, took["count"]))
    return Figure(
        bench="outbox",
        name="10,000 waiting events through the real server",
        unit="s",
        how="Kept, the page loaded anew, signed in, sent: until nothing waits. The portal is the real one, "
        "its rate limit raised. Small runs, Workbox's (a twentieth) and PouchDB's (a tenth) in proportion.",
        ours=found["ours"],
        peer_is=PEERS["idb"],
        peer=found["idb"],
        most=DRAIN_S,
        facts={"s": {name: round(sorted(found[name])[len(found[name]) // 2], 1) for name in PEERS}},
    )
