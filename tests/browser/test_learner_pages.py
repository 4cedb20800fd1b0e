"""A learner's pages in a real Chromium: the ticks, what waits, what the server refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.learner import (
    A_TIME,
    ADA,
    BROKEN_STORAGE,
    LESSON,
    completed_while_the_portal_is_down,
    journal_lines,
    kept,
    mark_complete,
    marks,
    open_lesson,
    reads_without_a_network,
    refuse_completions,
    sign_in,
    sign_out,
    waiting,
)
from tests.served import Served

pytestmark = pytest.mark.browser

QUIZ_LESSON = "The rule of twelfths"


# ---- ticks ---------------------------------------------------------------------------------------


def test_a_lesson_completed_offline_has_one_tick_and_two_once_the_portal_answers(
    page: Page, served: Served
) -> None:
    completed_while_the_portal_is_down(page, served)
    assert marks(page, ".complete") == ["tick"]
    expect(page.get_by_text("saved on the server.")).to_have_count(0)
    page.get_by_role("link", name="All lessons of this course", exact=True).click()
    row = page.get_by_role("listitem").filter(has_text=LESSON)
    expect(row).to_contain_text("complete: on this device")
    assert marks(page, ".lesson-row:nth-child(2)") == ["tick"]
    expect(page.get_by_text("0 of 5 complete, 1 more on this device")).to_be_visible()
    served.start()
    expect(row).to_contain_text("saved on the server")
    assert marks(page, ".lesson-row:nth-child(2)") == ["ticks"]
    waiting(page, 0)
    assert len(journal_lines(served, "lesson.completed")) == 1


def test_what_was_done_offline_is_there_after_the_page_was_loaded_anew(page: Page, served: Served) -> None:
    sign_in(page, served)
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()
    reads_without_a_network(page)
    open_lesson(page, LESSON)
    waiting(page, 0)
    served.kill()
    mark_complete(page)
    kept(page)
    page.reload()
    # Nobody can be asked who this is; the device remembers, and shows what it has.
    kept(page)
    expect(page.get_by_text("Shown from this device.")).to_be_visible()
    expect(page.get_by_text("Ada Learner")).to_be_visible()
    page.get_by_role("link", name="All lessons of this course", exact=True).click()
    expect(page.get_by_role("listitem").filter(has_text=LESSON)).to_contain_text("complete: on this device")
    served.start()
    expect(page.get_by_text("1 of 5 complete")).to_be_visible()
    waiting(page, 0)
    assert len(journal_lines(served, "lesson.completed")) == 1


def test_what_waits_says_since_when_why_and_what_comes_next(page: Page, served: Served) -> None:
    completed_while_the_portal_is_down(page, served)
    page.locator(".standing").click()
    expect(page.get_by_role("heading", level=1, name="What is waiting", exact=True)).to_be_visible()
    row = page.get_by_role("listitem").filter(has_text=f"“{LESSON}” marked as complete")
    expect(row).to_contain_text(re.compile(rf"Kept on this device since {A_TIME}"))
    expect(row).to_contain_text(re.compile(rf"Next try {A_TIME}"))
    lane = page.get_by_role("status").filter(has_text="thing")
    expect(lane.first).to_contain_text("The server could not be reached.")
    # What is a live region is read aloud at each change, and the time of the next try changes at each try.
    expect(lane.first).not_to_contain_text("Next try")
    line = page.locator("main p").filter(has=page.get_by_role("status"))
    expect(line.first).to_contain_text(re.compile(rf"Next try {A_TIME}"))
    expect(page.get_by_text("What waits longer than an hour is marked")).to_be_visible()
    # Pressed while nobody answers: once the portal is back, it may all be sent before anybody could press.
    page.get_by_role("button", name="Send now", exact=True).click()
    expect(row).to_contain_text(re.compile(rf"Next try {A_TIME}"))
    served.start()
    expect(page.get_by_text("Nothing waits.")).to_be_visible()


def test_waiting_for_more_than_an_hour_is_not_silent(page: Page, served: Served) -> None:
    completed_while_the_portal_is_down(page, served)
    page.clock.install()
    page.clock.fast_forward("01:01:00")
    expect(page.get_by_text("waited on this device for more than an hour")).to_be_visible()
    page.get_by_role("link", name="See why", exact=True).click()
    # What was read of the lesson may wait beside it.
    row = page.get_by_role("listitem").filter(has_text=f"“{LESSON}” marked as complete")
    expect(row).to_contain_text("Waiting for long: done 1 hour ago")


# ---- a device that keeps nothing -----------------------------------------------------------------


def test_what_the_device_cannot_keep_is_called_not_safe_until_the_server_has_it(
    page: Page, served: Served
) -> None:
    page.add_init_script(BROKEN_STORAGE)
    sign_in(page, served)
    open_lesson(page, LESSON)
    expect(page.locator(".standing")).to_have_text("Not safe yet")
    served.kill()
    mark_complete(page)
    expect(page.get_by_text(re.compile("not safe yet: this device can.t keep it"))).to_be_visible()
    # What was read by then may have reached the server before it was killed, or not.
    expect(page.get_by_text(re.compile(r"Not safe yet: \d+ things? you did"))).to_be_visible()
    assert marks(page, ".complete") == ["warn"]
    served.start()
    expect(page.get_by_text("Lesson complete, saved on the server.")).to_be_visible()
    assert len(journal_lines(served, "lesson.completed")) == 1


# ---- what the server will not have ---------------------------------------------------------------


def test_what_the_server_refuses_is_shown_exported_tried_again_and_put_away(
    browser: Browser, served: Served, tmp_path: Path
) -> None:
    with browser.new_context(service_workers="block") as context:
        page = context.new_page()
        context.route("**/api/client/progress/batch*", refuse_completions)
        sign_in(page, served)
        open_lesson(page, LESSON)
        mark_complete(page)
        expect(page.get_by_text("the server will not have this: There is no such lesson.")).to_be_visible()
        # The words with their sign: what is read of the lesson waits now and then, under another one.
        standing = page.locator(".standing").filter(has_text=re.compile("^1 refused$"))
        expect(standing.locator("svg.mark")).to_have_class(re.compile(r"\bmark-stop\b"))
        page.get_by_role("link", name="See why, and what you can do", exact=True).click()
        expect(page.get_by_text("Everything else you did on this device is on the server")).to_be_visible()
        item = page.get_by_role("listitem").filter(has_text="There is no such lesson.")
        expect(item).to_contain_text("What you can do:")

        with page.expect_download() as downloading:
            page.get_by_role("button", name="Save a copy as a file", exact=True).click()
        downloading.value.save_as(tmp_path / "export.json")
        exported = json.loads((tmp_path / "export.json").read_text())
        assert exported["person"]["email"] == ADA
        [refused] = exported["undeliverable"]
        assert refused["code"] == "unknown_lesson"
        assert json.loads(refused["payload"])["lessonId"] == "02-springs-and-neaps"

        # Tried again it is refused again; and when the server has it, it is saved under the same id.
        with page.expect_response(lambda one: "lesson.completed" in (one.request.post_data or "")):
            item.get_by_role("button", name="Try again", exact=True).click()
        expect(item.get_by_role("button", name="Try again", exact=True)).to_be_enabled()
        context.unroute_all()
        item.get_by_role("button", name="Try again", exact=True).click()
        expect(item).to_have_count(0)
        waiting(page, 0)
        [line] = journal_lines(served, "lesson.completed")
        assert json.loads(line)["e"]["id"] == refused["id"]


def test_what_was_read_can_be_put_away(browser: Browser, served: Served) -> None:
    with browser.new_context(service_workers="block") as context:
        page = context.new_page()
        context.route("**/api/client/progress/batch*", refuse_completions)
        sign_in(page, served)
        open_lesson(page, LESSON)
        mark_complete(page)
        page.get_by_role("link", name="See why, and what you can do", exact=True).click()
        page.get_by_role("button", name="I have read this, put it away", exact=True).click()
        expect(page.get_by_text("There is no such lesson.")).to_have_count(0)
        page.reload()
        expect(page.get_by_text("Nothing waits.")).to_be_visible()
        expect(page.get_by_text("There is no such lesson.")).to_have_count(0)


PUTS_ON_A_SHELF: Final = """
async ([shelf, record]) => {
  const names = (await indexedDB.databases()).map(({ name }) => name).filter((name) => HASHED.test(name));
  for (const name of names) await new Promise((done, failed) => {
    const opening = indexedDB.open(name);
    opening.onerror = failed;
    opening.onsuccess = () => {
      const writing = opening.result.transaction(shelf, "readwrite");
      writing.objectStore(shelf).put(record, record.id);
      writing.oncomplete = () => { opening.result.close(); done(); };
    };
  });
  return names.length;
}
""".replace("HASHED", "/^holdfast-[0-9a-f]{16}$/")
"""Writes into every outbox of the browser, as it stands on the device."""

LOST: Final = {
    "id": "one",
    "generation": 1,
    "missing": [[3, 4]],
    "cause": "Its database was deleted or lost.",
    "noticedAt": "2026-11-23T08:00:00.000Z",
    "told": True,
}
DAMAGED: Final = {
    "id": "bad",
    "entry": {
        "id": "bad",
        "lane": "progressQueue",
        "seq": 1,
        "kind": "lesson.completed",
        "label": "Ebb complete",
        "payload": "",
        "createdAt": "2026-11-23T08:00:00.000Z",
    },
    "code": "damaged",
    "reason": "It was damaged.",
    "since": "2026-11-23T08:00:00.000Z",
}


def test_a_device_that_lost_something_never_says_that_all_is_on_the_server(
    browser: Browser, served: Served
) -> None:
    with browser.new_context(service_workers="block") as context:
        page = context.new_page()
        sign_in(page, served)
        waiting(page, 0)
        assert page.evaluate(PUTS_ON_A_SHELF, ["losses", LOST]) == 1
        page.reload()
        expect(page.locator(".standing")).to_have_text("Some was lost")
        assert marks(page, ".standing") == ["stop"]
        page.get_by_role("link", name="See what", exact=True).click()
        expect(page.get_by_text("2 events lost: number 3 to 4")).to_be_visible()
        expect(
            page.get_by_text("Cause: Its database was deleted or lost. The server has been")
        ).to_be_visible()
        expect(page.get_by_text("Everything you did on this device is on the server")).to_have_count(0)
        expect(page.get_by_text("Everything else you did on this device is on the server")).to_be_visible()


def test_what_the_device_damaged_is_not_offered_to_be_sent_again(browser: Browser, served: Served) -> None:
    with browser.new_context(service_workers="block") as context:
        page = context.new_page()
        sign_in(page, served)
        waiting(page, 0)
        assert page.evaluate(PUTS_ON_A_SHELF, ["undeliverable", DAMAGED]) == 1
        page.reload()
        page.locator(".standing").click()
        item = page.get_by_role("listitem").filter(has_text="Ebb complete")
        expect(item).to_contain_text("Save a copy for your teacher, and do again what is missing.")
        expect(item.get_by_role("button")).to_have_text(["I have read this, put it away"])
        item.get_by_role("button").click()
        expect(item).to_have_count(0)


def test_a_page_whose_script_does_not_come_says_so_and_can_be_asked_again(
    browser: Browser, served: Served
) -> None:
    with browser.new_context(service_workers="block") as context:
        page = context.new_page()
        context.route("**/assets/waiting-*.js", lambda route: route.abort())
        # It is fetched ahead once; had that try come after the way was free, nothing would be left to press.
        with page.expect_event("requestfailed", lambda one: "/assets/waiting-" in one.url):
            sign_in(page, served)
        page.locator(".standing").click()
        expect(
            page.get_by_role("heading", level=1, name="This page could not be loaded", exact=True)
        ).to_be_visible()
        context.unroute_all()
        page.get_by_role("button", name="Try again", exact=True).click()
        expect(page.get_by_role("heading", level=1, name="What is waiting", exact=True)).to_be_visible()


def test_a_page_that_broke_gives_way_to_the_next_one(page: Page, served: Served) -> None:
    sign_in(page, served)
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()
    # A percent sign without its number, as a hand that types an address leaves it.
    page.goto(f"{served.url}/courses/50%")
    expect(page.get_by_role("heading", level=1, name="This page broke", exact=True)).to_be_visible()
    page.get_by_role("link", name="look", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="What is waiting", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="This page broke", exact=True)).to_be_visible()
    # Drawn anew it breaks again: it is another heading than the one that stands here now.
    broke = page.get_by_role("heading", level=1, name="This page broke", exact=True)
    broke.evaluate("(heading) => { heading.dataset.drawn = 'before'; }")
    page.get_by_role("button", name="Show the page again", exact=True).click()
    expect(page.locator("[data-drawn]")).to_have_count(0)
    expect(broke).to_be_visible()
    page.get_by_role("link", name="Holdfast", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()


# ---- answers begun -------------------------------------------------------------------------------


def test_an_answer_begun_and_not_given_is_there_after_a_reload_and_gone_with_its_person(
    page: Page, served: Served
) -> None:
    sign_in(page, served)
    open_lesson(page, QUIZ_LESSON)
    page.locator(".choice").nth(1).click()
    expect(page.get_by_text("Not given yet.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Not given yet.")).to_be_visible()
    expect(page.locator(".choice input").nth(1)).to_be_checked()
    sign_out(page)
    expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()
    assert page.evaluate("Object.keys(sessionStorage).filter(key => key.startsWith('holdfast.half'))") == []
