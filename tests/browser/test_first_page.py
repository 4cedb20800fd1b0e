"""The first page in a real Chromium, against a portal that is really served and really killed."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from holdfast.learning.demo import PASSWORD
from tests.served import Served

pytestmark = pytest.mark.browser

PATIENCE_MS = 20_000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    portal = Served(tmp_path, port=free_port())
    portal.start()
    yield portal
    if portal.process is not None:
        portal.kill()


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield page
        browser.close()


def sign_in(page: Page, served: Served, email: str) -> None:
    page.goto(served.url)
    page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def open_lesson(page: Page, title: str) -> None:
    page.get_by_role("link", name="Reading the tide").click()
    page.get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def mark_complete(page: Page) -> None:
    page.get_by_role("button", name="Mark as complete").click()


def saved(page: Page) -> None:
    expect(page.get_by_text("Lesson complete, saved on the server.")).to_be_visible()


def journal_lines(served: Served, kind: str) -> list[str]:
    text = (served.data / "logs" / "offline-sync.jsonl").read_text()
    return [line for line in text.splitlines() if f'"kind":"{kind}"' in line]


def test_a_learner_completes_a_lesson_and_sees_it_saved(page: Page, served: Served) -> None:
    sign_in(page, served, "ada@tidewater.example")
    open_lesson(page, "Springs and neaps")
    mark_complete(page)
    saved(page)
    line = json.loads(journal_lines(served, "lesson.completed")[0])
    assert line["e"]["body"] == {"courseId": "reading-the-tide", "lessonId": "02-springs-and-neaps"}
    assert line["e"]["userId"] == "demo-ada"


def test_saved_is_said_only_once_the_server_has_said_so(page: Page, served: Served) -> None:
    sign_in(page, served, "ada@tidewater.example")
    open_lesson(page, "Springs and neaps")
    served.kill()
    mark_complete(page)
    expect(page.get_by_text("not on the server yet").first).to_be_visible()
    expect(page.get_by_text("saved on the server.")).to_have_count(0)
    served.start()
    saved(page)
    assert len(journal_lines(served, "lesson.completed")) == 1


def test_what_was_saved_is_there_after_the_plug_was_pulled(page: Page, served: Served) -> None:
    sign_in(page, served, "ada@tidewater.example")
    open_lesson(page, "Springs and neaps")
    mark_complete(page)
    saved(page)
    served.kill()
    served.start()
    page.goto(served.url)
    expect(page.get_by_text(re.compile("1 of 5 lessons complete"))).to_be_visible()
    open_lesson(page, "Springs and neaps")
    saved(page)


def test_a_learner_of_one_school_does_not_see_the_others_progress(page: Page, served: Served) -> None:
    sign_in(page, served, "ada@tidewater.example")
    open_lesson(page, "Springs and neaps")
    mark_complete(page)
    saved(page)
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, served, "cleo@highland.example")
    expect(page.get_by_text(re.compile("0 of 5 lessons complete"))).to_be_visible()
