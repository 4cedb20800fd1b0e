"""The service worker's share in sending, in Chromium: by the browser's own Background Sync."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress

import pytest

from tests.browser import proxy as faults
from tests.browser.chrome import SQLITE
from tests.browser.conftest import Chromes
from tests.browser.harness import Learner, drained
from tests.browser.oracle import each_once, journalled
from tests.browser.proxy import Proxy
from tests.served import Served, until

pytestmark = pytest.mark.browser

BATCH = r"^/api/(client/progress|analytics/events)"
AN_EVENT = b'"kind"'
SYNCS_COUNTED = """new Promise((ok, fail) => {
  const opening = indexedDB.open("holdfast-syncs", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("holdfast-syncs");
  opening.onerror = () => fail(opening.error);
  opening.onsuccess = () => {
    const reading = opening.result.transaction("holdfast-syncs").objectStore("holdfast-syncs").get(0);
    reading.onsuccess = () => (opening.result.close(), ok(reading.result ?? {well: 0, badly: 0}));
  };
})"""


def arrived(ada: Learner, portal: Served) -> bool:
    """Whether the journal holds all that was called saved."""
    return set(ada.promises.saved) <= set(journalled(portal.data))


def syncs_told(portal: Served) -> Counter[str]:
    """What the portal has heard of devices' background syncs, by how they went."""
    with portal.client() as client:
        lines = client.get("/api/diagnostics/metrics").text
    told = re.findall(r'^holdfast_client_syncs_total{.*?"(\w+)"} ([\d.]+)$', lines, re.MULTILINE)
    return Counter({how: int(float(count)) for how, count in told})


@pytest.mark.parametrize("engine", [(), SQLITE], ids=["leveldb", "sqlite"])
def test_250_events_made_offline_arrive_after_a_reload_and_a_kill_with_no_page_open(
    engine: tuple[str, ...], chromes: Chromes, proxy: Proxy, portal: Served
) -> None:
    chrome = chromes(flags=engine)
    chrome.start()
    ada = Learner(chrome, proxy)
    ada.signed_in_long_ago()
    tab = ada.tab()
    ada.with_worker(tab, "/")
    proxy.refuse()
    chrome.offline()
    for _ in range(5):
        tab.evaluate("add(25), add(25, 'analytics.recorded')")
    until(lambda: len(ada.promises.saved) == 250)
    tab.evaluate("askForSync().then(() => true)")
    tab.reload("!!document.querySelector('meta[name=holdfast-build]')")
    chrome.kill()
    chrome.start(offline=True)
    until(lambda: chrome.workers_running)
    assert not journalled(portal.data).keys() & ada.promises.saved.keys(), "nothing has left the device"
    proxy.restore()
    chrome.online()
    until(lambda: arrived(ada, portal), 60.0)
    assert all(tab.evaluate("location.href") == "about:blank" for tab in chrome.tabs.values())
    each_once(ada.promises, portal)


def test_a_worker_that_is_stopped_while_it_sends_loses_and_doubles_nothing(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    tab = ada.tab()
    ada.with_worker(tab)
    proxy.refuse()
    ada.chrome.offline()
    tab.evaluate("add(80, 'analytics.recorded')")
    tab.evaluate("askForSync().then(() => true)")
    tab.close()
    held = proxy.strike(faults.withhold, BATCH, times=1, holding=AN_EVENT)
    proxy.open_again()
    ada.chrome.online()
    until(lambda: held.done, 30.0)
    assert b'"accepted"' in held.answers[0].body, "the portal has it, and the worker does not know"
    assert ada.chrome.stop_workers() == 1
    proxy.lift(held)
    until(lambda: arrived(ada, portal), 60.0)
    drained(ada.tab())
    each_once(ada.promises, portal)


def test_another_person_neither_sends_nor_sees_what_waits_and_it_arrives_when_its_own_is_back(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    tab = ada.tab()
    proxy.refuse()
    tab.evaluate("add(20, 'analytics.recorded')")
    tab.close()
    proxy.restore()
    cleo = Learner(ada.chrome, proxy, "cleo")
    cleo.sign_in()
    theirs = cleo.tab()
    assert theirs.evaluate("outbox.waiting()") == []
    theirs.evaluate("add(5)")
    drained(theirs)
    # Even a page that was opened for the first one sends nothing in the second one's name.
    still = ada.tab()
    still.until("outbox.sendNow(), outbox.status.lanes.analyticsQueue.state.why === 'anotherPerson'")
    assert not journalled(portal.data).keys() & ada.promises.saved.keys()
    ada.sign_in()
    drained(still)
    each_once(ada.promises, portal)
    cleos = cleo.promises.saved.keys()
    assert len(cleos) == 5
    assert cleos <= journalled(portal.data).keys()


def test_syncs_that_went_badly_and_well_are_told_with_the_next_batches_each_once(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    tab = ada.tab()
    ada.with_worker(tab)
    before = syncs_told(portal)
    proxy.refuse()
    ada.chrome.offline()
    tab.evaluate("add(5)")
    # From here on the worker alone sends.
    tab.evaluate("outbox.close().then(() => true)")
    tab.evaluate("askForSync().then(() => true)")
    ada.chrome.online()
    tab.until(f"{SYNCS_COUNTED}.then(({{badly}}) => badly > 0)", 60.0)
    badly = tab.evaluate(SYNCS_COUNTED)["badly"]
    proxy.open_again()
    tab.evaluate("askForSync().then(() => true)")
    until(lambda: arrived(ada, portal), 60.0)

    def known() -> Counter[str]:
        """Told, or still counted on the device."""
        counted = tab.evaluate(SYNCS_COUNTED)
        return syncs_told(portal) - before + Counter(success=counted["well"], failure=counted["badly"])

    until(lambda: known() == Counter(success=1, failure=badly), 60.0)

    def told() -> bool:
        return syncs_told(portal) - before == Counter(success=1, failure=badly)

    # The portal's own page, with what a page sends by itself. A batch waits a third of a second for the count
    # and no longer, so that on a busy machine it may go with a later one.
    for _ in range(6):
        page = ada.chrome.tab(proxy.url, "!!document.querySelector('meta[name=holdfast-build]')")
        with suppress(AssertionError):
            until(told, 10.0)
        page.close()
        if told():
            break
    assert told()
    until(lambda: tab.evaluate(SYNCS_COUNTED) == {"well": 0, "badly": 0})
