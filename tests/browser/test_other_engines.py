"""The outbox where there is no Background Sync: Firefox and WebKitGTK, against the real portal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from holdfast.learning.demo import PASSWORD
from tests.browser import pages
from tests.browser import proxy as faults
from tests.browser.firefox import Firefox
from tests.browser.harness import PRINCIPALS, Promises
from tests.browser.oracle import each_once
from tests.browser.pages import came_true
from tests.browser.proxy import Proxy
from tests.browser.webkit import Webkit
from tests.chromium import find_firefox, find_webkit
from tests.served import PEOPLE, Served, until

SENDING: Final = r"^/api/(client/progress|analytics/events)"
READY: Final = "typeof openMine === 'function'"
NOTHING_WAITS: Final = "outbox.sendNow(), outbox.waiting().then((all) => all.length === 0)"


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


def opened(tab: pages.Page) -> None:
    came_true(tab, READY, 60.0)
    tab.evaluate(f"openMine({json.dumps(PRINCIPALS['ada'])}).then(() => true)")


def signed_in(engine: Engine, proxy: Proxy, tabs: int) -> list[Any]:
    """So many tabs of one learner, each with the outbox open."""
    found = engine.start(*[f"{proxy.url}/test/page"] * tabs)
    came_true(found[0], READY, 60.0)
    found[0].evaluate(f"signIn({json.dumps(PEOPLE['ada'])}, {json.dumps(PASSWORD)})")
    for tab in found:
        opened(tab)
    return found


def told(*tabs: pages.Page) -> list[dict[str, Any]]:
    """What these pages were promised, since each was loaded."""
    return [each for tab in tabs for each in tab.evaluate("told")]


def test_there_is_no_background_sync_here(engine: Engine, proxy: Proxy) -> None:
    (tab,) = engine.start(f"{proxy.url}/test/page")
    assert tab.evaluate("'SyncManager' in window") is False
    assert tab.evaluate("'locks' in navigator && 'serviceWorker' in navigator") is True


def test_what_was_saved_offline_outlives_a_reload_and_a_kill_and_drains(
    engine: Engine, proxy: Proxy, portal: Served
) -> None:
    (tab,) = signed_in(engine, proxy, 1)
    tab.evaluate("add(10)")
    came_true(tab, NOTHING_WAITS)
    promises = Promises().hear(told(tab))
    proxy.strike(faults.cut_before, "^/api/")
    tab.evaluate("add(60), add(60, 'analytics.recorded')")
    came_true(tab, "told.filter((one) => one.saved).length === 130")
    promises.hear(told(tab))
    pages.reloaded(tab, READY)
    opened(tab)
    assert tab.evaluate("outbox.waiting().then((all) => all.length)") == 120
    tab.evaluate("add(5)")
    promises.hear(told(tab))
    engine.kill()
    proxy.restore()
    (tab,) = signed_in(engine, proxy, 1)
    # Nobody asks: the page itself comes round to it.
    came_true(tab, "outbox.waiting().then((all) => all.length === 0)", 60.0)
    each_once(promises.hear(told(tab)), portal)
    assert len(promises.saved) == 135


def test_two_tabs_send_each_event_once_and_one_takes_over_from_the_other(
    engine: Engine, proxy: Proxy, portal: Served
) -> None:
    one, two = signed_in(engine, proxy, 2)
    lost = proxy.strike(faults.lose_answer, SENDING, times=2, holding=b'"kind"')
    one.evaluate("add(40, 'analytics.recorded')")
    two.evaluate("add(40, 'analytics.recorded')")
    # Who had the place leaves it before the other one has it.
    until(lambda: sum(tab.evaluate("outbox.status.sendsHere") for tab in (one, two)) == 1, 60.0)
    until(lambda: lost.done == 2, 60.0)
    came_true(one, NOTHING_WAITS, 60.0)
    promises = Promises().hear(told(one, two))
    leader, other = (one, two) if one.evaluate("outbox.status.sendsHere") else (two, one)
    leader.evaluate("outbox.close().then(() => true)")
    other.evaluate("add(10)")
    came_true(other, NOTHING_WAITS, 60.0)
    each_once(promises.hear(told(other)), portal)
    assert len(promises.saved) == 90


def test_a_network_that_is_gone_for_a_while_needs_nobody_to_come_back_to(
    engine: Engine, proxy: Proxy, portal: Served
) -> None:
    (tab,) = signed_in(engine, proxy, 1)
    proxy.refuse()
    tab.evaluate("add(20)")
    came_true(tab, "outbox.status.lanes.progressQueue.state.name === 'waiting'")
    assert tab.evaluate("outbox.waiting().then((all) => all.length)") == 20
    proxy.restore()
    came_true(tab, "outbox.waiting().then((all) => all.length === 0)", 60.0)
    each_once(Promises().hear(told(tab)), portal)
