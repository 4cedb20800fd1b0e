"""Signing out while something waits, and what an ended session leaves behind, in a real Chromium."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from holdfast.learning.demo import PASSWORD
from tests.browser.learner import (
    A_TIME,
    ADA,
    BROKEN_STORAGE,
    CLEO,
    FULL_STORAGE,
    LESSON,
    completed_while_the_portal_is_down,
    journal_lines,
    kept,
    mark_complete,
    open_lesson,
    reads_without_a_network,
    refuse_completions,
    sign_in,
    sign_out,
    waiting,
)
from tests.served import Served, until

pytestmark = pytest.mark.browser


def test_signing_out_with_something_waiting_asks_and_sends_it_first_when_told_to(
    page: Page, served: Served
) -> None:
    completed_while_the_portal_is_down(page, served)
    sign_out(page)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(
        re.compile(r"\d things? (is|are) not on the server yet")
    )
    expect(dialog).to_contain_text(f"“{LESSON}” marked as complete")
    dialog.get_by_role("button", name="Send now", exact=True).click()
    expect(dialog).to_contain_text(re.compile(r"Sending, \d to go"))
    # A new time at each try is nothing to be read aloud.
    expect(dialog).to_contain_text(re.compile(rf"Next try {A_TIME}"))
    expect(dialog.get_by_role("status")).not_to_contain_text("Next try")
    served.start()
    signed_out = page.get_by_text("You are signed out, here and on the server.")
    expect(signed_out).to_be_visible()
    assert len(journal_lines(served, "lesson.completed")) == 1


def test_what_is_kept_sealed_is_sent_when_its_person_is_back_and_by_nobody_else(
    page: Page, served: Served
) -> None:
    completed_while_the_portal_is_down(page, served)
    sign_out(page)
    page.get_by_role("button", name=re.compile("keep .* sealed")).click()
    # Only the server can end the session, and the screen does not pretend that it has.
    expect(page.get_by_role("heading", level=1)).to_have_text("Screen locked")
    expect(page.get_by_text("The server does not know yet.")).to_be_visible()
    expect(page.get_by_text(re.compile(r"of somebody who signed out (is|are) kept sealed"))).to_be_visible()
    served.start()
    expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()
    assert not any(cookie["name"] for cookie in page.context.cookies() if cookie.get("httpOnly"))

    sign_in(page, served, CLEO)
    expect(page.get_by_text("0 of 5 lessons complete")).to_be_visible()
    page.goto(f"{served.url}/waiting")
    expect(page.get_by_role("heading", level=1, name="What is waiting", exact=True)).to_be_visible()
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    expect(page.get_by_text(LESSON)).to_have_count(0)
    sign_out(page)
    expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()
    assert journal_lines(served, "lesson.completed") == []

    sign_in(page, served, ADA)
    expect(page.get_by_text("1 of 5 lessons complete")).to_be_visible()
    [line] = journal_lines(served, "lesson.completed")
    assert json.loads(line)["e"]["userId"] == "demo-ada"


def test_the_worker_sends_nothing_of_who_signed_out_though_their_cookie_still_works(
    page: Page, served: Served
) -> None:
    sign_in(page, served)
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()
    reads_without_a_network(page)
    open_lesson(page, LESSON)
    waiting(page, 0)
    served.kill()
    mark_complete(page)
    kept(page)
    sign_out(page)
    page.get_by_role("button", name=re.compile("keep .* sealed")).click()
    expect(page.get_by_text("kept sealed")).to_be_visible()
    # Asked again and again from here: the page's policy lets nothing be evaluated inside of it.
    for _ in range(200):
        if not page.evaluate("caches.has('holdfast-here')"):
            break
        page.wait_for_timeout(50)
    assert not page.evaluate("caches.has('holdfast-here')")

    # No page is left that could end the session; only the worker stands between.
    bystander = page.context.new_page()
    page.close()
    served.start()
    assert wake_the_worker(bystander, served.url) > 0
    # Long enough for a worker that would send.
    bystander.wait_for_timeout(4_000)
    assert journal_lines(served, "lesson.completed") == []

    sign_in(bystander, served)
    waiting(bystander, 0)
    until(lambda: len(journal_lines(served, "lesson.completed")) == 1)


def wake_the_worker(page: Page, origin: str) -> int:
    """Fire the sync event that a browser fires once the network is back; how many workers it reached."""
    cdp = page.context.new_cdp_session(page)
    found: list[dict[str, Any]] = []
    cdp.on("ServiceWorker.workerRegistrationUpdated", lambda told: found.extend(told["registrations"]))
    cdp.send("ServiceWorker.enable")
    until(lambda: page.evaluate("1") and found)
    for registration in found:
        what = {"origin": origin, "registrationId": registration["registrationId"]}
        cdp.send("ServiceWorker.dispatchSyncEvent", {**what, "tag": TAG, "lastChance": True})
    return len(found)


TAG = "holdfast-outbox tidewater/demo-ada"


def test_throwing_away_asks_once_more_and_then_nothing_of_it_is_left(page: Page, served: Served) -> None:
    completed_while_the_portal_is_down(page, served)
    sign_out(page)
    page.get_by_role("button", name=re.compile("Throw .* away and sign out")).click()
    expect(page.get_by_role("heading", name=re.compile("Throw away"))).to_be_visible()
    page.get_by_role("button", name="Back", exact=True).click()
    page.get_by_role("button", name="Stay signed in", exact=True).click()
    expect(page.get_by_role("button", name="Sign out", exact=True)).to_be_focused()
    kept(page)
    sign_out(page)
    page.get_by_role("button", name=re.compile("Throw .* away and sign out")).click()
    page.get_by_role("button", name=re.compile("Yes, throw")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Screen locked")
    expect(page.get_by_text("kept sealed")).to_have_count(0)
    served.start()
    expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()
    # Asked once more: what is kept sealed is counted a moment after the screen is locked.
    expect(page.get_by_text("kept sealed")).to_have_count(0)
    sign_in(page, served)
    expect(page.get_by_text("0 of 5 lessons complete")).to_be_visible()
    waiting(page, 0)
    assert journal_lines(served, "lesson.completed") == []


def refused_while_they_sign_out(context: BrowserContext, served: Served) -> Page:
    """Ada marks a lesson as complete, signs out while it waits, and has it sent; the server refuses it."""
    refuses = False

    def answer(route: Route) -> None:
        if refuses:
            refuse_completions(route)
        else:
            route.abort()

    # One way for all the while: between two of them a try would reach the server.
    context.route(PROGRESS, answer)
    page = context.new_page()
    sign_in(page, served)
    open_lesson(page, LESSON)
    mark_complete(page)
    kept(page)
    sign_out(page)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("You are signed out once everything has arrived.")
    # Pressed while nothing gets through: a try of its own could be refused before anybody pressed.
    dialog.get_by_role("button", name="Send now", exact=True).click()
    expect(dialog).to_contain_text(re.compile(r"Sending, \d to go"))
    refuses = True
    expect(dialog.get_by_role("heading")).to_have_text("The server will not have 1 thing you did")
    expect(dialog).to_contain_text("You are still signed in.")
    return page


PROGRESS = "**/api/client/progress/batch*"


def test_what_the_server_refuses_while_somebody_signs_out_is_told_before_they_go(
    browser: Browser, served: Served
) -> None:
    with browser.new_context(service_workers="block") as context:
        page = refused_while_they_sign_out(context, served)
        page.get_by_role("dialog").get_by_role(
            "link", name="See why, and what you can do", exact=True
        ).click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("heading", name="What the server will not have", exact=True)).to_be_visible()
        # They have been told: now nothing holds them up.
        sign_out(page)
        expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()


def test_what_the_server_refused_is_still_there_for_who_signed_out_all_the_same(
    browser: Browser, served: Served
) -> None:
    with browser.new_context(service_workers="block") as context:
        page = refused_while_they_sign_out(context, served)
        page.get_by_role("button", name="Sign out all the same", exact=True).click()
        expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()
        sign_in(page, served)
        expect(page.locator(".standing")).to_have_text("1 refused")


def test_a_screen_locked_offline_stays_locked_after_a_restart_and_ends_the_session_first(
    page: Page, served: Served
) -> None:
    sign_in(page, served)
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()
    waiting(page, 0)
    served.kill()
    sign_out(page)
    expect(page.get_by_text("The server does not know yet.")).to_be_visible()
    # The page that was locked would end the session itself as soon as anybody answers.
    page.goto("about:blank")
    served.start()
    page.goto(served.url)
    expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()
    expect(page.get_by_text("Reading the tide")).to_have_count(0)


def test_who_types_while_the_server_hears_of_the_sign_out_keeps_their_place(
    page: Page, served: Served
) -> None:
    sign_in(page, served)
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()
    served.kill()
    sign_out(page)
    expect(page.get_by_text("The server does not know yet.")).to_be_visible()
    page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill(CLEO)
    password = page.get_by_label("Password")
    password.fill(PASSWORD[:4])
    served.start()
    # The page's title changes now; a heading that took the focus would swallow the rest and the Enter.
    expect(page.get_by_role("heading", level=1)).to_have_text("Signed out")
    expect(password).to_be_focused()
    page.keyboard.type(PASSWORD[4:])
    page.keyboard.press("Enter")
    expect(page.get_by_text("0 of 5 lessons complete")).to_be_visible()


def test_a_session_that_ended_meanwhile_leaves_the_work_waiting_for_its_person(
    page: Page, served: Served
) -> None:
    completed_while_the_portal_is_down(page, served)
    page.context.clear_cookies()
    page.goto("about:blank")
    served.start()
    page.goto(served.url)
    expect(page.get_by_text(re.compile(r"\d things? you did waits? on this device"))).to_be_visible()
    assert journal_lines(served, "lesson.completed") == []
    expect(page.get_by_label(re.compile("e-?mail", re.IGNORECASE))).to_have_value(ADA)
    sign_in(page, served)
    expect(page.get_by_text("1 of 5 lessons complete")).to_be_visible()
    waiting(page, 0)
    assert len(journal_lines(served, "lesson.completed")) == 1


def test_storage_that_does_not_answer_keeps_nobody_signed_in(page: Page, served: Served) -> None:
    page.add_init_script(BROKEN_STORAGE)
    sign_in(page, served)
    expect(page.locator(".standing")).to_have_text("Not safe yet")
    sign_out(page)
    # What lies there can't be counted, and is not called nothing.
    expect(page.get_by_role("dialog")).to_contain_text("What waits on this device can")
    page.get_by_role("button", name=re.compile("keep .* sealed")).click()
    expect(page.get_by_text("You are signed out, here and on the server.")).to_be_visible()


ALL_THERE = "Nothing waits. Everything you did on this device is on the server."


def test_what_a_full_device_set_aside_is_not_called_nothing_after_the_page_was_loaded_anew(
    page: Page, served: Served
) -> None:
    page.add_init_script(FULL_STORAGE)
    sign_in(page, served)
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()
    reads_without_a_network(page)
    open_lesson(page, LESSON)
    lesson = page.url
    page.locator(".standing").click()
    expect(page.get_by_text(ALL_THERE)).to_be_visible()
    served.kill()
    page.evaluate("sessionStorage.setItem('isFull', 'yes')")
    page.goto(lesson)
    mark_complete(page)
    expect(page.get_by_text(re.compile("not safe yet: this device can.t keep it"))).to_be_visible()
    page.goto(f"{served.url}/waiting")
    expect(page.get_by_role("heading", level=1, name="What is waiting", exact=True)).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Not safe yet.")
    expect(page.get_by_text("Reading what waits on this device")).to_have_count(0)
    expect(page.get_by_text(ALL_THERE)).to_have_count(0)
    sign_out(page)
    expect(page.get_by_role("dialog")).to_contain_text("What waits on this device can")
    page.get_by_role("button", name="Stay signed in", exact=True).click()
    # There is room again, and a server.
    page.evaluate("sessionStorage.clear()")
    served.start()
    page.reload()
    expect(page.get_by_text(ALL_THERE)).to_be_visible()
    assert len(journal_lines(served, "lesson.completed")) == 1
