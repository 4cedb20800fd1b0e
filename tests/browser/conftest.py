"""What the browser tests share."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser import harness
from tests.browser.chrome import Chrome
from tests.browser.harness import Learner
from tests.browser.proxy import PORTS, Proxy
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


def quiet_port() -> int:
    """A port that the machine gives nobody by itself, so that it is free again after a kill."""
    for port in random.sample(PORTS, 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")


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
