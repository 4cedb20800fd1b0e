"""Our hold on Chromium itself: each thing done to it really happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.browser import damage
from tests.browser.chrome import SQLITE, Chrome, Tab
from tests.browser.processes import alive
from tests.browser.proxy import Proxy
from tests.browser.talk import Refused
from tests.served import until

pytestmark = pytest.mark.browser

Chromes = Callable[..., Chrome]

WORKER = b"""
self.oninstall = () => self.skipWaiting();
self.onactivate = (event) => event.waitUntil(clients.claim());
self.onsync = (event) => event.waitUntil(fetch("/synced"));
"""
STORE = """
var opened = () => new Promise((ok, no) => {
  const asked = indexedDB.open("things", 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore("all");
  asked.onsuccess = () => ok(asked.result);
  asked.onerror = () => no(asked.error);
});
var put = async (count, size = 400, first = 0) => {
  window.db ??= await opened();
  db.onclose = () => tell('"closed"');
  for (let n = first; n < first + count; n += 1) {
    const work = db.transaction("all", "readwrite", {durability: "strict"});
    work.objectStore("all").put("x".repeat(size) + n, n);
    await new Promise((ok, no) => { work.oncomplete = ok; work.onabort = () => no(work.error); });
  }
};
var counted = async () => {
  const asked = (await opened()).transaction("all").objectStore("all").getAll();
  return new Promise((ok, no) => {
    asked.onsuccess = () => ok(asked.result.length);
    asked.onerror = () => no(asked.error);
  });
};
"""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(lambda: 9) as proxy:
        proxy.pages["/page"] = ("text/html", f"<title>page</title><script>{STORE}</script>".encode())
        proxy.pages["/worker.js"] = ("text/javascript", WORKER)
        yield proxy


@pytest.fixture
def chrome(chromes: Chromes) -> Chrome:
    chrome = chromes()
    chrome.start()
    return chrome


def with_worker(chrome: Chrome, proxy: Proxy) -> Tab:
    tab = chrome.tab(f"{proxy.url}/page")
    tab.evaluate(
        "navigator.serviceWorker.register('/worker.js')"
        ".then(() => navigator.serviceWorker.ready).then(() => true)"
    )
    until(lambda: chrome.workers_running)
    return tab


def test_a_kill_ends_every_process_and_the_profile_remains(chrome: Chrome, proxy: Proxy) -> None:
    tab = chrome.tab(f"{proxy.url}/page")
    tab.evaluate("put(20)")
    killed = chrome.kill()
    assert len(killed) > 2, "the browser and its children"
    assert not [pid for pid in killed if alive(pid)]
    chrome.start()
    assert chrome.tab(f"{proxy.url}/page").evaluate("counted()") == 20


def test_offline_is_told_to_pages_and_workers_also_after_a_restart(chrome: Chrome, proxy: Proxy) -> None:
    tab = with_worker(chrome, proxy)
    chrome.offline()
    assert tab.evaluate("navigator.onLine") is False
    with pytest.raises(Refused, match="Failed to fetch"):
        tab.evaluate("fetch('/page')")
    tab.evaluate("navigator.serviceWorker.ready.then((ours) => ours.sync.register('tag'))")
    chrome.kill()
    chrome.start(offline=True)
    assert chrome.tab().evaluate("navigator.onLine") is False


def test_a_sync_that_is_owed_comes_by_itself_once_there_is_a_network_after_a_kill(
    chrome: Chrome, proxy: Proxy
) -> None:
    tab = with_worker(chrome, proxy)
    proxy.refuse()
    chrome.offline()
    tab.evaluate("navigator.serviceWorker.ready.then((ours) => ours.sync.register('tag'))")
    chrome.kill()
    chrome.start(offline=True)
    until(lambda: chrome.workers_running)
    proxy.pages["/synced"] = ("text/plain", b"yes")
    proxy.restore()
    chrome.online()
    until(lambda: "/synced" in proxy.asked)


def test_a_hidden_tab_freezes_with_its_locks_and_thaws(chrome: Chrome, proxy: Proxy) -> None:
    hidden = chrome.tab(f"{proxy.url}/page")
    shown = chrome.tab(f"{proxy.url}/page")
    hidden.evaluate("void navigator.locks.request('one', () => new Promise(() => {}))")
    hidden.evaluate("void (window.ticks = 0, setInterval(() => { window.ticks += 1 }, 10))")
    hidden.freeze()
    before = hidden.evaluate("ticks")
    taken = "navigator.locks.request('one', {ifAvailable: true}, (lock) => lock !== null)"
    assert shown.evaluate(taken) is False
    shown.evaluate("new Promise((ok) => setTimeout(ok, 300))")
    assert hidden.evaluate("ticks") <= before + 1, "its timers stand still"
    hidden.thaw()
    hidden.until(f"ticks > {before + 3}")


def test_a_crashed_renderer_runs_no_pagehide(chrome: Chrome, proxy: Proxy) -> None:
    chrome.tab(f"{proxy.url}/page")
    tab = chrome.tab(f"{proxy.url}/page")
    tab.evaluate("void (onpagehide = () => navigator.sendBeacon('/bye'))")
    tab.crash()
    tab.close()
    assert chrome.tab(f"{proxy.url}/page").evaluate("document.title") == "page"
    assert "/bye" not in proxy.asked


def test_a_closed_tab_runs_its_pagehide(chrome: Chrome, proxy: Proxy) -> None:
    chrome.tab(f"{proxy.url}/page")
    tab = chrome.tab(f"{proxy.url}/page")
    tab.evaluate("void (onpagehide = () => navigator.sendBeacon('/bye'))")
    tab.close()
    until(lambda: "/bye" in proxy.asked)


def test_all_workers_stop(chrome: Chrome, proxy: Proxy) -> None:
    with_worker(chrome, proxy)
    assert chrome.stop_workers() == 1


def test_a_quota_overrun_aborts_the_transaction_until_it_is_lifted(chrome: Chrome, proxy: Proxy) -> None:
    tab = chrome.tab(f"{proxy.url}/page")
    chrome.quota(proxy.url, 20_000)
    with pytest.raises(Refused, match="Quota"):
        tab.evaluate("put(20, 10_000)")
    chrome.quota(proxy.url, None)
    tab.evaluate("put(20, 10_000)")


def test_databases_are_deleted_under_a_page_that_has_them_open(chrome: Chrome, proxy: Proxy) -> None:
    tab = chrome.tab(f"{proxy.url}/page")
    tab.evaluate("put(5)")
    chrome.clear_databases(proxy.url)
    until(lambda: "closed" in tab.said)
    with pytest.raises(Refused, match="InvalidStateError"):
        tab.evaluate("put(1)")
    assert tab.evaluate("counted()") == 0


def test_a_pages_clock_jumps_and_stays_off_after_a_reload(chrome: Chrome, proxy: Proxy) -> None:
    tab = chrome.tab(f"{proxy.url}/page")
    before = tab.evaluate("Date.now()")
    tab.clock_jumps(-86_400)
    assert tab.evaluate("new Date().getTime()") < before - 86_000_000
    tab.reload()
    assert tab.evaluate("Date.now()") < before - 86_000_000


@pytest.mark.parametrize(
    "flags, folder", [((), ".indexeddb.leveldb"), (SQLITE, "")], ids=["leveldb", "sqlite"]
)
def test_both_engines_are_under_indexeddb_and_their_files_can_be_damaged(
    chromes: Chromes, proxy: Proxy, flags: tuple[str, ...], folder: str
) -> None:
    chrome = chromes(flags=flags)
    chrome.start()
    chrome.tab(f"{proxy.url}/page").evaluate("put(100)")
    chrome.kill()
    damaged = damage.cut_off(chrome.profile, proxy.port)
    assert damaged.parent.name == f"http_127.0.0.1_{proxy.port}{folder}"
    chrome.start()
    left = chrome.tab(f"{proxy.url}/page").evaluate("counted().catch(() => -1)")
    assert left < 100
