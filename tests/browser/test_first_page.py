"""The first page in a real Chromium, against a portal that is really served and really killed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.learner import (
    CLEO,
    FLAGS,
    LESSON,
    PATIENCE_MS,
    journal_lines,
    mark_complete,
    open_lesson,
    saved,
    sign_in,
)
from tests.ports import quiet_port
from tests.served import Served, until

pytestmark = pytest.mark.browser


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    portal = Served(tmp_path, port=quiet_port())
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


def test_a_learner_completes_a_lesson_and_sees_it_saved(page: Page, served: Served) -> None:
    sign_in(page, served)
    open_lesson(page, LESSON)
    mark_complete(page)
    saved(page)
    line = json.loads(journal_lines(served, "lesson.completed")[0])
    assert line["e"]["body"] == {"courseId": "reading-the-tide", "lessonId": "02-springs-and-neaps"}
    assert line["e"]["userId"] == "demo-ada"


def test_saved_is_said_only_once_the_server_has_said_so(page: Page, served: Served) -> None:
    sign_in(page, served)
    open_lesson(page, LESSON)
    served.kill()
    mark_complete(page)
    expect(page.get_by_text("not on the server yet").first).to_be_visible()
    expect(page.get_by_text("saved on the server.")).to_have_count(0)
    served.start()
    saved(page)
    assert len(journal_lines(served, "lesson.completed")) == 1


def test_what_was_saved_is_there_after_the_plug_was_pulled(page: Page, served: Served) -> None:
    sign_in(page, served)
    open_lesson(page, LESSON)
    mark_complete(page)
    saved(page)
    served.kill()
    served.start()
    # What was saved may not have been applied when the plug was pulled, and a page reads once.
    with served.client("ada") as ada:
        until(lambda: ada.get("/api/client/courses").json()["items"][0]["completedLessons"] == 1)
    page.goto(served.url)
    expect(page.get_by_text(re.compile("1 of 5 lessons complete"))).to_be_visible()
    open_lesson(page, LESSON)
    saved(page)


def test_a_learner_of_one_school_does_not_see_the_others_progress(page: Page, served: Served) -> None:
    sign_in(page, served)
    open_lesson(page, LESSON)
    mark_complete(page)
    saved(page)
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()
    sign_in(page, served, CLEO)
    expect(page.get_by_text(re.compile("0 of 5 lessons complete"))).to_be_visible()
