"""A minute of all that can go wrong, by a seed: nothing that was called saved is lost in silence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.browser import harness
from tests.browser.chrome import SQLITE, Chrome
from tests.browser.harness import Learner, Promises
from tests.browser.nemesis import DELETED, FAULTS, Nemesis, fault_deck
from tests.browser.oracle import books, journalled, judge, settled
from tests.browser.proxy import Proxy
from tests.browser.strikes import STRIKES, Deck
from tests.faults.seeds import FIRST, SOAKED
from tests.ports import quiet_port
from tests.served import NO_LIMITS, Served, ledger_row

pytestmark = pytest.mark.browser

FOR_S = 60.0
SIDE_BY_SIDE = 4
EVERY_TIME = range(1, 3)
FEWEST_DEALT = 8
SOAK = range(FIRST, FIRST + min(20, SOAKED))
FEWEST_FAULTS = 6
"""So many kinds of faults at least must have taken place; most runs see more than a dozen."""


def known_of(event: str, promises: Promises, portal: Served, org: str) -> str:
    """All that can be found out about one event."""
    store = books(portal.data, org)
    return (
        f"{promises.saved[event]}; a page heard: {promises.settled.get(event, 'nothing')};"
        f" in the journal {journalled(portal.data)[event]} times; marked: {event in store.marked};"
        f" dead: {store.dead.get(event)}; undeliverable: {promises.undeliverable.get(event)}"
    )


def account_for(learner: Learner, portal: Served, org: str, nemesis: Nemesis) -> str:
    """Place every event that a page called saved, and say where they are."""
    settled(portal, org)
    promises = learner.promises
    verdict = judge(promises, portal.data, org)
    lost = verdict.reported_lost - verdict.applied - verdict.undeliverable
    # A loss that no fault explains is one, however honestly it is told.
    unexplained = {each for each in lost if not nemesis.took(learner.who, promises.saved[each])}
    wrong = verdict.vanished | unexplained
    told = {(each["generation"], first, last) for each in promises.losses for first, last in each["missing"]}
    known = {
        (g, first, last) for g, all_of in books(portal.data, org).missing.items() for first, last in all_of
    }
    said = "\n".join(known_of(event, promises, portal, org) for event in sorted(wrong))
    assert not wrong, (
        f"{len(wrong)} of {len(promises.saved)} saved events are unaccounted for:\n{said}\n"
        f"losses: on the device {sorted(told)}, at the server {sorted(known)}"
    )
    assert told == known, "the device and the server know of different losses"
    return f"{learner.who}: {len(promises.saved)} saved, {len(verdict.applied)} applied, {len(lost)} lost"


def one_run(seed: int, folder: Path, chromium: str, scripts: dict[str, bytes]) -> str:
    """What one seed came to; raises with its whole story when a promise was broken."""
    folder.mkdir()
    portal = Served(folder, NO_LIMITS, port=quiet_port())
    chrome = Chrome(chromium, folder / "profile", SQLITE if seed % 2 else ())
    portal.start()
    try:
        with Proxy(lambda: portal.port) as proxy:
            harness.put_up(proxy, scripts)
            nemesis = Nemesis(seed, chrome, proxy, portal)
            try:
                nemesis.run(FOR_S)
                ada, cleo = (nemesis.learners[who] for who in ("ada", "cleo"))
                said = [
                    account_for(learner, portal, org, nemesis)
                    for learner, org in ((ada, "tidewater"), (cleo, "highland"))
                ]
                with portal.client("olu") as operator:
                    ledger_row(operator)
                assert len(+nemesis.did) >= FEWEST_FAULTS, "hardly anything went wrong"
                assert len(ada.promises.saved) > 100, "hardly anything was added"
            except Exception as fault:
                story = "\n".join([*nemesis.story, f"what really happened: {dict(+nemesis.did)}"])
                raise AssertionError(f"seed {seed}: {fault}\nits story:\n{story}") from fault
            return f"seed {seed}: {'; '.join(said)}; {dict(+nemesis.did)}"
    finally:
        if chrome.is_running:
            chrome.kill()
        if portal.process is not None:
            portal.kill()


def runs(seeds: range, folder: Path, chromium: str, scripts: dict[str, bytes]) -> None:
    """Seeds side by side: each mostly waits."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        under_way = [pool.submit(one_run, seed, folder / f"seed-{seed}", chromium, scripts) for seed in seeds]
    faults = [fault for each in under_way if (fault := each.exception())]
    for each in under_way:
        if each.exception() is None:
            print(each.result())  # noqa: T201 - shown when another seed fails
    assert not faults, "\n\n".join(str(fault) for fault in faults)


def test_the_seeds_of_every_run_of_the_tests_deal_every_fault_and_every_strike() -> None:
    for cards, deck_of in ((FAULTS, fault_deck), (STRIKES, lambda seed: Deck(seed, STRIKES))):
        dealt = [[deck.deal() for _ in deck.first_half] for deck in map(deck_of, EVERY_TIME)]
        assert sorted(card for each in dealt for card in each) == sorted(cards)
        # So few fit into a minute on a busy machine.
        assert max(map(len, dealt)) <= FEWEST_DEALT
    one, other = (fault_deck(seed) for seed in EVERY_TIME)
    deals = [{deck.deal() for _ in range(100)} for deck in (one, other)]
    assert [DELETED in each for each in deals].count(True) == 1


def test_a_minute_of_faults_loses_nothing_in_silence(
    tmp_path: Path, chromium: str, outbox_scripts: dict[str, bytes]
) -> None:
    runs(EVERY_TIME, tmp_path, chromium, outbox_scripts)


@pytest.mark.soak
@pytest.mark.parametrize("first", SOAK[::SIDE_BY_SIDE])
def test_many_minutes_of_faults_lose_nothing_in_silence(
    first: int, tmp_path: Path, chromium: str, outbox_scripts: dict[str, bytes]
) -> None:
    runs(range(first, min(first + SIDE_BY_SIDE, SOAK.stop)), tmp_path, chromium, outbox_scripts)
