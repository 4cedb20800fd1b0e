"""A learner in a real Chromium: what the tests of their pages do again and again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, Route, expect

from holdfast.learning.demo import PASSWORD
from tests.browser.oracle import whole_lines
from tests.served import Served, until

PATIENCE_MS: Final = 60_000
"""A page asks again after half a minute at the latest whether a portal is back; the machine may be busy."""
FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
ADA: Final = "ada@tidewater.example"
LESSON: Final = "Springs and neaps"
A_TIME: Final = r"(?:[A-Z][a-z]+ \d+, \d{4}, )?\d+:\d\d"
"""As a page writes a moment: with its day where that is not today's, as a next try's is before midnight."""
CLEO: Final = "cleo@highland.example"
BROKEN_STORAGE: Final = (
    "IDBFactory.prototype.open = () => { throw new DOMException('broken', 'UnknownError') }"
)
FULL_STORAGE: Final = """
if (sessionStorage.getItem("isFull")) IDBObjectStore.prototype.put = () => {
  throw new DOMException("no room", "QuotaExceededError");
};
"""
"""A database that gives back what it has and takes nothing more, in a tab whose session says so."""
AXE: Final = Path(__file__).resolve().parents[2] / "browser" / "node_modules" / "axe-core" / "axe.min.js"


def sign_in(page: Page, served: Served, email: str = ADA) -> None:
    """Open the portal and sign in."""
    page.goto(served.url)
    page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def open_lesson(page: Page, title: str) -> None:
    """From the courses to a lesson of the demo course."""
    page.get_by_role("link", name="Reading the tide", exact=True).click()
    page.get_by_role("link", name=title, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def mark_complete(page: Page) -> None:
    """Press the button; whether it is kept or saved is for the test to see."""
    page.get_by_role("button", name="Mark as complete", exact=True).click()


def saved(page: Page) -> None:
    """Wait for two ticks on the open lesson."""
    expect(page.get_by_text("Lesson complete, saved on the server.")).to_be_visible()


def kept(page: Page) -> None:
    """Wait for one tick on the open lesson."""
    expect(page.get_by_text("Lesson complete, on this device")).to_be_visible()


def completed_while_the_portal_is_down(page: Page, served: Served, lesson: str = LESSON) -> None:
    """Ada completes a lesson; the portal was killed a moment before, and her device keeps it."""
    sign_in(page, served)
    open_lesson(page, lesson)
    waiting(page, 0)
    # By then the worker holds every file of the portal's, those of pages not opened yet too.
    reads_without_a_network(page)
    served.kill()
    mark_complete(page)
    kept(page)


def reads_without_a_network(page: Page) -> None:
    """Wait until the worker answers this page; what is read from then on is there offline, too."""
    until(lambda: page.evaluate("navigator.serviceWorker.controller !== null"), 60.0)


def refuse_completions(route: Route) -> None:
    """As a server whose lesson is gone answers; everything else reaches the real one, in its next batch."""
    events: list[dict[str, Any]] = json.loads(route.request.post_data or "{}")["events"]
    refused = [event for event in events if event["kind"] == "lesson.completed"]
    if not refused:
        route.continue_()
        return
    never = {"status": "invalid", "code": "unknown_lesson", "reason": "There is no such lesson."}
    later = {"status": "later", "code": "busy", "reason": "One moment."}
    receipts = [{"id": event["id"], **(never if event in refused else later)} for event in events]
    body = json.dumps({"receipts": receipts, "device": None, "slowDownMs": 0})
    route.fulfill(status=202, content_type="application/json", body=body)


def sign_out(page: Page) -> None:
    """Press the button; what is asked then is for the test to answer."""
    page.get_by_role("button", name="Sign out", exact=True).click()


def marks(page: Page, within: str) -> list[str]:
    """Which signs stand in a part of the page, in order."""
    found = page.locator(f"{within} svg.mark").evaluate_all("marks => marks.map(mark => mark.classList[1])")
    return [str(name).removeprefix("mark-") for name in found]


def waiting(page: Page, count: int) -> None:
    """Wait until the header says that so much of a learner's work waits."""
    words = "All on the server" if count == 0 else f"{count} waiting"
    expect(page.locator(".standing")).to_have_text(words)


def journal_lines(served: Served, kind: str) -> list[str]:
    """The journal's lines of a kind."""
    lines = whole_lines(served.data / "logs" / "offline-sync.jsonl")
    return [text for line in lines if f'"kind":"{kind}"' in (text := line.decode())]


def faults_seen_by_axe(page: Page) -> list[str]:
    """What axe calls serious or critical on the page as it stands."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
    )
    return [
        f"{one['id']}: {json.dumps([node['target'] for node in one['nodes']])}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def overflow_px(page: Page) -> int:
    """By how much the page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider
