"""What the browser tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import harness
from tests.browser.admin import administrator, chromium_at, portal_at
from tests.browser.chrome import Chrome
from tests.browser.harness import Learner
from tests.browser.learner import PATIENCE_MS
from tests.browser.proxy import Proxy
from tests.ports import quiet_port
from tests.served import NO_LIMITS, Served

Chromes = Callable[..., Chrome]


@pytest.fixture
def chromes(chromium: str, tmp_path: Path) -> Iterator[Chromes]:
    """Browsers by the name of their profile; whatever still runs in the end is killed."""
    made: list[Chrome] = []

    def chrome(profile: str = "profile", flags: tuple[str, ...] = ()) -> Chrome:
        made.append(Chrome(chromium, tmp_path / profile, flags))
        return made[-1]

    yield chrome
    for each in made:
        if each.is_running:
            each.kill()


@pytest.fixture(scope="session")
def outbox_scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The outbox as the sources have it."""
    return harness.bundle(tmp_path_factory.mktemp("outbox"))


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A portal for the tests of a file: each has its own browser, and looks at its own events."""
    portal = Served(tmp_path_factory.mktemp("portal"), NO_LIMITS, port=quiet_port())
    portal.start()
    yield portal
    if portal.process is not None:
        portal.kill()


@pytest.fixture
def proxy(portal: Served, outbox_scripts: dict[str, bytes]) -> Iterator[Proxy]:
    """The network between the browser and the portal; all is well with it in the beginning."""
    with Proxy(lambda: portal.port) as proxy:
        harness.put_up(proxy, outbox_scripts)
        yield proxy


@pytest.fixture
def ada(chromes: Chromes, proxy: Proxy) -> Learner:
    """A learner, signed in in a browser of her own."""
    chrome = chromes()
    chrome.start()
    learner = Learner(chrome, proxy)
    learner.sign_in()
    return learner


# ---- people in Playwright's Chromium ----


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A portal of the test's own, which it may kill and start again."""
    with portal_at(tmp_path) as portal:
        yield portal


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One for a file: each test takes a context of its own in it."""
    with chromium_at(chromium) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Of somebody who was never here before."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield page
    context.close()


@pytest.fixture
def ben(browser: Browser, served: Served) -> Iterator[Page]:
    """An administrator, signed in, on the first of their pages."""
    with administrator(browser, served) as page:
        yield page
