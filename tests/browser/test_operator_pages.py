"""An operator's pages in a real Chromium: dead letters, a replay, and that everybody can use them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from holdfast.learning.demo import PASSWORD
from tests.browser.admin import chromium_at, heading, portal_at
from tests.browser.learner import PATIENCE_MS, faults_seen_by_axe, overflow_px, sign_in
from tests.served import Served, completed, until

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
PLACES = {
    "now": "How it is now",
    "letters": "Dead letters",
    "replay": "Replay",
    "ledger": "Ledger and devices",
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with portal_at(tmp_path) as portal:
        yield portal


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with chromium_at(chromium) as browser:
        yield browser


@pytest.fixture
def olu(browser: Browser, served: Served) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    sign_in(page, served, "olu@holdfast.example")
    heading(page, "How it is now")
    yield page
    context.close()


def park(served: Served) -> None:
    """An event of a course that nobody knows; the page lists its letter once the applier gave up on it."""
    with served.client("ada") as ada:
        said = ada.post(
            "/api/client/progress/batch", json={"events": [completed("no-such-course", "01-none")]}
        )
        assert said.json()["receipts"][0]["status"] == "accepted", said.text
    with served.client("olu") as operator:
        until(lambda: operator.get("/api/admin/offline/deadletters?status=parked").json()["items"], 30.0)
    with served.client("olu") as olu:
        until(lambda: olu.get("/api/admin/offline/deadletters?status=parked").json()["items"], 30.0)


def open_place(page: Page, served: Served, place: str) -> None:
    page.goto(f"{served.url}/operator/{place}")
    heading(page, PLACES[place])
    expect(page.get_by_text(re.compile("^(Loading|Asking)"))).to_have_count(0)


def test_a_dead_letter_is_explained_and_discarded_with_a_reason(olu: Page, served: Served) -> None:
    park(served)
    open_place(olu, served, "letters")
    letter = olu.locator(".letter")
    expect(letter).to_have_count(1)
    letter.get_by_text("The record, and the rule it breaks").click()
    expect(letter.locator("pre")).to_contain_text("no-such-course")
    letter.get_by_text("Redrive or discard it").click()
    discard = letter.get_by_role("button", name="Discard it", exact=True)
    expect(discard).to_be_disabled()
    letter.get_by_label(re.compile("^Why")).fill("a course that was never there")
    discard.click()
    expect(olu.get_by_text("There are none.")).to_be_visible()
    olu.get_by_label("Which").select_option("discarded")
    expect(olu.locator(".letter")).to_contain_text("a course that was never there")


def test_nothing_is_called_lost_or_whole_while_the_portal_cannot_be_heard(
    browser: Browser, served: Served
) -> None:
    with browser.new_context(service_workers="block") as context:
        context.route(re.compile("/api/health"), lambda route: route.abort())
        page = context.new_page()
        sign_in(page, served, "olu@holdfast.example")
        heading(page, "How it is now")
        lost = page.locator("section").filter(
            has=page.get_by_role("heading", name="What is lost", exact=True)
        )
        expect(page.locator(".lead")).to_contain_text("We cannot reach the service.")
        expect(lost).to_contain_text("Not known now.")
        expect(lost).not_to_contain_text("Nothing: every part does its work.")


@pytest.mark.timeout(300)
def test_no_part_is_called_ok_once_the_portal_is_not_heard_any_more(olu: Page, served: Served) -> None:
    lost = olu.locator("section").filter(has=olu.get_by_role("heading", name="What is lost", exact=True))
    # A busy disk makes the journal at risk for a minute.
    expect(lost).to_contain_text("Nothing: every part does its work.", timeout=90_000)
    parts = olu.get_by_role("table").first.locator("tbody .state")
    until(lambda: set(parts.all_inner_texts()) == {"ok"}, 90.0)
    served.kill()
    expect(olu.locator(".lead")).to_contain_text("We cannot reach the service.")
    assert set(parts.all_inner_texts()) == {"not known"}
    expect(lost).to_contain_text("Not known now.")
    expect(lost).not_to_contain_text("Nothing: every part does its work.")


def test_a_replay_is_looked_at_first_and_changes_nothing_that_was_applied(olu: Page, served: Served) -> None:
    with served.client("ada") as ada:
        body = completed("reading-the-tide", "01-why-the-sea-moves")
        assert ada.post("/api/client/progress/batch", json={"events": [body]}).status_code == 202
    open_place(olu, served, "replay")
    olu.get_by_label("Organisation").select_option("tidewater")
    now = datetime.now()  # noqa: DTZ005 - the field takes the device's own time
    olu.get_by_label(re.compile("^From")).fill((now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S"))
    olu.get_by_label(re.compile("^Up to")).fill((now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S"))
    olu.get_by_label("Why").fill("a look at the last hour")
    olu.get_by_role("button", name="See what would change", exact=True).click()
    expect(olu.get_by_text("A look at what would change is done")).to_be_visible()
    expect(olu.locator(".operator .rows").first).to_contain_text("applied again")
    olu.get_by_role("button", name="Replay in earnest", exact=True).click()
    expect(olu.get_by_text("A replay is done")).to_be_visible()
    open_place(olu, served, "ledger")
    expect(olu.get_by_text(re.compile("^It balances"))).to_be_visible()


SLOWLY = """((ask) => {
    let answers = 0;
    const looked = new Promise((resolve) => { window.goOn = resolve; });
    window.fetch = async (path, how) => {
        const answer = await ask(path, how);
        if (how?.method !== "GET" || !String(path).includes("/offline/replay")) return answer;
        await (window.hurries ? new Promise((resolve) => setTimeout(resolve, 1_500)) : looked);
        const said = await answer.json();
        answers += 1;
        for (const replay of said.items) if (answers < 3) replay.status = "running";
        return new Response(JSON.stringify(said), answer);
    };
})(fetch)"""
"""The list comes once the test has looked, or in a hurry after 1.5 s, later than the page looks again; and it
says twice that the replay goes on."""


def test_a_replay_is_followed_to_its_end_however_slowly_the_portal_answers(olu: Page, served: Served) -> None:
    asked = {
        "id": "a-slow-one",
        "orgId": "tidewater",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-01T01:00:00Z",
        "source": "journal",
        "dryRun": True,
        "reason": "to be looked at",
    }
    olu.add_init_script(SLOWLY)
    olu.goto(f"{served.url}/operator/replay")
    expect(olu.get_by_text("Loading the replays…")).to_be_visible()
    expect(olu.get_by_text("There were none.")).to_have_count(0)
    olu.evaluate("window.goOn()")
    expect(olu.get_by_text("There were none.")).to_be_visible()
    with served.client("olu") as operator:
        answer = operator.post("/api/admin/offline/replay", json=asked)
        assert answer.status_code < 300, answer.text
    olu.add_init_script("window.hurries = true")
    olu.reload()
    expect(olu.get_by_text("A look at what would change runs")).to_be_visible()
    expect(olu.get_by_text("A look at what would change is done")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(olu: Page, served: Served, scheme: str) -> None:
    olu.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    park(served)
    found = {}
    for place in PLACES:
        open_place(olu, served, place)
        found[place] = faults_seen_by_axe(olu)
        if "HOLDFAST_PICTURES" in os.environ and scheme == "light":
            olu.screenshot(path=PICTURES / f"operator-{place}.png")
    assert {place: faults for place, faults in found.items() if faults} == {}


def test_a_person_changes_their_password_and_only_their_other_devices_are_out(
    olu: Page, served: Served
) -> None:
    old = served.client("olu")
    olu.get_by_role("link", name="Olu Operator", exact=True).click()
    heading(olu, "Your account")
    form = olu.locator("form")
    for current, role, words in (
        ("a wrong one", "alert", "The password you have now is another one."),
        (PASSWORD, "status", "Your password is changed. Other devices ask for the new one."),
    ):
        form.get_by_label("Password now").fill(current)
        form.get_by_label(re.compile("^New password")).fill("a longer password")
        form.get_by_role("button", name="Change password", exact=True).click()
        expect(form.locator(f'[role="{role}"]')).to_have_text(words)
    assert old.get("/api/auth/session").status_code == 401
    old.close()
    assert faults_seen_by_axe(olu) == []
    open_place(olu, served, "ledger")


def test_no_page_is_wider_than_a_small_telephone(olu: Page, served: Served) -> None:
    park(served)
    olu.set_viewport_size({"width": 320, "height": 640})
    wide = {}
    for place in PLACES:
        open_place(olu, served, place)
        if place == "now":
            # In the demonstration a flag that nothing sets is on for everybody.
            flag = olu.get_by_role("row", name=re.compile("ENABLE_NEW_SW"))
            expect(flag).to_contain_text(re.compile("everybody.*on"))
        wide[place] = overflow_px(olu)
    assert {place: px for place, px in wide.items() if px > 0} == {}
