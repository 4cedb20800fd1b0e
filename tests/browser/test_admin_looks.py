"""An administrator's charts, and that everybody can use their pages."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from holdfast.core.ids import uuid7
from tests.browser.admin import (
    SCHOOL,
    choose_course,
    enrol,
    go,
    heading,
    newest_act,
)
from tests.browser.learner import faults_seen_by_axe, overflow_px
from tests.served import Served, completed, until

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
PLACES = ("courses", "courses/reading-the-tide", "people", "assign", "assignments", "charts")
CHARTS = ("charts/reading-the-tide",)
PAPER: ViewportSize = {"width": 718, "height": 1047}
"""A4 between its margins, in pixels of CSS."""


# ---- charts ----


def test_charts_come_when_they_are_opened_each_with_its_table_and_its_file(ben: Page, served: Served) -> None:
    asked: list[str] = []
    ben.on("request", lambda request: asked.append(request.url))
    assert not any("charts" in url for url in asked)
    with served.client("ada") as ada:
        body = {"courseId": "reading-the-tide", "lessonId": "01-why-the-sea-moves"}
        event = {"id": uuid7(), "kind": "lesson.completed", "version": 1, "orgId": SCHOOL, "body": body}
        assert ada.post("/api/client/progress/batch", json={"events": [event]}).status_code == 202
        # A chart is read once, and shows what was applied by then.
        until(lambda: ada.get("/api/client/courses").json()["items"][0]["completedLessons"] == 1)
    go(ben, "How it goes")
    heading(ben, "How it goes")
    expect(ben.locator(".plot canvas").first).to_be_visible()
    assert any("charts" in url for url in asked)
    expect(ben.get_by_text(re.compile("^Data as of"))).to_be_visible()
    with ben.expect_download() as download:
        ben.get_by_role("button", name="Save as CSV completed.csv", exact=True).click()
    assert Path(download.value.path()).read_text().startswith("day,lessonsCompleted,learners,dataFreshAsOf")
    ben.get_by_role("table").first.get_by_role("link", name="Reading the tide", exact=True).click()
    heading(ben, "How “Reading the tide” goes")
    row = ben.get_by_role("row", name=re.compile("^1. Why the sea moves"))
    expect(row).to_have_text(re.compile("1. Why the sea moves110 %"))


# ---- everybody can use them ----


def open_place(page: Page, served: Served, place: str) -> None:
    page.goto(f"{served.url}/admin/{place}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text(re.compile("^(Loading|Asking)"))).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(ben: Page, served: Served, scheme: str) -> None:
    ben.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    found = {}
    for place in (*PLACES, *CHARTS):
        open_place(ben, served, place)
        found[place] = faults_seen_by_axe(ben)
    open_place(ben, served, "people")
    ben.get_by_role("button", name="Add a person", exact=True).click()
    found["dialog"] = faults_seen_by_axe(ben)
    assert {place: faults for place, faults in found.items() if faults} == {}


def test_every_page_fits_a_small_telephone_and_paper(ben: Page, served: Served) -> None:
    ben.emulate_media(color_scheme="dark")
    enrol(served, 3)
    wide, to_press = {}, {}
    for place in (*PLACES, *CHARTS):
        ben.set_viewport_size({"width": 320, "height": 640})
        open_place(ben, served, place)
        wide[place] = overflow_px(ben)
        ben.set_viewport_size(PAPER)
        ben.emulate_media(media="print")
        wide[f"{place}, on paper"] = overflow_px(ben)
        to_press[place] = ben.locator(":is(button, select, nav, input[type=checkbox], .top):visible").count()
        assert ben.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        if place == "charts":
            # A closed table stands open on paper; whoever reads there can't press.
            table = ben.locator("details:not([open]) table").first
            assert table.evaluate("(table) => table.checkVisibility({contentVisibilityAuto: true})")
        ben.emulate_media(media="screen")
    assert {place: px for place, px in wide.items() if px > 0} == {}
    assert {place: count for place, count in to_press.items() if count > 0} == {}


def test_a_course_is_assigned_with_the_keyboard_alone(ben: Page, served: Served) -> None:
    enrol(served, 1)
    go(ben, "Assign")
    ben.get_by_role("combobox", name="Course", exact=True).focus()
    ben.keyboard.type("Reading")
    ben.get_by_label("Search by name or e-mail").focus()
    ben.keyboard.type("pia")
    expect(ben.get_by_role("button", name="Choose all 1", exact=True)).to_be_visible()
    ben.get_by_role("checkbox", name=re.compile("^Pia 000")).focus()
    ben.keyboard.press("Space")
    expect(ben.get_by_text("1 person is chosen.")).to_be_visible()
    ben.get_by_role("button", name="See what will happen", exact=True).focus()
    ben.keyboard.press("Enter")
    expect(ben.get_by_role("dialog")).to_be_visible()
    ben.keyboard.press("Escape")
    expect(ben.get_by_role("dialog")).to_have_count(0)
    expect(ben.get_by_role("button", name="See what will happen", exact=True)).to_be_focused()
    ben.keyboard.press("Enter")
    ben.get_by_role("dialog").get_by_role("button", name="Go back", exact=True).focus()
    ben.keyboard.press("Enter")
    expect(ben.get_by_role("button", name="See what will happen", exact=True)).to_be_focused()
    ben.keyboard.press("Enter")
    ben.get_by_role("dialog").get_by_role("button", name="Assign to 1 learner", exact=True).focus()
    ben.keyboard.press("Enter")
    expect(ben.get_by_role("region", name="What became of it", exact=True)).to_be_focused()
    expect(newest_act(ben)).to_contain_text("Assigned to 1, 0 had it already, 0 refused.")


def test_a_dialog_opened_at_once_after_the_last_one_was_closed_stays_open(ben: Page) -> None:
    """The browser tells that a dialog was closed later than it closes it."""
    go(ben, "People")
    ben.get_by_role("button", name="Add a person", exact=True).click()
    expect(ben.get_by_role("dialog")).to_be_visible()
    ben.evaluate(
        """async () => {
            const buttons = [...document.querySelectorAll("button")];
            const add = buttons.find((each) => each.textContent === "Add a person");
            const closed = document.querySelector("dialog");
            const told = new Promise((resolve) => closed.addEventListener("close", resolve));
            closed.requestClose();  // as Escape does
            // A page answers what a person did before the next thing they do; `close` comes after that.
            for (let turn = 0; turn < 9; turn += 1) await null;
            add.click();
            await told;
            await new Promise((resolve) => setTimeout(resolve));
        }"""
    )
    expect(ben.get_by_role("dialog", name="Add a person", exact=True)).to_be_visible()
    ben.keyboard.press("Escape")
    expect(ben.get_by_role("dialog")).to_have_count(0)
    expect(ben.get_by_role("button", name="Add a person", exact=True)).to_be_focused()


@pytest.mark.skipif(os.environ.get("HOLDFAST_PICTURES") != "1", reason="HOLDFAST_PICTURES=1 takes them anew")
def test_pictures_of_the_pages_are_taken(ben: Page, served: Served) -> None:
    enrol(served, 40)
    with served.client("ben") as admin, served.service() as service:
        people = [each["id"] for each in admin.get("/api/admin/users?search=pia").json()["items"]]
        everybody = {"id": uuid7(), "userIds": people}
        admin.post(
            "/api/admin/courses/reading-the-tide/assign", json=everybody, headers={"Prefer": "wait=10"}
        )
        lessons = admin.get("/api/admin/courses/reading-the-tide").json()["lessons"]
        for at, lesson in enumerate(lessons):
            done = [
                {**completed("reading-the-tide", lesson["id"]), "userId": person}
                for person in people[: 38 - 7 * at]
            ]
            answer = service.post("/api/client/progress/batch", json={"events": done})
            assert {each["status"] for each in answer.json()["receipts"]} == {"accepted"}
    ben.set_viewport_size({"width": 1100, "height": 900})
    PICTURES.mkdir(exist_ok=True)
    for place, name in (("assign", "admin-assign"), ("charts/reading-the-tide", "admin-charts")):
        open_place(ben, served, place)
        if place == "assign":
            choose_course(ben, "Reading the tide")
            expect(ben.get_by_text("1 fit this search.")).to_be_visible()
            ben.get_by_role("checkbox", name="Only those who do not have the course yet").uncheck()
            ben.get_by_role("button", name="Choose all 41", exact=True).click()
        ben.screenshot(path=PICTURES / f"{name}.png", full_page=place == "assign")
