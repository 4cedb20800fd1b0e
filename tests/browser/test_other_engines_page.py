"""The portal page without Background Sync: Firefox and WebKitGTK, opened again after a kill."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from holdfast.learning.demo import PASSWORD
from tests.browser.builds import build, deploy
from tests.browser.conftest import quiet_port
from tests.browser.firefox import Firefox
from tests.browser.learner import journal_lines
from tests.browser.pages import Page, came_true, reloaded
from tests.browser.proxy import Proxy
from tests.browser.webkit import Webkit
from tests.chromium import find_firefox, find_webkit
from tests.served import PEOPLE, Served

COURSE: Final = "reading-the-tide"
LESSONS: Final = ("02-springs-and-neaps", "04-the-rule-of-twelfths")
CREDENTIALS: Final = json.dumps({"email": PEOPLE["ada"], "password": PASSWORD})
SIGN_IN: Final = f"""fetch("/api/auth/login", {{method: "POST", body: JSON.stringify({CREDENTIALS}),
  headers: {{"Content-Type": "application/json"}}}}).then((answer) => answer.status)"""
TEXT: Final = "document.body.textContent"
STANDING: Final = "document.querySelector('.standing')?.textContent"
CONTROLLED: Final = "navigator.serviceWorker.controller !== null"
KEPT: Final = f"{TEXT}.includes('Lesson complete, on this device')"
SAVED: Final = f"{TEXT}.includes('Lesson complete, saved on the server.')"
ALL_SENT: Final = f"{STANDING} === 'All on the server'"


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
