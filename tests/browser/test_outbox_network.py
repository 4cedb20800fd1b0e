"""The outbox in Chromium behind a network that fails: all that was called saved arrives, and once."""

from __future__ import annotations

import time

import pytest

from tests.browser import proxy as faults
from tests.browser.harness import Learner, drained, waiting
from tests.browser.oracle import each_once, journalled
from tests.browser.proxy import Act, Proxy
from tests.served import Served, until

pytestmark = pytest.mark.browser

SENDING = r"^/api/(client/progress|analytics/events)"
AN_EVENT = b'"kind"'
"""What tells a request that carries events from one that only asks which have arrived."""
PORTAL_OF_A_HOTEL = "<!doctype html><title>Welcome</title><h1>Accept our terms</h1>"


def test_with_nothing_wrong_every_event_is_applied_once(ada: Learner, portal: Served) -> None:
    tab = ada.tab()
    assert tab.evaluate("add(30)") == 30
    assert tab.evaluate("add(30, 'analytics.recorded')") == 30
    tab.evaluate("add(1, 'lesson.completed')")
    drained(tab)
    verdict = each_once(ada.promises, portal)
    assert len(verdict.applied) == 61


def test_answers_lost_after_the_commit_are_asked_for_again_and_applied_once(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    strike = proxy.strike(faults.lose_answer, SENDING, times=3, holding=AN_EVENT)
    tab = ada.tab()
    tab.evaluate("add(20, 'analytics.recorded')")
    drained(tab)
    assert strike.done == 3
    assert b'"accepted"' in strike.answers[0].body
    each_once(ada.promises, portal)
    assert "duplicate" in {how for all_of in ada.promises.settled.values() for how in all_of}


def test_a_request_that_arrives_twice_is_applied_once(ada: Learner, portal: Served, proxy: Proxy) -> None:
    strike = proxy.strike(faults.ask_twice, SENDING, times=4, holding=AN_EVENT)
    tab = ada.tab()
    tab.evaluate("add(20, 'analytics.recorded')")
    drained(tab)
    until(lambda: strike.done >= 1)
    assert b'"accepted"' in strike.answers[0].body
    assert b'"duplicate"' in strike.answers[1].body
    each_once(ada.promises, portal)


def test_an_answer_that_comes_twice_settles_nothing_that_it_does_not_name(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    strike = proxy.strike(faults.answer_twice, SENDING, holding=AN_EVENT)
    tab = ada.tab()
    for _ in range(3):
        tab.evaluate("add(5, 'analytics.recorded')")
        drained(tab)
    assert strike.done >= 3
    each_once(ada.promises, portal)


@pytest.mark.parametrize(
    "act",
    [
        faults.reply(200, PORTAL_OF_A_HOTEL, "text/html"),
        faults.reply(200, '{"ok": true}', "application/json"),
        faults.reply(202, '{"receipts": []}', "application/json"),
        faults.reply(302, "", Location="http://127.0.0.1:9/login"),
    ],
    ids=["html", "json", "no receipts", "redirect"],
)
def test_a_captive_portals_answer_settles_nothing(
    ada: Learner, portal: Served, proxy: Proxy, act: Act
) -> None:
    tab = ada.tab()
    tab.evaluate("add(1)")
    drained(tab)
    # Now it has leave to send: it is the batch that is answered so, not the question who is signed in.
    strike = proxy.strike(act, SENDING, holding=AN_EVENT)
    tab.evaluate("add(10)")
    until(lambda: strike.done and tab.evaluate("outbox.sendNow(), true") and strike.done >= 3)
    assert waiting(tab) == 10
    assert len(ada.promises.settled) == 1
    proxy.restore()
    drained(tab)
    each_once(ada.promises, portal)


@pytest.mark.parametrize(
    "act",
    [
        faults.cut_before,
        faults.cut_within_answer,
        faults.reply(500, "broken"),
        faults.reply(502, PORTAL_OF_A_HOTEL, "text/html"),
        faults.reply(503, "later", Retry_After="1"),
        faults.reply(429, "slower", Retry_After="1"),
    ],
    ids=["cut before", "cut within the answer", "500", "502", "503", "429"],
)
def test_what_a_failing_network_refuses_stays_and_arrives_later(
    ada: Learner, portal: Served, proxy: Proxy, act: Act
) -> None:
    strike = proxy.strike(act, SENDING, times=2, holding=AN_EVENT)
    tab = ada.tab()
    tab.evaluate("add(10)")
    drained(tab)
    assert strike.done == 2
    each_once(ada.promises, portal)


def test_a_batch_that_is_too_large_for_somebody_on_the_way_is_split(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    strike = proxy.strike(faults.reply(413, "too large"), SENDING, times=3, holding=AN_EVENT)
    tab = ada.tab()
    tab.evaluate("add(40)")
    drained(tab)
    assert strike.done == 3
    each_once(ada.promises, portal)


def test_a_wait_that_the_server_asked_for_is_kept_even_when_a_person_asks(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    asked: list[float] = []

    async def refuse(exchange: faults.Exchange, strike: faults.Strike) -> None:
        asked.append(time.monotonic())
        await faults.reply(429, "slower", Retry_After="3")(exchange, strike)

    async def take(exchange: faults.Exchange, _: faults.Strike) -> None:
        asked.append(time.monotonic())
        await exchange.passed_on()

    strike = proxy.strike(refuse, SENDING, times=1, holding=AN_EVENT)
    proxy.strike(take, SENDING, times=1, holding=AN_EVENT)
    tab = ada.tab()
    tab.evaluate("add(1)")
    until(lambda: strike.done)
    drained(tab)
    refused, taken = asked
    assert taken - refused > 2.5
    each_once(ada.promises, portal)


def test_a_line_that_hangs_delivers_late_and_once(ada: Learner, portal: Served, proxy: Proxy) -> None:
    tab = ada.tab()
    tab.evaluate("add(1)")
    drained(tab)
    proxy.hang()
    tab.evaluate("add(10, 'analytics.recorded'), add(10)")
    until(lambda: proxy.hangs)
    # The tab goes, as people do who have waited; what it had sent is still on its way.
    tab.close()
    proxy.restore()
    drained(ada.tab())
    each_once(ada.promises, portal)


def test_a_session_that_ends_in_the_middle_holds_the_entries_until_the_next(
    ada: Learner, portal: Served, proxy: Proxy
) -> None:
    tab = ada.tab()
    tab.evaluate("add(5)")
    drained(tab)
    tab.evaluate(
        "fetch('/api/auth/session').then((answer) => answer.json()).then(({csrfToken}) =>"
        " fetch('/api/auth/logout', {method: 'POST', headers: {'X-CSRF-Token': csrfToken}}))"
        ".then((answer) => { if (!answer.ok) throw answer.status })"
    )
    tab.evaluate("add(10)")
    tab.until("outbox.status.lanes.progressQueue.state.why === 'signIn'")
    # Asked again, it learns once more that nobody is signed in, and keeps them.
    proxy.asked.clear()
    tab.evaluate("outbox.sendNow()")
    until(lambda: "/api/auth/session" in proxy.asked)
    tab.until("outbox.status.lanes.progressQueue.state.why === 'signIn'")
    assert waiting(tab) == 10
    assert len(journalled(portal.data).keys() & ada.promises.saved.keys()) == 5
    ada.sign_in()
    drained(tab)
    each_once(ada.promises, portal)


def test_a_portal_that_dies_while_it_is_sent_to_gets_everything_once_it_is_back(
    ada: Learner, portal: Served
) -> None:
    tab = ada.tab()
    for _ in range(3):
        tab.evaluate("void add(40, 'analytics.recorded')")
        portal.kill()
        portal.start()
    tab.until("outbox.status.backlog < 200")
    drained(tab)
    each_once(ada.promises, portal)
    assert len(ada.promises.saved) == 120
