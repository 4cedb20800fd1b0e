"""Everybody can use a learner's pages: by keyboard, by ear, on a small screen, in the dark, on paper."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.learner import (
    PATIENCE_MS,
    faults_seen_by_axe,
    kept,
    mark_complete,
    open_lesson,
    overflow_px,
    reads_without_a_network,
    saved,
    sign_in,
    waiting,
)
from tests.served import Served

pytestmark = pytest.mark.browser

LESSON: Final = "Springs and neaps"
PICTURES: Final = Path(__file__).resolve().parents[2] / "docs" / "pictures"
WIDE: Final[Any] = {"width": 1100, "height": 780}
PHONE: Final[Any] = {"width": 320, "height": 640}


@pytest.fixture
def contexts(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Fresh pages, each in a browser context of its own."""
    made: list[BrowserContext] = []
    expect.set_options(timeout=PATIENCE_MS)

    def page(**options: Any) -> Page:  # noqa: ANN401 - whatever a context takes
        made.append(browser.new_context(**options))
        made[-1].set_default_timeout(PATIENCE_MS)
        return made[-1].new_page()

    yield page
    for context in made:
        context.close()


def on_each_page(page: Page, served: Served, look: Callable[[str], None]) -> None:
    """Walk through every page a learner meets, and look at each."""
    page.goto(served.url)
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    look("sign-in")
    sign_in(page, served)
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()
    waiting(page, 0)
    look("courses")
    page.get_by_role("link", name="Reading the tide", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Reading the tide", exact=True)).to_be_visible()
    look("course")
    page.get_by_role("link", name=LESSON, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=LESSON)).to_be_visible()
    mark_complete(page)
    saved(page)
    look("lesson")
    page.get_by_role("link", name="All lessons of this course", exact=True).click()
    page.get_by_role("link", name="Reading a table", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Reading a table", exact=True)).to_be_visible()
    # The script of the page of what waits must be here by then.
    reads_without_a_network(page)
    served.kill()
    mark_complete(page)
    kept(page)
    look("lesson-offline")
    page.locator(".standing").click()
    expect(page.get_by_text("Kept on this device since").first).to_be_visible()
    look("waiting")
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    look("sign-out")
    page.get_by_role("button", name=re.compile("keep .* sealed")).click()
    expect(page.get_by_text("The server does not know yet.")).to_be_visible()
    expect(page.get_by_text("kept sealed")).to_be_visible()
    look("locked")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(contexts: Callable[..., Page], served: Served, scheme: str) -> None:
    page = contexts(color_scheme=scheme, viewport=WIDE)
    found: dict[str, list[str]] = {}
    on_each_page(page, served, lambda name: found.update({name: faults_seen_by_axe(page)}))
    assert {name: faults for name, faults in found.items() if faults} == {}
    assert len(found) == 8


def test_axe_would_find_a_button_without_a_name(contexts: Callable[..., Page], served: Served) -> None:
    page = contexts()
    page.goto(served.url)
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert [fault for fault in faults_seen_by_axe(page) if fault.startswith("button-name")]


def test_nothing_is_wider_than_a_screen_of_320_pixels(contexts: Callable[..., Page], served: Served) -> None:
    page = contexts(viewport=PHONE)
    wider: dict[str, int] = {}
    on_each_page(page, served, lambda name: wider.update({name: overflow_px(page)}))
    assert {name: px for name, px in wider.items() if px > 0} == {}
    assert len(wider) == 8


def press_until(page: Page, key: str, focused: str) -> None:
    """Press a key until the element that has the focus says this."""
    for _ in range(60):
        page.keyboard.press(key)
        words = page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''")
        if focused in words:
            return
    raise AssertionError(f"{key} never reached {focused!r}")


def test_a_lesson_is_found_answered_and_completed_by_keyboard_alone(
    contexts: Callable[..., Page], served: Served
) -> None:
    page = contexts(viewport=WIDE)
    sign_in(page, served)
    expect(page.get_by_role("heading", level=1, name="Your courses", exact=True)).to_be_visible()
    press_until(page, "Tab", "Reading the tide")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Reading the tide", exact=True)).to_be_focused()
    press_until(page, "Tab", LESSON)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name=LESSON)).to_be_focused()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "radio":
            break
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Correct.")).to_be_visible()
    press_until(page, "Tab", "Mark as complete")
    page.keyboard.press("Enter")
    saved(page)


def test_what_changes_is_announced(contexts: Callable[..., Page], served: Served) -> None:
    page = contexts()
    sign_in(page, served)
    open_lesson(page, LESSON)
    # The region stands before its words come, or nobody would hear them.
    region = page.locator(".complete [aria-live=polite]")
    expect(region).to_have_text("")
    mark_complete(page)
    expect(region).to_contain_text("Lesson complete, saved on the server.")


def test_the_header_does_not_move_when_its_words_change(
    contexts: Callable[..., Page], served: Served
) -> None:
    page = contexts(viewport=WIDE)
    sign_in(page, served)
    open_lesson(page, LESSON)
    waiting(page, 0)
    before = places_in_header(page)
    served.kill()
    mark_complete(page)
    expect(page.locator(".standing")).to_contain_text("waiting")
    assert places_in_header(page) == before


def test_the_header_is_as_wide_with_each_word_of_where_everything_stands(
    contexts: Callable[..., Page], served: Served
) -> None:
    page = contexts(viewport=WIDE)
    sign_in(page, served)
    waiting(page, 0)
    before = places_in_header(page)
    words = page.locator(".standing span")
    for said in ("Looking…", "123 waiting", "123 refused", "Not safe yet", "Some was lost"):
        words.evaluate("(span, said) => { span.textContent = said; }", said)
        assert places_in_header(page) == before, said


def places_in_header(page: Page) -> list[list[float]]:
    """Where each thing in the header stands, and how large it is; not how far the page was scrolled."""
    places: list[list[float]] = page.locator(".top, .top > *, .person > *").evaluate_all(
        "parts => parts.map(part => part.getBoundingClientRect())"
        ".map(({x, width, height}) => [x, width, height])"
    )
    assert len(places) > 4
    return places


SHIFTS: Final = """
new PerformanceObserver((list) => {
  window.shifted = (window.shifted ?? 0);
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def test_pages_do_not_jump_while_they_load(contexts: Callable[..., Page], served: Served) -> None:
    page = contexts(viewport=WIDE)
    page.add_init_script(SHIFTS)
    sign_in(page, served)
    open_lesson(page, LESSON)
    for path in ("/", "/courses/reading-the-tide", "/courses/reading-the-tide/lessons/02-springs-and-neaps"):
        page.goto(served.url + path)
        waiting(page, 0)
        expect(page.get_by_text("As the server had it")).to_be_visible()
        # 0.1 is what is called good for a whole visit.
        assert page.evaluate("window.shifted ?? 0") < 0.1, path


def test_on_paper_stands_the_lesson_and_nothing_to_press(
    contexts: Callable[..., Page], served: Served
) -> None:
    page = contexts(color_scheme="dark")
    sign_in(page, served)
    open_lesson(page, LESSON)
    page.emulate_media(media="print")
    expect(page.locator("article.lesson")).to_be_visible()
    seen = page.locator("button:visible, .top:visible, .banner:visible, .standing:visible")
    expect(seen).to_have_count(0)
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.skipif(os.environ.get("HOLDFAST_PICTURES") != "1", reason="HOLDFAST_PICTURES=1 draws them anew")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_the_pages_for_the_documentation(
    contexts: Callable[..., Page], served: Served, scheme: str
) -> None:
    page = contexts(color_scheme=scheme, viewport=WIDE, reduced_motion="reduce")
    ending = "" if scheme == "light" else "-dark"

    def draw(name: str) -> None:
        if name == "lesson":
            page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=PICTURES / f"learner-{name}{ending}.png")

    on_each_page(page, served, draw)
    assert len(list(PICTURES.glob(f"learner-*{ending}.png"))) >= 8
