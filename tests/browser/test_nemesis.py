"""A minute of all that can go wrong, by a seed: nothing that was called saved is lost in silence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.browser import harness
from tests.browser.chrome import SQLITE, Chrome
from tests.browser.conftest import quiet_port
from tests.browser.harness import Learner
from tests.browser.nemesis import Nemesis
from tests.browser.oracle import each_once
from tests.browser.proxy import Proxy
from tests.faults.seeds import FIRST, SOAKED
from tests.served import NO_LIMITS, Served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]

FOR_S = 60.0
SIDE_BY_SIDE = 5
SEEDS_OF_A_SOAK = min(20, SOAKED)


def one_run(seed: int, folder: Path, chromium: str, scripts: dict[str, bytes]) -> str:
    """One seed's story; raises with all of it when a promise was broken."""
    folder.mkdir()
    portal = Served(folder, NO_LIMITS, port=quiet_port())
    # Every other seed on the other engine, and every third without harm to what the device holds.
    chrome = Chrome(chromium, folder / "profile", SQLITE if seed % 2 else ())
    portal.start()
    try:
        with Proxy(lambda: portal.port) as proxy:
            harness.put_up(proxy, scripts)
            chrome.start()
            ada = Learner(chrome, proxy)
            ada.signed_in_long_ago()
            nemesis = Nemesis(seed, ada, portal, may_destroy=seed % 3 != 0)
            try:
                nemesis.run(FOR_S)
                verdict = each_once(
                    ada.promises, portal, but_lost=len(ada.promises.saved) if nemesis.destroyed else 0
                )
            except Exception as fault:
                raise AssertionError("\n".join([f"seed {seed}: {fault}", *nemesis.story])) from fault
            assert len([what for what, times in nemesis.did.items() if times]) >= 6, nemesis.did
            assert len(verdict.applied) > 100, "hardly anything was added"
            lost = len(verdict.reported_lost - verdict.applied)
            return f"seed {seed}: {len(ada.promises.saved)} saved, {lost} reported lost; {dict(nemesis.did)}"
    finally:
        if chrome.is_running:
            chrome.kill()
        if portal.process is not None:
            portal.kill()


def runs(seeds: list[int], tmp_path: Path, chromium: str, scripts: dict[str, bytes]) -> None:
    """Seeds side by side: each mostly waits."""
    with ThreadPoolExecutor(len(seeds)) as pool:
        under_way = [
            pool.submit(one_run, seed, tmp_path / f"seed-{seed}", chromium, scripts) for seed in seeds
        ]
    faults = [fault for each in under_way if (fault := each.exception())]
    for each in under_way:
        if each.exception() is None:
            print(each.result())  # noqa: T201 - shown when another seed fails
    assert not faults, "\n\n".join(str(fault) for fault in faults)


def test_two_seeds(tmp_path: Path, chromium: str, outbox_scripts: dict[str, bytes]) -> None:
    runs([1, 2], tmp_path, chromium, outbox_scripts)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS_OF_A_SOAK, SIDE_BY_SIDE))
def test_many_seeds(first: int, tmp_path: Path, chromium: str, outbox_scripts: dict[str, bytes]) -> None:
    last = min(first + SIDE_BY_SIDE, FIRST + SEEDS_OF_A_SOAK)
    runs(list(range(first, last)), tmp_path, chromium, outbox_scripts)
