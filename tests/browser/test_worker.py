"""The service worker in a real Chromium: reading without a network, whose answers they are, and sending."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from holdfast.core.ids import uuid7
from tests.browser.builds import build, deploy
from tests.browser.learner import (
    A_TIME,
    CLEO,
    FLAGS,
    PATIENCE_MS,
    journal_lines,
    kept,
    mark_complete,
    open_lesson,
    sign_in,
    waiting,
)
from tests.ports import quiet_port
from tests.served import Served, until

pytestmark = pytest.mark.browser

LESSON = "Springs and neaps"
LESSON_PATH = "/courses/reading-the-tide/lessons/02-springs-and-neaps"
WITH_FIGURE = "Why the sea moves"
WITH_FIGURE_PATH = "/courses/reading-the-tide/lessons/01-why-the-sea-moves"
UNSEEN_PATH = "/courses/reading-the-tide/lessons/03-reading-a-table"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def served(tmp_path: Path, client: Path) -> Iterator[Served]:
    deploy(client, tmp_path / "client")
    portal = Served(tmp_path, {"HOLDFAST_CLIENT_DIR": str(tmp_path / "client")}, port=quiet_port())
    portal.start()
    yield portal
    if portal.process is not None:
        portal.kill()


def worker_of(page: Page) -> str:
    """The script that answers this page, once one does."""
    script = (
        "navigator.serviceWorker.controller && new URL(navigator.serviceWorker.controller.scriptURL).pathname"
    )
    return str(until(lambda: page.evaluate(script), 60.0))


def held(page: Page) -> dict[str, list[str]]:
    """What lies in each cache: its name, and the addresses in it."""
    found: dict[str, list[str]] = page.evaluate(
        """async () => Object.fromEntries(await Promise.all((await caches.keys()).map(async (name) =>
            [name, (await (await caches.open(name)).keys()).map(({url}) => new URL(url).pathname)])))"""
    )
    return found


def readings(page: Page) -> set[str]:
    """The addresses of all that was read and lies on the device, whoever read it."""
    return {path for paths in held(page).values() for path in paths if path.startswith("/api/")}


def whose_reads(page: Page) -> set[str]:
    """The caches that hold what somebody read. One that is swept while it is looked at comes back empty."""
    return {name for name, paths in held(page).items() if name.endswith("-reads") and paths}


def wait_for_reading(page: Page, path: str) -> None:
    until(lambda: f"/api/client{path}" in readings(page))


def at_courses(page: Page, served: Served) -> None:
    """Signed in, with the worker; no lesson is open that would say how far it was read."""
    sign_in(page, served)
    expect(page.get_by_role("link", name="Reading the tide", exact=True)).to_be_visible()
    assert worker_of(page) == "/sw.js"
    # So the worker knows who is here.
    wait_for_reading(page, "/courses")


def reading(page: Page, served: Served, title: str, path: str) -> None:
    """Sign in, read a lesson, and wait until the worker holds it."""
    at_courses(page, served)
    page.get_by_role("link", name="Reading the tide", exact=True).click()
    page.get_by_role("link", name=title, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
    wait_for_reading(page, path)


def posted(page: Page, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
    """What a page's own script hears, that knows nothing of the outbox."""
    return page.evaluate(
        """async ([path, body]) => {
            const answer = await fetch(path, {method: 'POST', body: JSON.stringify(body),
                headers: {'Content-Type': 'application/json', 'X-CSRF-Token': window.csrf ?? ''}})
                .catch(() => undefined);
            return answer && {status: answer.status, said: await answer.json()};
        }""",
        [path, body],
    )


def completed() -> dict[str, Any]:
    body = {"courseId": "reading-the-tide", "lessonId": "05-planning-a-walk"}
    return {"id": uuid7(), "kind": "lesson.completed", "orgId": "tidewater", "body": body}


# ---- reading -------------------------------------------------------------------------------------


def test_a_lesson_that_was_read_is_read_again_offline_with_its_age(
    page: Page, context: BrowserContext, served: Served
) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    context.set_offline(True)
    page.reload()
    expect(page.get_by_role("heading", level=1, name=LESSON)).to_be_visible()
    expect(
        page.get_by_text(re.compile(rf"Shown from this device\. As the server had it at {A_TIME}"))
    ).to_be_visible()
    expect(page.get_by_text("Ada Learner")).to_be_visible()
    context.set_offline(False)
    expect(page.get_by_text("Shown from this device.")).to_have_count(0)


def test_a_lessons_figures_come_along(page: Page, context: BrowserContext, served: Served) -> None:
    reading(page, served, WITH_FIGURE, WITH_FIGURE_PATH)
    until(lambda: any("/assets/" in path for path in readings(page)))
    context.set_offline(True)
    page.reload()
    drawn = "[...document.querySelectorAll('article img')].map((img) => img.complete && img.naturalWidth > 0)"
    expect(page.get_by_role("heading", level=1, name=WITH_FIGURE)).to_be_visible()
    page.locator("article img").first.scroll_into_view_if_needed()
    until(lambda: (shown := page.evaluate(drawn)) and all(shown))


def test_an_address_that_was_never_opened_starts_the_page_offline_and_says_what_is_missing(
    page: Page, context: BrowserContext, served: Served
) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    context.set_offline(True)
    other = context.new_page()
    other.goto(served.url + UNSEEN_PATH)
    expect(other.get_by_role("heading", name="We could not load this lesson", exact=True)).to_be_visible()
    other.get_by_role("link", name="Holdfast", exact=True).click()
    expect(other.get_by_role("link", name="Reading the tide", exact=True)).to_be_visible()


def test_a_portal_that_is_out_is_read_from_the_device_too(page: Page, served: Served) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    served.kill()
    page.reload()
    expect(page.get_by_role("heading", level=1, name=LESSON)).to_be_visible()
    expect(page.get_by_text("Shown from this device.")).to_be_visible()


def test_of_administration_the_lists_are_kept_and_nothing_of_sign_in_health_or_the_rest(
    page: Page, context: BrowserContext, served: Served
) -> None:
    sign_in(page, served, "ben@tidewater.example")
    expect(page.get_by_text("Ben Admin")).to_be_visible()
    assert worker_of(page) == "/sw.js"
    never = (
        "/api/auth/session",
        "/api/health",
        "/api/admin/assigning",
        "/api/admin/analytics/overview",
        "/livez",
    )
    for path in (*never, "/api/admin/users"):
        assert page.evaluate("(path) => fetch(path).then((answer) => answer.status)", path) == 200
    until(lambda: "/api/admin/users" in readings(page))
    assert not any(path.startswith(("/api/auth", "/api/health", *never)) for path in readings(page))
    context.set_offline(True)
    assert (
        page.evaluate("fetch('/api/admin/users').then((kept) => kept.headers.get('X-Holdfast-From'))")
        == "cache"
    )
    for path in never:
        gone = page.evaluate("(path) => fetch(path).then(() => 'answered', () => 'failed')", path)
        assert gone == "failed", path


# ---- whose answers they are ----------------------------------------------------------------------


def test_signing_out_takes_everything_read_off_the_device(page: Page, served: Served) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_label("Password")).to_be_visible()
    until(lambda: not readings(page))


def test_another_person_never_sees_what_the_first_one_read(
    page: Page, context: BrowserContext, served: Served
) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    adas = whose_reads(page)
    assert len(adas) == 1
    # No signing out: the other person takes the browser over, in another tab.
    other = context.new_page()
    other.goto(served.url)
    other.evaluate("fetch('/api/auth/session').then((answer) => answer.json())")
    other.evaluate(
        """([email, password]) => fetch('/api/auth/login', {method: 'POST',
            headers: {'Content-Type': 'application/json'}, body: JSON.stringify({email, password})})""",
        [CLEO, "holdfast-demo"],
    )
    page.close()
    other.goto(served.url)
    expect(other.get_by_text("Cleo Learner")).to_be_visible()
    until(lambda: len(theirs := whose_reads(other)) == 1 and not theirs & adas)
    context.set_offline(True)
    other.goto(served.url + LESSON_PATH)
    expect(other.get_by_role("heading", name="We could not load this lesson", exact=True)).to_be_visible()
    expect(other.get_by_text("Ada Learner")).to_have_count(0)


def test_an_answer_asked_for_in_anothers_name_is_neither_shown_from_here_nor_kept(
    page: Page, context: BrowserContext, served: Served
) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    ask = """(whose) => fetch('/api/client/courses', {headers: {'X-Holdfast-Principal': whose}})
        .then((answer) => answer.headers.get('X-Holdfast-Principal'), () => 'failed')"""
    assert page.evaluate(ask, "highland/demo-cleo") == "tidewater/demo-ada"
    assert len([name for name in held(page) if name.endswith("-reads")]) == 1
    context.set_offline(True)
    assert page.evaluate(ask, "tidewater/demo-ada") == "tidewater/demo-ada"
    assert page.evaluate(ask, "highland/demo-cleo") == "failed"


# ---- keeping a course ----------------------------------------------------------------------------


def test_a_course_kept_for_offline_is_read_without_having_been_opened(
    page: Page, context: BrowserContext, served: Served
) -> None:
    sign_in(page, served)
    page.get_by_role("link", name="Reading the tide", exact=True).click()
    assert worker_of(page) == "/sw.js"
    page.get_by_role("button", name="Keep for offline", exact=True).click()
    expect(page.get_by_text(re.compile(r"On this device: 5 lessons, \d+ KB, stored at "))).to_be_visible()
    context.set_offline(True)
    page.goto(served.url + WITH_FIGURE_PATH)
    expect(page.get_by_role("heading", level=1, name=WITH_FIGURE)).to_be_visible()
    expect(page.get_by_text("Shown from this device.")).to_be_visible()
    page.goto(served.url + "/courses/reading-the-tide")
    expect(page.get_by_text("On this device: 5 lessons")).to_be_visible()
    page.get_by_role("button", name="Remove it from this device", exact=True).click()
    expect(page.get_by_role("button", name="Keep for offline", exact=True)).to_be_visible()
    assert not any(path.startswith("/api/") for name, paths in held(page).items() for path in paths
                   if name.endswith("-kept"))  # fmt: skip


def test_a_course_that_could_not_be_stored_whole_is_not_called_kept(
    page: Page, context: BrowserContext, served: Served
) -> None:
    sign_in(page, served)
    page.get_by_role("link", name="Reading the tide", exact=True).click()
    assert worker_of(page) == "/sw.js"
    expect(page.get_by_role("button", name="Keep for offline", exact=True)).to_be_enabled()
    context.set_offline(True)
    page.get_by_role("button", name="Keep for offline", exact=True).click()
    expect(page.get_by_text("The server did not answer, so a part is missing.")).to_be_visible()
    context.set_offline(False)
    page.get_by_role("button", name="Try again", exact=True).click()
    expect(page.get_by_text("On this device: 5 lessons")).to_be_visible()


# ---- sending -------------------------------------------------------------------------------------


def test_an_event_posted_past_the_outbox_goes_into_it_offline_and_is_applied_once(
    page: Page, context: BrowserContext, served: Served
) -> None:
    at_courses(page, served)
    event = completed()
    context.set_offline(True)
    heard = posted(page, "/api/client/progress", event)
    assert heard["status"] == 202
    (receipt,) = heard["said"]["receipts"]
    assert (receipt["id"], receipt["status"], receipt["code"]) == (event["id"], "later", "on_device")
    # The same once more, as a page does that hears "later".
    assert posted(page, "/api/client/progress/batch", {"events": [event]})["status"] == 202
    waiting(page, 1)
    context.set_offline(False)
    until(lambda: [line for line in journal_lines(served, "lesson.completed") if event["id"] in line])
    waiting(page, 0)
    lines = [line for line in journal_lines(served, "lesson.completed") if event["id"] in line]
    assert len(lines) == 1
    assert json.loads(lines[0])["e"]["body"] == event["body"]
    with served.client("ada") as ada:
        lesson = "/api/client/courses/reading-the-tide/lessons/05-planning-a-walk"
        until(lambda: ada.get(lesson).json()["progress"]["completed"])


def test_events_that_nobody_can_understand_are_not_called_kept(
    page: Page, context: BrowserContext, served: Served
) -> None:
    at_courses(page, served)
    context.set_offline(True)
    assert posted(page, "/api/client/progress", {"some": "thing"}) is None
    assert posted(page, "/api/client/progress", {**completed(), "orgId": "highland"}) is None
    waiting(page, 0)


def test_another_sites_form_puts_nothing_into_the_outbox(
    page: Page, context: BrowserContext, served: Served
) -> None:
    at_courses(page, served)
    text = json.dumps({**completed(), "kind": "lesson.completed"})
    # A form of plain text can be made to look like JSON; its browser sends no token and asks nobody.
    name, value = text[:-1] + ',"and":"', '"}'
    form = f"""<form method="post" enctype="text/plain" action="{served.url}/api/client/progress">
        <input name='{name}' value='{value}'></form>"""
    elsewhere = context.new_page()
    elsewhere.goto("data:text/html,<title>elsewhere</title>")
    context.set_offline(True)
    elsewhere.evaluate("(form) => { document.body.innerHTML = form; document.forms[0].submit(); }", form)
    expect(elsewhere).not_to_have_title("elsewhere")
    waiting(page, 0)


def test_an_event_posted_past_the_outbox_online_hears_the_server_itself(page: Page, served: Served) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    page.evaluate(
        "fetch('/api/auth/session').then((a) => a.json()).then((said) => { window.csrf = said.csrfToken; })"
    )
    until(lambda: page.evaluate("window.csrf"))
    heard = posted(page, "/api/client/progress", completed())
    assert heard["status"] == 202
    assert heard["said"]["receipts"][0]["status"] == "accepted"


def test_what_waits_is_sent_by_the_worker_when_the_page_is_closed(
    page: Page, context: BrowserContext, served: Served
) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    listener = context.new_page()
    listener.goto(served.url + "/favicon.svg")
    listener.evaluate(
        """() => { window.heard = [];
            new BroadcastChannel('runtime-status').onmessage = ({data}) => window.heard.push(data); }"""
    )
    page.bring_to_front()
    # The browser knows that it is offline; and the portal is out, for a page's last beacon knows it not.
    context.set_offline(True)
    served.kill()
    mark_complete(page)
    kept(page)
    # The page asks for the sync after it has said so, and who is closed asks for nothing.
    until(lambda: page.evaluate(SYNC_IS_ASKED_FOR), 60.0)
    page.close()
    served.start()
    assert not journal_lines(served, "lesson.completed")
    context.set_offline(False)
    until(lambda: journal_lines(served, "lesson.completed"), timeout_s=30)

    def told() -> list[dict[str, Any]]:
        return [one for one in listener.evaluate("window.heard") if one.get("type") == "SYNC_COMPLETE"]

    # A sync that came before the worker knew of the network leaves it, and another comes.
    until(lambda: [one for one in told() if one["left"] == 0], 30.0)
    assert sum(one["sent"] for one in told()) >= 1
    assert len(journal_lines(served, "lesson.completed")) == 1


SYNC_IS_ASKED_FOR = """navigator.serviceWorker.getRegistration()
    .then((ours) => ours.sync.getTags()).then((tags) => tags.length > 0)"""


# ---- who gets which worker -----------------------------------------------------------------------


def restarted(served: Served, **environ: str) -> None:
    served.kill()
    served.environ = {**served.environ, **environ}
    served.start()


def test_below_the_percentage_a_browser_keeps_the_pages_files_and_nothing_else(
    page: Page, context: BrowserContext, served: Served
) -> None:
    restarted(served, ENABLE_NEW_SW="0")
    sign_in(page, served)
    assert worker_of(page) == "/sw-static.js"
    open_lesson(page, LESSON)
    expect(page.get_by_text("As the server had it at")).to_be_visible()
    assert readings(page) == set()
    context.set_offline(True)
    page.reload()
    expect(page.get_by_role("heading", name="We could not load this lesson", exact=True)).to_be_visible()
    expect(page.get_by_text("Ada Learner")).to_be_visible()


def test_the_outbox_keeps_and_sends_below_the_percentage_too(
    page: Page, context: BrowserContext, served: Served
) -> None:
    restarted(served, ENABLE_NEW_SW="0")
    sign_in(page, served)
    assert worker_of(page) == "/sw-static.js"
    open_lesson(page, LESSON)
    context.set_offline(True)
    mark_complete(page)
    kept(page)
    context.set_offline(False)
    until(lambda: len(journal_lines(served, "lesson.completed")) == 1)


def test_a_new_worker_that_cannot_be_registered_leaves_the_one_for_files(page: Page, served: Served) -> None:
    (served.folder / "client" / "sw.js").write_text("throw new Error('broken build')")
    sign_in(page, served)
    assert worker_of(page) == "/sw-static.js"


def test_a_new_worker_that_cannot_be_installed_leaves_the_one_for_files(page: Page, served: Served) -> None:
    for script in (served.folder / "client" / "assets").glob("worker-outbox-*.js"):
        script.unlink()
    sign_in(page, served)
    assert worker_of(page) == "/sw-static.js"


def test_taking_the_percentage_back_takes_the_new_worker_away(page: Page, served: Served) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    restarted(served, ENABLE_NEW_SW="0")
    page.reload()
    until(lambda: page.evaluate("navigator.serviceWorker.controller?.scriptURL.endsWith('/sw-static.js')"))
    expect(page.get_by_role("heading", level=1, name=LESSON)).to_be_visible()


# ---- for development -----------------------------------------------------------------------------

ASK_FOR_CLEANUP = """navigator.serviceWorker.getRegistration()
    .then((ours) => ours.active.postMessage({type: 'forceCleanup'}))"""


def test_a_development_build_cleans_up_when_asked_and_leaves_what_waits(
    page: Page, context: BrowserContext, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> None:
    deploy(build(tmp_path_factory.mktemp("development"), mode="development"), served.folder / "client")
    reading(page, served, LESSON, LESSON_PATH)
    context.set_offline(True)
    mark_complete(page)
    kept(page)
    page.evaluate(ASK_FOR_CLEANUP)
    until(lambda: page.evaluate("caches.keys().then((names) => names.length)") == 0)
    registered = "navigator.serviceWorker.getRegistration().then((ours) => ours !== undefined)"
    until(lambda: not page.evaluate(registered))
    context.set_offline(False)
    until(lambda: len(journal_lines(served, "lesson.completed")) == 1)


def test_a_build_for_people_does_not_hear_of_cleaning_up(page: Page, served: Served) -> None:
    reading(page, served, LESSON, LESSON_PATH)
    page.evaluate(ASK_FOR_CLEANUP)
    # The worker answers in order: what it had been told before is done by then.
    answered = """() => new Promise((resolve) => {
        const {port1, port2} = new MessageChannel();
        port1.onmessage = ({data}) => resolve(data);
        navigator.serviceWorker.controller.postMessage({type: 'build'}, [port2]);
    })"""
    assert page.evaluate(answered)
    assert f"/api/client{LESSON_PATH}" in readings(page)
