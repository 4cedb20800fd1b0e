"""From build to build in a real Chromium: nothing is interrupted or lost, and each tab reloads once."""

from __future__ import annotations

import json
import re
import sqlite3
import wave
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from holdfast.learning.demo import PASSWORD
from tests.browser.admin import BEN, choose_course, go
from tests.browser.builds import build, deploy, name_of
from tests.browser.conftest import Chromes
from tests.browser.learner import (
    ADA,
    PATIENCE_MS,
    journal_lines,
    mark_complete,
    open_lesson,
    saved,
    sign_in,
)
from tests.browser.proxy import Proxy, withhold
from tests.ports import quiet_port
from tests.served import Served, until

pytestmark = pytest.mark.browser

OLD, NEW = "Assigned to you", "Given to you to learn"
READY = "A new version is ready."
TONE = "tone.wav"
PLAYER = "document.querySelector('#main audio')"
BUILD = "document.querySelector('meta[name=holdfast-build]')?.content"
QUIZ_LESSON = "Springs and neaps"
SEEN_FROM = 400
"""How far down, in pixels, a reader has come."""
ONE_LINE = 30


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("second"), (OLD, NEW))


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    # Lessons of the demo course are short: in a low window there is something to scroll.
    context = browser.new_context(viewport={"width": 800, "height": 400})
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def served(tmp_path: Path, first: Path) -> Iterator[Served]:
    deploy(first, tmp_path / "client")
    portal = Served(tmp_path, {"HOLDFAST_CLIENT_DIR": str(tmp_path / "client")}, port=quiet_port())
    portal.start()
    yield portal
    if portal.process is not None:
        portal.kill()


def update(page: Page, served: Served, client: Path) -> None:
    """Deploy another build, and have the browser look for it now instead of in half an hour."""
    deploy(client, served.folder / "client")
    page.evaluate("navigator.serviceWorker.getRegistration().then((ours) => ours.update())")


def controlled(page: Page) -> None:
    until(lambda: page.evaluate("navigator.serviceWorker.controller !== null"), 60.0)


def loads(page: Page) -> list[str]:
    """The addresses this tab loads from now on."""
    seen: list[str] = []
    page.on("load", lambda loaded: seen.append(loaded.url))
    return seen


def build_of(page: Page) -> str:
    """The build this tab is; waits for a tab that is just loading."""
    return page.locator("meta[name=holdfast-build]").get_attribute("content") or ""


def test_two_tabs_agree_each_reloads_once_and_everything_is_where_it_was(
    context: BrowserContext, served: Served, second: Path
) -> None:
    courses, lesson = context.new_page(), context.new_page()
    sign_in(courses, served)
    expect(courses.get_by_role("heading", name=OLD)).to_be_visible()
    controlled(courses)
    lesson.goto(served.url)
    open_lesson(lesson, QUIZ_LESSON)
    lesson.get_by_label("Around half moon").check()
    lesson.evaluate("(top) => scrollTo(0, top)", SEEN_FROM)
    of_courses, of_lesson = loads(courses), loads(lesson)

    update(courses, served, second)
    for tab in (courses, lesson):
        expect(tab.get_by_text(READY)).to_be_visible()
    assert of_courses == of_lesson == [], "nothing happens before somebody says so"
    courses.get_by_role("button", name="Use it now", exact=True).click()

    expect(courses.get_by_role("heading", name=NEW)).to_be_visible()
    until(lambda: build_of(lesson) == name_of(second))
    expect(lesson.get_by_label("Around half moon")).to_be_checked()
    # The browser itself holds the text still when a line above it grows.
    until(lambda: abs(lesson.evaluate("scrollY") - SEEN_FROM) < ONE_LINE)
    assert build_of(courses) == name_of(second)
    for tab in (courses, lesson):
        expect(tab.get_by_text(READY)).to_have_count(0)
        # What would reload again, does so when the worker is asked about once more.
        tab.evaluate("navigator.serviceWorker.getRegistration().then((ours) => ours.update())")
    courses.wait_for_timeout(1_000)
    assert (len(of_courses), len(of_lesson)) == (1, 1)


def test_a_tab_of_the_old_build_still_finds_its_files_when_the_server_has_them_no_more(
    context: BrowserContext, served: Served, first: Path, second: Path
) -> None:
    page = context.new_page()
    sign_in(page, served)
    expect(page.get_by_role("heading", name=OLD)).to_be_visible()
    controlled(page)
    (later,) = (first / "assets").glob("staff-*.js")
    update(page, served, second)
    expect(page.get_by_text(READY)).to_be_visible()
    with served.client() as anybody:
        gone = anybody.get(f"/assets/{later.name}").status_code == 404
    same = (second / "assets" / later.name).exists()
    assert gone or same
    page.goto(served.url + "/staff")
    expect(page.get_by_role("heading", name="Hello, Ada Learner", exact=True)).to_be_visible()
    assert build_of(page) == name_of(first), "who said nothing stays with the old build, whole"
    page.get_by_role("button", name="Use it now", exact=True).click()
    until(lambda: build_of(page) == name_of(second))
    kept = page.evaluate(
        """async () => (await Promise.all((await caches.keys()).map(async (name) =>
            (await (await caches.open(name)).keys()).map(({url}) => new URL(url).pathname)))).flat()"""
    )
    for client in (first, second):
        for script in (client / "assets").glob("index-*.js"):
            assert f"/assets/{script.name}" in kept, "the files of the last two builds stay"


def recorded(client: Path) -> None:
    """Five minutes of silence beside the shell."""
    with wave.open(str(client / TONE), "wb") as tone:
        tone.setnchannels(1)
        tone.setsampwidth(1)
        tone.setframerate(3_000)
        tone.writeframes(b"\x80" * 3_000 * 300)


def test_when_nobody_looks_the_new_version_comes_by_itself_and_everything_is_where_it_was(
    chromes: Chromes, served: Served, second: Path
) -> None:
    """In tabs as a person has them: Playwright's are never hidden."""
    with closing(sqlite3.connect(served.data / "store.sqlite3", timeout=20)) as store, store:
        player = f'<p><audio controls src="/{TONE}"></audio></p>'
        store.execute("UPDATE lessons SET html = html || ? WHERE title = ?", (player, QUIZ_LESSON))
    client = served.folder / "client"
    recorded(client)
    chrome = chromes(flags=("--autoplay-policy=no-user-gesture-required",))
    chrome.start()
    tab = chrome.tab(served.url)
    who = json.dumps({"email": ADA, "password": PASSWORD})
    how = f"{{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {who!r}}}"
    assert tab.evaluate(f"fetch('/api/auth/login', {how}).then(({{ok}}) => ok)")
    tab.go(f"{served.url}/courses/reading-the-tide/lessons/02-springs-and-neaps")
    tab.until("navigator.serviceWorker.controller !== null")
    tab.until(f"{PLAYER}?.duration === 300")
    tab.evaluate(f"void ({PLAYER}.currentTime = 42)")
    tab.evaluate(f"{PLAYER}.play()")
    tab.evaluate("void document.querySelector('.question input').click()")
    tab.evaluate(f"scrollTo(0, {SEEN_FROM})")
    tab.until("scrollY > 100")
    left_at = tab.evaluate("scrollY")
    # What is a moment to a person is long for a test. A worker that was just woken has the same time to say
    # which build it is.
    tab.evaluate(
        """void ((wait) => {
            window.setTimeout = (run, ms) => wait(run, ms === 10_000 ? 2_000 : ms);
            window.asked = 0;
            window.others = new BroadcastChannel("holdfast-update");
            others.onmessage = ({data}) => { asked += Number(data.type === "call"); };
        })(setTimeout)"""
    )

    chrome.tab("about:blank").front()
    tab.until("document.hidden")
    deploy(second, client)
    recorded(client)
    tab.evaluate("navigator.serviceWorker.getRegistration().then((ours) => ours.update())")
    tab.until(f"document.body.textContent.includes({READY!r})")
    # The first comes after the tab has thought about it, the second after what it then told the others.
    for _ in range(2):
        tab.evaluate("new Promise((resolve) => setTimeout(resolve, 10_000))")
    assert tab.evaluate("asked") == 0, "somebody listens: no tab is asked whether this is the moment"
    heard = tab.evaluate(f"({PLAYER}.pause(), {PLAYER}.currentTime)")
    assert heard > 42

    tab.until(f"{BUILD} === {name_of(second)!r}", 90.0)
    assert tab.evaluate("document.hidden")
    tab.until(f"Math.abs({PLAYER}?.currentTime - {heard}) < 0.001")
    tab.until("document.querySelector('.question input')?.checked")
    tab.until(f"Math.abs(scrollY - {left_at}) < {ONE_LINE}")


def test_later_means_later(context: BrowserContext, served: Served, second: Path) -> None:
    page = context.new_page()
    sign_in(page, served)
    controlled(page)
    update(page, served, second)
    page.get_by_role("button", name="Later", exact=True).click()
    expect(page.get_by_text(READY)).to_have_count(0)
    expect(page.get_by_role("heading", name=OLD)).to_be_visible()


def test_no_tab_reloads_while_something_is_being_sent_and_it_arrives_once(
    context: BrowserContext, served: Served, second: Path
) -> None:
    with Proxy(lambda: served.port) as proxy:
        page = context.new_page()
        direct, served.url = served.url, proxy.url
        sign_in(page, served)
        controlled(page)
        open_lesson(page, QUIZ_LESSON)
        seen = loads(page)
        update(page, served, second)
        take = page.get_by_role("button", name="Use it now", exact=True)
        expect(take).to_be_visible()
        strike = proxy.strike(withhold, "/api/client/progress/batch", holding=b"lesson.completed")
        mark_complete(page)
        until(lambda: strike.done)
        take.click()
        expect(page.get_by_text("The new version comes as soon as what you did is safe")).to_be_visible()
        page.wait_for_timeout(1_500)
        assert seen == []
        proxy.lift(strike)
        until(lambda: build_of(page) == name_of(second))
        saved(page)
        assert len(seen) == 1
        served.url = direct
    assert len(journal_lines(served, "lesson.completed")) == 1


def test_no_tab_reloads_over_what_somebody_typed_into_a_form_and_has_not_sent(
    context: BrowserContext, served: Served, second: Path
) -> None:
    page = context.new_page()
    sign_in(page, served, BEN)
    controlled(page)
    page.get_by_role("link", name="Reading the tide", exact=True).click()
    description = page.get_by_role("textbox", name="Description", exact=True)
    words = f"{description.input_value()} And more."
    description.fill(words)
    seen = loads(page)
    update(page, served, second)
    page.get_by_role("button", name="Use it now", exact=True).click()
    waits = page.get_by_text("and what you typed is sent or cleared")
    expect(waits).to_be_visible()
    page.wait_for_timeout(1_500)
    assert seen == []
    expect(description).to_have_value(words)
    page.get_by_role("button", name="Save", exact=True).click()
    until(lambda: build_of(page) == name_of(second))
    expect(description).to_have_value(words)
    assert len(seen) == 1


def test_an_assignment_in_the_making_is_there_again_in_the_new_version(
    context: BrowserContext, served: Served, second: Path
) -> None:
    page = context.new_page()
    sign_in(page, served, BEN)
    controlled(page)
    go(page, "Assign")
    choose_course(page, "Reading the tide")
    # What is only searched for holds nothing up.
    page.get_by_label("Search by name or e-mail").fill("ada")
    page.get_by_label("Only those who do not have the course yet").uncheck()
    page.get_by_role("checkbox", name=re.compile("^Ada")).check()
    page.get_by_label(re.compile("^Due on")).fill("2031-12-24")
    page.get_by_label(re.compile("^Note")).fill("Soon")
    update(page, served, second)
    page.get_by_role("button", name="Use it now", exact=True).click()
    until(lambda: build_of(page) == name_of(second))
    expect(page.get_by_text("1 person is chosen.")).to_be_visible()
    expect(page.get_by_label(re.compile("^Due on"))).to_have_value("2031-12-24")
    expect(page.get_by_label(re.compile("^Note"))).to_have_value("Soon")
    expect(page.get_by_role("combobox", name="Course", exact=True)).to_have_value("reading-the-tide")


def test_without_any_worker_the_new_version_is_offered_too(
    browser: Browser, served: Served, second: Path
) -> None:
    context = browser.new_context(service_workers="block")
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page = context.new_page()
    sign_in(page, served)
    expect(page.get_by_role("heading", name=OLD)).to_be_visible()
    deploy(second, served.folder / "client")
    # What a tab of the old build meets when it asks for a file that is gone.
    page.evaluate("dispatchEvent(new Event('vite:preloadError'))")
    page.get_by_role("button", name="Use it now", exact=True).click()
    expect(page.get_by_role("heading", name=NEW)).to_be_visible()
    context.close()
