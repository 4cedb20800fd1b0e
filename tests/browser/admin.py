"""An administrator in a real Chromium: what the tests of their pages do again and again."""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, FilePayload, Locator, Page, expect, sync_playwright

from tests.browser.learner import FLAGS, PATIENCE_MS, sign_in
from tests.ports import quiet_port
from tests.served import Served

BEN: Final = "ben@tidewater.example"
SCHOOL: Final = "tidewater"


@contextmanager
def portal_at(folder: Path) -> Iterator[Served]:
    """A portal that can be killed and started again at the same address."""
    # A page that was built elsewhere can be tried without touching the one others are looking at.
    named = {key: os.environ[key] for key in ("HOLDFAST_CLIENT_DIR",) if key in os.environ}
    portal = Served(folder, named, port=quiet_port())
    portal.start()
    try:
        yield portal
    finally:
        if portal.process is not None:
            portal.kill()


@contextmanager
def chromium_at(program: str) -> Iterator[Browser]:
    """A browser; each test takes a context of its own in it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def administrator(
    browser: Browser, served: Served, workers: Literal["allow", "block"] = "allow"
) -> Iterator[Page]:
    """Signed in, on the first of their pages. Without workers a test can answer in the server's place."""
    context = browser.new_context(service_workers=workers)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    sign_in(page, served, BEN)
    heading(page, "Courses")
    yield page
    context.close()


def heading(page: Page, title: str) -> None:
    """Wait until a page is there."""
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def go(page: Page, name: str) -> None:
    """By the links of the administration."""
    page.get_by_role("navigation", name="Administration").get_by_role("link", name=name).click()


def enrol(served: Served, count: int) -> None:
    """Learners of the administrator's own school: pia-000@x.example and so on."""
    rows = "".join(f"pia-{number:03d}@x.example,Pia {number:03d},learner\n" for number in range(count))
    with served.client("ben") as ben:
        headers = {"Content-Type": "text/csv"}
        asked = f"email,name,role\n{rows}"
        # Thousands take a busy machine longer than a client waits.
        answer = ben.post("/api/admin/users/import", content=asked, headers=headers, timeout=120.0)
        assert answer.json()["created"] == count


def zipped(files: dict[str, bytes]) -> bytes:
    """The files as a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def a_file(name: str, data: bytes | str, media: str = "text/csv") -> FilePayload:
    """A file as somebody chooses it."""
    return {"name": name, "mimeType": media, "buffer": data.encode() if isinstance(data, str) else data}


def choose_course(page: Page, title: str) -> None:
    """By its title."""
    page.get_by_role("combobox", name="Course", exact=True).select_option(label=title)


def assign_now(page: Page) -> None:
    """See what will happen, and do it."""
    page.get_by_role("button", name="See what will happen", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Assign to")).click()


def newest_act(page: Page) -> Locator:
    """The first row of what became of it."""
    return page.locator(".acts .rows > li").first
