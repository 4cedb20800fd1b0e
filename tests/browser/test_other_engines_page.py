"""The portal's own page where there is no Background Sync: Firefox and WebKitGTK, offline and updated."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from holdfast.learning.demo import PASSWORD
from tests.browser.builds import build, deploy, name_of
from tests.browser.firefox import Firefox
from tests.browser.learner import journal_lines
from tests.browser.pages import Page, came_true, reloaded
from tests.browser.proxy import Proxy, withhold
from tests.browser.talk import Refused
from tests.browser.webkit import Webkit
from tests.chromium import find_firefox, find_webkit
from tests.ports import quiet_port
from tests.served import PEOPLE, Served, until

pytestmark = pytest.mark.timeout(300)

COURSE: Final = "reading-the-tide"
LESSONS: Final = ("02-springs-and-neaps", "04-the-rule-of-twelfths")
OLD, NEW = "Assigned to you", "Given to you to learn"
CREDENTIALS: Final = json.dumps({"email": PEOPLE["ada"], "password": PASSWORD})
SIGN_IN: Final = f"""fetch("/api/auth/login", {{method: "POST", body: JSON.stringify({CREDENTIALS}),
  headers: {{"Content-Type": "application/json"}}}}).then((answer) => answer.status)"""
LOOK_FOR_ANOTHER: Final = (
    "navigator.serviceWorker.getRegistration().then((ours) => ours.update()).then(() => true)"
)
TEXT: Final = "document.body.textContent"
STANDING: Final = "document.querySelector('.standing')?.textContent"
BUILD: Final = "document.querySelector('meta[name=holdfast-build]')?.content"
CONTROLLED: Final = "navigator.serviceWorker.controller !== null"
ACTIVE: Final = (
    "navigator.serviceWorker.getRegistration().then((ours) => ours?.active?.state === 'activated')"
)
STARTED: Final = "document.querySelector('main') !== null"
KEPT: Final = f"{TEXT}.includes('Lesson complete, on this device')"
SAVED: Final = f"{TEXT}.includes('Lesson complete, saved on the server.')"
WAITING: Final = f"parseInt({STANDING})"
ALL_SENT: Final = f"{STANDING} === 'All on the server'"
QUIZ_ANSWER: Final = (
    "[...document.querySelectorAll('label')].find((one) => one.textContent.includes('Around half moon'))"
    "?.querySelector('input')"
)


class Engine(Protocol):
    """A browser of either kind."""

    def start(self, *urls: str) -> list[Any]: ...
    def kill(self) -> set[int]: ...


@pytest.fixture(
    params=[
        pytest.param("firefox", marks=pytest.mark.firefox),
        pytest.param("webkit", marks=pytest.mark.webkit),
    ]
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    profile = tmp_path / "profile"
    if request.param == "firefox":
        firefox = Firefox(find_firefox() or "", profile)
        yield firefox
        if firefox.is_running:
            firefox.kill()
    else:
        webkit = Webkit(find_webkit() or "", profile)
        yield webkit
        webkit.end()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("second"), (OLD, NEW))


@pytest.fixture
def served(tmp_path: Path, first: Path) -> Iterator[Served]:
    deploy(first, tmp_path / "client")
    portal = Served(tmp_path, {"HOLDFAST_CLIENT_DIR": str(tmp_path / "client")}, port=quiet_port())
    portal.start()
    yield portal
    if portal.process is not None:
        portal.kill()


@pytest.fixture
def link(served: Served) -> Iterator[Proxy]:
    """The network in between: who can't be told to be offline is refused every connection."""
    with Proxy(lambda: served.port) as link:
        yield link


def lesson_at(link: Proxy, lesson: str = LESSONS[0]) -> str:
    return f"{link.url}/courses/{COURSE}/lessons/{lesson}"


def button(words: str) -> str:
    return f"[...document.querySelectorAll('button')].find((one) => one.textContent.trim() === '{words}')"


def sign_in(*pages: Page) -> None:
    """Ada signs in, and the pages that knew nobody are loaded anew: the lesson is there, and the worker."""
    for page in pages:
        came_true(page, CONTROLLED, 60.0)
    assert pages[0].evaluate(SIGN_IN) == 200
    for page in pages:
        reloaded(page)
    for page in pages:
        came_true(page, CONTROLLED)
        came_true(page, ALL_SENT)
        came_true(page, f"({button('Mark as complete')}) !== undefined")


def press(page: Page, words: str) -> None:
    """Press a button as soon as it is there; once, also where the page goes away for it."""
    came_true(page, f"({button(words)}) !== undefined")
    page.evaluate(f"void {button(words)}.click()")


def completed(served: Served) -> Counter[str]:
    """How often the journal has each lesson completed."""
    lines = journal_lines(served, "lesson.completed")
    return Counter(json.loads(line)["e"]["body"]["lessonId"] for line in lines)


def test_a_second_tab_shows_what_the_first_kept_and_both_outlive_a_reload_and_send_it_once(
    engine: Engine, served: Served, link: Proxy
) -> None:
    tabs = engine.start(*[lesson_at(link, lesson) for lesson in LESSONS])
    sign_in(*tabs)
    link.refuse()
    for count, tab in enumerate(tabs, start=1):
        press(tab, "Mark as complete")
        came_true(tab, KEPT)
        for each in tabs:
            # At least: a lesson that is open adds how far it was read.
            came_true(each, f"{WAITING} >= {count}")
    for tab in tabs:
        # Only the worker can have answered this one.
        reloaded(tab)
        came_true(tab, KEPT)
        came_true(tab, f"{WAITING} >= 2")
    assert completed(served) == Counter()
    link.restore()
    for tab in tabs:
        came_true(tab, SAVED, 60.0)
        came_true(tab, ALL_SENT, 60.0)
    assert completed(served) == Counter(LESSONS)


def test_a_killed_browser_opens_again_with_what_waited_and_sends_it(
    engine: Engine, served: Served, link: Proxy
) -> None:
    (page,) = engine.start(lesson_at(link))
    sign_in(page)
    link.refuse()
    press(page, "Mark as complete")
    came_true(page, KEPT)
    assert engine.kill()
    assert completed(served) == Counter()
    link.restore()
    (page,) = engine.start(lesson_at(link))
    # The cookie may not have reached the disk when the browser was killed.
    assert page.evaluate(SIGN_IN) == 200
    reloaded(page)
    came_true(page, SAVED, 60.0)
    came_true(page, ALL_SENT)
    assert completed(served) == Counter(LESSONS[:1])


def test_a_page_that_comes_after_the_worker_claimed_its_pages_is_claimed_too(
    engine: Engine, link: Proxy
) -> None:
    installing = link.strike(withhold, "^/$", times=1)
    (page,) = engine.start(lesson_at(link))
    until(lambda: installing.done, 60.0)
    coming = link.strike(withhold, "^/courses/", times=1)
    page.evaluate("void (window.isOld = true)")
    with suppress(Refused):
        page.evaluate("void setTimeout(() => location.reload(), 20)")
    until(lambda: coming.done, 60.0)
    link.lift(installing)
    came_true(page, f"window.isOld && {ACTIVE}", 60.0)
    link.lift(coming)
    came_true(page, f"!window.isOld && {STARTED}", 60.0)
    if isinstance(engine, Webkit):
        # WebKitGTK takes it for claimed already, and claims it no more: its next load has the worker.
        reloaded(page)
    came_true(page, CONTROLLED)


ONCE_A_LOAD = "/api/client/flags"
"""Each load asks what its device is to have, and nothing else does. Who this is, the outbox asks too."""


def test_a_new_version_is_offered_and_taken_with_one_reload_and_everything_is_where_it_was(
    engine: Engine, served: Served, link: Proxy, first: Path, second: Path
) -> None:
    (page,) = engine.start(lesson_at(link))
    sign_in(page)
    came_true(page, f"{QUIZ_ANSWER} !== undefined")
    page.evaluate(f"void {QUIZ_ANSWER}.click()")
    assert page.evaluate(BUILD) == name_of(first)
    deploy(second, served.folder / "client")
    assert page.evaluate(LOOK_FOR_ANOTHER)
    came_true(page, f"{TEXT}.includes('A new version is ready.')")
    page.evaluate("void (window.isOld = true)")
    asked = link.asked.count(ONCE_A_LOAD)
    press(page, "Use it now")
    came_true(page, f"!window.isOld && {BUILD} === '{name_of(second)}'")
    came_true(page, f"{QUIZ_ANSWER}?.checked")
    page.evaluate("void (window.isStill = true)")
    # What would reload again, does so when the worker is asked about once more.
    assert page.evaluate(LOOK_FOR_ANOTHER)
    until(lambda: link.asked.count(ONCE_A_LOAD) > asked)
    came_true(page, ALL_SENT)
    assert page.evaluate("window.isStill")
    assert not page.evaluate(f"{TEXT}.includes('A new version is ready.')")
    assert link.asked.count(ONCE_A_LOAD) == asked + 1, "it was loaded once"
