"""Mail and chat, over real sockets: one trigger, one resolve, in order, whatever dies between."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import apprise
import pytest

from holdfast.core.clock import ManualClock
from holdfast.health import alarms as under_test
from holdfast.health.alarm_book import NAME, AlarmBook, Entry
from holdfast.health.alarms import CLEAR_S, Alarms
from holdfast.health.metrics import Definition, Metrics, Sample
from holdfast.health.pagers import pagers_for
from holdfast.health.rules import RULES
from holdfast.settings import Settings
from tests.alarms.mailbox import PATIENCE, Mailbox, mailbox
from tests.alarms.receiver import Receiver, receiver

# apprise loads its mail plugin when a mail address is met, and that brings a module that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")

RULE = next(
    rule for rule in RULES if rule.limit is not None and rule.severity == "page" and not rule.limit.only
)


class Portal:
    """As much of a portal as raises alarms: one number, and the receivers that settings name."""

    def __init__(self, folder: Path, clock: ManualClock, *urls: str) -> None:
        assert RULE.limit is not None
        self.bad = False
        self._clock = clock
        self._above = RULE.limit.above
        metric = RULE.limit.metric.removesuffix("_total")
        self.pagers = pagers_for(Settings(data_dir=folder, alarm_urls=" ".join(urls), portal_name="hill"))
        self.book = AlarmBook(folder, [each.name for each in self.pagers])
        counter = RULE.limit.metric.endswith("_total")
        metrics = Metrics([Definition(metric, "a number", (), self._read, counter)])
        self.alarms = Alarms(metrics, self.book, self.pagers, clock, known=lambda _: True)

    def _read(self) -> list[Sample]:
        return [Sample((), self._above + 1 if self.bad else self._above)]

    def breaks(self) -> None:
        """Something is wrong, for long enough."""
        self.bad = True
        self.alarms.look()
        self._clock.advance(RULE.for_s + 1)
        self.alarms.look()

    def mends(self) -> None:
        """It is over, for long enough."""
        self.bad = False
        self.alarms.look()
        self._clock.advance(CLEAR_S + 1)
        self.alarms.look()

    @asynccontextmanager
    async def lives(self) -> AsyncIterator[None]:
        """It runs, and then is gone, wherever it was."""
        task = asyncio.create_task(self.alarms.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(look: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not look():  # noqa: ASYNC110 - what is waited for happens in threads of servers
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """apprise spaces mails out by seconds, and a retry waits longer each time."""
    monkeypatch.setattr(apprise.NotifyBase, "request_rate_per_sec", 0)
    monkeypatch.setattr(under_test, "full_jitter_s", lambda *_, **__: 0.0)


@pytest.fixture
def mail() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture
def chat() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def hook(chat: Receiver) -> str:
    """A chat's webhook, as apprise reads it."""
    return f"{chat.url.replace('http://', 'json://')}?{PATIENCE}"


TRIGGER, RESOLVE = f"Holdfast: {RULE.summary}: ", f"Over: {RULE.summary}: "


def told(chat: Receiver) -> list[str]:
    return [each["title"] for each in chat.taken]


def starts(found: list[str], wanted: list[str]) -> bool:
    return len(found) == len(wanted) and all(
        a.startswith(b.strip()) for a, b in zip(found, wanted, strict=True)
    )


async def test_mail_and_chat_hear_of_it_once_and_once_that_it_is_over(
    tmp_path: Path, mail: Mailbox, chat: Receiver
) -> None:
    portal = Portal(tmp_path, ManualClock(), mail.url, hook(chat))
    async with portal.lives():
        portal.breaks()
        portal.alarms.look()
        await until(lambda: mail.taken and chat.taken)
        portal.mends()
        portal.alarms.look()
        await until(lambda: portal.book.waiting == 0)
    assert starts(mail.subjects(), [TRIGGER, RESOLVE])
    assert starts(told(chat), [TRIGGER, RESOLVE])
    first = mail.taken[0]
    assert (first["from"].addresses[0].addr_spec, first["to"]) == (
        "portal@school.example",
        "oncall@school.example",
    )
    body = first.get_body(("plain", "html"))
    assert body is not None
    for word in (RULE.name, "hill", RULE.runbook):
        assert word in body.get_content()
    assert [each["type"] for each in chat.taken] == ["failure", "success"]


async def test_a_receiver_that_is_down_is_asked_again_and_holds_up_nobody_else(
    tmp_path: Path, mail: Mailbox, chat: Receiver
) -> None:
    mail.mood = "refuses"
    portal = Portal(tmp_path, ManualClock(), mail.url, hook(chat))
    async with portal.lives():
        portal.breaks()
        portal.mends()
        await until(lambda: mail.asked >= 3 and len(chat.taken) == 2)
        assert mail.taken == []
        mail.mood = "takes"
        await until(lambda: portal.book.waiting == 0)
    assert starts(mail.subjects(), [TRIGGER, RESOLVE]), "in this order, after all the refusals"
    assert starts(told(chat), [TRIGGER, RESOLVE])


async def test_what_was_not_told_before_a_death_is_told_after_it_and_what_was_is_not(
    tmp_path: Path, mail: Mailbox, chat: Receiver
) -> None:
    clock = ManualClock()
    mail.mood = "refuses"
    before = Portal(tmp_path, clock, mail.url, hook(chat))
    async with before.lives():
        before.breaks()
        await until(lambda: mail.asked and before.book.waiting == 1)
    # A death ends what was under way. Here its thread goes on, so the next life has a server of its own.
    with mailbox() as repaired:
        after = Portal(tmp_path, clock, repaired.url, hook(chat))
        assert after.book.waiting == 1
        async with after.lives():
            await until(lambda: repaired.taken)
            # It went away while nobody watched.
            after.mends()
            await until(lambda: after.book.waiting == 0)
        assert starts(repaired.subjects(), [TRIGGER, RESOLVE])
        assert Portal(tmp_path, clock, repaired.url, hook(chat)).book.waiting == 0
    assert starts(told(chat), [TRIGGER, RESOLVE])
    assert mail.taken == []


async def test_an_address_put_before_another_hears_only_of_what_comes_and_the_other_nothing_twice(
    tmp_path: Path, mail: Mailbox, chat: Receiver
) -> None:
    clock = ManualClock()
    before = Portal(tmp_path, clock, hook(chat))
    async with before.lives():
        before.breaks()
        before.mends()
        await until(lambda: before.book.waiting == 0)
        before.breaks()
        await until(lambda: before.book.waiting == 0)
    after = Portal(tmp_path, clock, mail.url, hook(chat))
    async with after.lives():
        after.mends()
        await until(lambda: after.book.waiting == 0)
    assert starts(told(chat), [TRIGGER, RESOLVE, TRIGGER, RESOLVE])
    assert starts(mail.subjects(), [RESOLVE])
    written = (tmp_path / NAME).read_text()
    assert mail.url.partition("://")[2] not in written, "an address holds a password"


def test_an_address_that_is_named_twice_is_one_receiver(tmp_path: Path, chat: Receiver) -> None:
    assert len(pagers_for(Settings(data_dir=tmp_path, alarm_urls=f"{hook(chat)} {hook(chat)}"))) == 1


async def test_a_receiver_that_never_answers_keeps_no_portal_from_stopping(
    tmp_path: Path, mail: Mailbox
) -> None:
    mail.mood = "hangs"
    portal = Portal(tmp_path, ManualClock(), mail.url)

    async def one_life() -> None:
        async with portal.lives():
            portal.breaks()
            await until(lambda: mail.asked)

    # A loop of its own, as a process has it: its end waits for the threads that it lent.
    done = threading.Event()

    def process() -> None:
        asyncio.run(one_life())
        done.set()

    threading.Thread(target=process, daemon=True).start()
    await until(done.is_set)
    assert mail.taken == []
    assert AlarmBook(tmp_path, [each.name for each in portal.pagers]).waiting == 1


@pytest.mark.parametrize("act", ["trigger", "resolve"])
async def test_a_pager_says_whether_it_was_taken(tmp_path: Path, chat: Receiver, act: str) -> None:
    (pager,) = pagers_for(Settings(data_dir=tmp_path, alarm_urls=hook(chat)))
    words = dict.fromkeys(("key", "rule", "component", "org", "severity", "summary", "runbook", "at"), "x")
    entry = cast("Entry", SimpleNamespace(id=1, act=act, **words))
    assert await pager.tell(entry)
    chat.status = 503
    assert not await pager.tell(entry)
