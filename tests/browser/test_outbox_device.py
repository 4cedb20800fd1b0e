"""The outbox in Chromium on a device that fails it: killed, crashed, frozen, full, damaged, out of time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser import damage
from tests.browser import proxy as faults
from tests.browser.chrome import SQLITE, Tab
from tests.browser.conftest import Chromes
from tests.browser.harness import Learner, drained
from tests.browser.oracle import each_once, judge
from tests.browser.proxy import Proxy
from tests.served import Served, until

pytestmark = pytest.mark.browser

SENDING = r"^/api/(client/progress|analytics/events)"
AN_EVENT = b'"kind"'
ENGINES = pytest.mark.parametrize("engine", [(), SQLITE], ids=["leveldb", "sqlite"])


def on(engine: tuple[str, ...], chromes: Chromes, proxy: Proxy) -> Learner:
    """A learner in a browser that keeps its databases in this engine."""
    chrome = chromes(flags=engine)
    chrome.start()
    ada = Learner(chrome, proxy)
    ada.signed_in_long_ago()
    return ada


def away(ada: Learner) -> None:
    """No network, and the browser knows."""
    ada.proxy.refuse()
    ada.chrome.offline()


def back(ada: Learner) -> None:
    """The network is there again."""
    ada.proxy.restore()
    ada.chrome.online()


@ENGINES
def test_what_was_saved_offline_outlives_a_kill_and_arrives(
    engine: tuple[str, ...], chromes: Chromes, proxy: Proxy, portal: Served
) -> None:
    ada = on(engine, chromes, proxy)
    tab = ada.tab()
    tab.evaluate("add(1)")
    drained(tab)
    # It has leave to send now, so that it tries, and fails: what it tried must be there all the same.
    away(ada)
    for _ in range(5):
        tab.evaluate("add(25), add(25, 'analytics.recorded')")
    until(lambda: len(ada.promises.saved) == 251)
    for lane in ("progressQueue", "analyticsQueue"):
        tab.until(f"outbox.status.lanes.{lane}.state.why === 'The server could not be reached.'")
    ada.chrome.kill()
    ada.chrome.start()
    proxy.restore()
    tab = ada.tab()
    drained(tab)
    each_once(ada.promises, portal)
    assert len(ada.promises.saved) == 251


@ENGINES
def test_a_kill_in_the_middle_of_adding_and_sending_loses_nothing_that_was_called_saved(
    engine: tuple[str, ...], chromes: Chromes, proxy: Proxy, portal: Served
) -> None:
    ada = on(engine, chromes, proxy)
    for least in (20, 40, 60):
        tab = ada.tab()
        tab.evaluate("void keepAdding(5)")
        until(lambda least=least: len(ada.promises.saved) >= least)  # type: ignore[misc]
        ada.chrome.kill()
        ada.chrome.start()
    drained(ada.tab())
    each_once(ada.promises, portal)


def test_a_crashed_renderer_loses_nothing_and_another_tab_sends(ada: Learner, portal: Served) -> None:
    crashed, other = ada.tab(), ada.tab()
    crashed.front()
    crashed.evaluate("void keepAdding(5)")
    until(lambda: len(ada.promises.saved) >= 30)
    crashed.crash()
    crashed.close()
    drained(other)
    each_once(ada.promises, portal)


def test_five_tabs_at_once_send_each_event_once(ada: Learner, portal: Served, proxy: Proxy) -> None:
    tabs = [ada.tab() for _ in range(5)]
    # The seat goes to the tab that is seen, and stays there: one that moves while it sends, sends twice.
    tabs[0].front()
    tabs[0].until("!document.hidden && outbox.status.sendsHere", 60.0)
    for tab in tabs[1:]:
        tab.until("document.hidden")
    for tab in tabs:
        tab.evaluate("void keepAdding(10, 5)")
    until(lambda: len(ada.promises.saved) >= 300, 60.0)
    for tab in tabs:
        tab.evaluate("adding = false")
    assert sum(tab.evaluate("outbox.status.sendsHere") for tab in tabs) == 1
    drained(tabs[0])
    each_once(ada.promises, portal)
    posts = [target for method, target, _ in proxy.passed if method == "POST" and "/batch" in target]
    assert len(posts) < len(ada.promises.saved) / 2, "they are sent together, by one"
    assert not any("duplicate" in how for how in ada.promises.settled.values())


UNAWARE = "{page: {visible: () => true, listen: () => () => {}}, channel: null}"
"""A page that hears nothing of being hidden or frozen, as where a device stops it without a word. Nor does it
hear other tabs: Chromium lets a frozen page hear those, and no page that stands still does."""
TAKEN = "navigator.locks.query().then(({held}) => held.filter(({name}) => name.endsWith('.send')).length)"


WRITES = "outbox.putAway('nothing').then(() => true)"
WRITES_WITHOUT_AN_OUTBOX = """(async () => {
  const databases = (await indexedDB.databases()).map(({name}) => name);
  const names = databases.filter((name) => name !== "holdfast-syncs");
  for (const name of names) {
    const asked = indexedDB.open(name);
    const database = await new Promise((ok, no) => {
      asked.onsuccess = () => ok(asked.result);
      asked.onerror = () => no(asked.error);
    });
    const writing = database.transaction([...database.objectStoreNames], "readwrite");
    await new Promise((ok, no) => { writing.oncomplete = ok; writing.onabort = () => no(writing.error); });
    database.close();
  }
  return names.length > 0;
})()"""


def freeze_between_transactions(tab: Tab, other: Tab, writes: str = WRITES) -> None:
    """Browsers freeze no page with a transaction open, for it would block everyone; our own freeze does.

    `writes`: what the other tab does that such a transaction holds up."""
    too_long = "new Promise((ok) => setTimeout(ok, 5_000, false))"
    for _ in range(10):
        tab.freeze()
        if other.evaluate(f"Promise.race([{writes}, {too_long}])"):
            return
        tab.thaw()
        tab.until("outbox.status.sendsHere", 60.0)
        quiet(tab)
    raise AssertionError("there was always a transaction open")


def quiet(tab: Tab) -> None:
    """Wait until it has nothing to do any more, not even to count."""
    tab.evaluate("new Promise((ok) => setTimeout(ok, 2_000))")


def test_a_tab_that_is_frozen_while_it_sends_is_replaced_and_its_late_word_counts_for_nothing(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    leader = ada.tab(UNAWARE)
    leader.until("outbox.status.sendsHere")
    follower = ada.tab()
    held = proxy.strike(faults.withhold, SENDING, times=1, holding=AN_EVENT)
    leader.evaluate("add(20, 'analytics.recorded')")
    until(lambda: held.done)
    # Asked before: it may take over while the freeze is still looking for its moment.
    assert follower.evaluate("outbox.status.sendsHere") is False
    freeze_between_transactions(leader, follower)
    follower.evaluate("add(20, 'analytics.recorded')")
    assert follower.evaluate(TAKEN) == 1, "the frozen tab keeps its lock"
    follower.until("outbox.status.sendsHere", 60.0)
    drained(follower)
    proxy.lift(held)
    leader.thaw()
    leader.until("!outbox.status.sendsHere")
    leader.evaluate("add(5)")
    drained(leader)
    each_once(ada.promises, portal)
    assert len(ada.promises.saved) == 45


def test_a_tab_that_hears_that_it_will_be_frozen_leaves_its_place_at_once(
    ada: Learner, portal: Served
) -> None:
    leader = ada.tab()
    leader.until("outbox.status.sendsHere")
    bare = ada.chrome.tab(f"{ada.proxy.url}/test/page")
    bare.front()
    quiet(leader)
    freeze_between_transactions(leader, bare, WRITES_WITHOUT_AN_OUTBOX)
    follower = ada.tab()
    follower.until("outbox.status.sendsHere", 10.0)
    # What the frozen tab hears of the others must not make it open a transaction, which it could never end.
    assert follower.evaluate("add(20)") == 20
    drained(follower)
    leader.thaw()
    leader.evaluate("add(5)")
    drained(follower)
    each_once(ada.promises, portal)


def test_a_device_without_room_says_not_saved_and_goes_on_once_there_is_room(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    ada.chrome.quota(proxy.url, 2_000_000)
    tab = ada.tab()
    tab.evaluate("add(5)")
    proxy.refuse()
    tab.until("add(5, 'analytics.recorded', 30_000).then((kept) => kept === 0)", 60.0)
    until(lambda: ada.promises.unsafe >= 5)
    tab.until("outbox.status.storage === 'unsafe'")
    proxy.restore()
    ada.chrome.quota(proxy.url, None)
    # The browser itself remembers for half a minute that there was no room.
    tab.until("outbox.sendNow(), outbox.status.storage === 'safe'", 90.0)
    assert tab.evaluate("add(5)") == 5
    drained(tab)
    each_once(ada.promises, portal)


def test_a_database_deleted_under_a_live_page_is_reported_and_the_page_goes_on(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    tab = ada.tab()
    tab.evaluate("add(5)")
    drained(tab)
    proxy.refuse()
    tab.evaluate("add(20)")
    ada.chrome.clear_databases(proxy.url)
    tab.until("add(5).then((count) => count === 5)")
    # No event gets through before the loss is known: one that was picked before the deletion would, too.
    strike = proxy.strike(faults.cut_before, SENDING, holding=AN_EVENT)
    proxy.open_again()
    tab.evaluate("void outbox.sendNow()")
    until(lambda: ada.promises.losses, 60.0)
    proxy.lift(strike)
    drained(tab)
    verdict = each_once(ada.promises, portal, but_lost=20)
    assert len(verdict.reported_lost - verdict.applied) == 20
    assert len(verdict.applied) >= 10


def test_a_deleted_database_is_reported_even_when_nothing_is_added_after_it(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    tab = ada.tab()
    tab.evaluate("add(5)")
    drained(tab)
    proxy.refuse()
    tab.evaluate("add(20)")
    ada.chrome.clear_databases(proxy.url)
    # What was picked before the deletion is no loss where it gets through.
    proxy.strike(faults.cut_before, SENDING, holding=AN_EVENT)
    proxy.open_again()
    until(lambda: ada.promises.losses, 60.0)
    until(lambda: not judge(ada.promises, portal.data).vanished)
    verdict = each_once(ada.promises, portal, but_lost=20)
    assert len(verdict.reported_lost - verdict.applied) == 20


Damage = Callable[[Path, int], Path]


HARMS = (damage.flip, damage.zero_page, damage.cut_off, damage.remove)
IN_EVERY_RUN = {(damage.flip, SQLITE), (damage.flip, ()), (damage.cut_off, ()), (damage.remove, SQLITE)}
"""Each waits for the disk for up to a minute; the others are left to the soak."""


@pytest.mark.parametrize(
    "harm, engine",
    [
        pytest.param(
            harm,
            engine,
            id=f"{harm.__name__}-{name}",
            marks=() if (harm, engine) in IN_EVERY_RUN else pytest.mark.soak,
        )
        for harm in HARMS
        for engine, name in (((), "leveldb"), (SQLITE, "sqlite"))
    ],
)
def test_damage_on_the_disk_loses_nothing_in_silence(
    engine: tuple[str, ...], harm: Damage, chromes: Chromes, proxy: Proxy, portal: Served
) -> None:
    ada = on(engine, chromes, proxy)
    tab = ada.tab()
    tab.evaluate("add(5)")
    drained(tab)
    proxy.refuse()
    for _ in range(4):
        tab.evaluate("add(25), add(25, 'analytics.recorded')")
    until(lambda: len(ada.promises.saved) == 205)
    # What says that there was something must not go down with it: Chromium may wait a minute to write it.
    until(lambda: damage.is_in_local_storage(ada.chrome.profile, '"lastSeq":205'), 90.0)
    ada.chrome.kill()
    harm(ada.chrome.profile, proxy.port)
    ada.chrome.start()
    proxy.restore()
    tab = ada.tab()
    drained(tab)
    assert tab.evaluate("add(3)") == 3
    drained(tab)
    tab.until("outbox.sendNow(), outbox.losses().then((all) => all.every(({told}) => told))")
    until(lambda: not judge(ada.promises, portal.data).vanished, 60.0)
    each_once(ada.promises, portal, but_lost=200)


@pytest.mark.parametrize("by_s", [-400 * 86_400, 400 * 86_400], ids=["back", "ahead"])
def test_a_clock_that_jumps_by_a_year_stops_nothing(
    ada: Learner, portal: Served, proxy: Proxy, by_s: int
) -> None:
    tab = ada.tab()
    tab.evaluate("add(5)")
    strike = proxy.strike(faults.cut_before, SENDING, times=1, holding=AN_EVENT)
    tab.evaluate("add(5)")
    until(lambda: strike.done)
    tab.clock_jumps(by_s)
    tab.evaluate("add(5)")
    drained(tab)
    ada.reload(tab)
    tab.evaluate("add(5)")
    drained(tab)
    each_once(ada.promises, portal)
    assert len(ada.promises.saved) == 20
