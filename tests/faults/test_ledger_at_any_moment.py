"""The ledger balances after any step of any history, and while one is under way: seeded, all steps mixed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from holdfast.core.clock import ManualClock
from holdfast.events.retention import DAY_S, Retention
from tests.faults.seeds import SOAKED, seeds
from tests.records import seal
from tests.unit.cli.test_verify import LETTERS, NO_LIMITS, of, proved
from tests.unit.events.spine import at_work
from tests.unit.web.portals import House, house, recorded
from tests.unit.web.test_replay import wanted

STEPS = 60
PEOPLE = {"ada": "tidewater", "cleo": "highland"}


class History:
    """A portal, what was sent to it so far, and what may happen to it next."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.folder = folder
        self.random = random
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.erased = False
        self.did: Counter[str] = Counter()
        self._open = AsyncExitStack()
        self.portal: House

    async def start(self) -> None:
        self.portal = await self._open.enter_async_context(house(self.folder, **NO_LIMITS))

    async def stop(self) -> None:
        await self._open.aclose()

    async def balanced(self) -> None:
        """Of all orgs as the operator sees it, whatever is under way."""
        said = (await self.portal.person("olu").get("/api/admin/offline/ledger")).json()
        assert said["balanced"], (said["items"], self.did)

    @asynccontextmanager
    async def applying(self) -> AsyncIterator[None]:
        """The applier runs. Stopped in a batch it does not know how that ended, so it begins anew."""
        applier = self.portal.portal.applier
        async with at_work(applier):
            yield
        applier._epoch = None

    # What may happen

    def _event(self) -> tuple[str, dict[str, Any]]:
        who = self.random.choice([name for name in PEOPLE if not (self.erased and name == "ada")])
        mine = [event for name, event in self.sent if name == who]
        roll = self.random.random()
        if roll < 0.15 and mine:
            return who, self.random.choice(mine)
        if roll < 0.25 and mine:
            known = self.random.choice(mine)
            return who, {**known, "body": {**known["body"], "lessonId": "another"}}
        org = {"orgId": PEOPLE[who]}
        if roll < 0.45:
            return who, recorded(**org)
        lesson = self.random.choice(("02-springs-and-neaps", "nowhere"))
        made = of(lesson, **org)
        if roll < 0.6:
            made["body"] = {"courseId": "unheard-of", "lessonId": "one"}
        return who, made

    async def send(self) -> None:
        """A few events: new, again, with another body, and some that can't be applied."""
        if self.random.random() < 0.3:
            self.portal.portal.intake._window.__init__(2)  # type: ignore[misc]
        for _ in range(self.random.randint(1, 5)):
            who, event = self._event()
            lane = "analytics/events" if event["kind"].startswith("analytics") else "client/progress"
            body = {"events": [event]}
            answer = await self.portal.person(who).post(f"/api/{lane}/batch", body)
            assert answer.status_code == 202, answer.text
            self.sent.append((who, event))

    async def one_turn(self) -> None:
        await self.portal.portal.applier.turn()

    async def drain(self) -> None:
        await self.portal.settle()

    async def settle_a_letter(self) -> None:
        """Redriven or discarded."""
        service = self.portal.service()
        letters = (await service.get(f"{LETTERS}?status=parked")).json()["items"]
        if letters:
            path = f"{LETTERS}/{self.random.choice(letters)['id']}"
            if self.random.random() < 0.5:
                answer = await service.post(f"{path}/discard", {"reason": "it is of no use"})
            else:
                answer = await service.post(f"{path}/redrive")
            assert answer.status_code in (200, 409), answer.text

    async def replay(self) -> None:
        source = self.random.choice(("journal", "deadLetters"))
        body = wanted(source=source, dryRun=self.random.random() < 0.4)
        await self.portal.portal.applier.turn()
        assert (await self.portal.service().post("/api/admin/offline/replay", body)).status_code == 202
        await self.portal.portal.replayer.drain()

    async def roll(self) -> None:
        """The active segment is sealed, and old ones are archived."""
        one = self.portal.portal
        if not one.journal.active_is_empty:  # type: ignore[attr-defined]
            seal(one.journal)
        await one.applier.turn()
        clock = ManualClock(one.clock.now_s() + 2 * DAY_S)
        await Retention(one.journal, one.store, one.applier, clock=clock, days=1).turn()

    async def erase(self) -> None:
        if self.erased:
            return
        self.erased = True
        body = {"id": "e1", "orgId": "tidewater", "userId": "demo-ada", "reason": "she asked for it"}
        async with self.applying():
            answer = await self.portal.service().post("/api/admin/offline/erasures", body)
            assert answer.status_code == 200, answer.text

    async def restart(self) -> None:
        await self.stop()
        self._open = AsyncExitStack()
        await self.start()

    async def crowd(self) -> None:
        """Work comes in and is applied while the ledger is asked, over and over."""
        async with self.applying():
            coming = asyncio.gather(*(self.send() for _ in range(3)))
            while not coming.done():
                await self.balanced()
            await coming
            for _ in range(3):
                await self.balanced()


@pytest.mark.parametrize("seed", seeds(2, soaked=SOAKED // 10))
async def test_it_balances_after_every_step_and_within_them(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    history = History(tmp_path, random)
    steps: list[tuple[Callable[[], Awaitable[None]], int]] = [
        (history.send, 12), (history.one_turn, 6), (history.drain, 3), (history.settle_a_letter, 5),
        (history.replay, 3), (history.roll, 3), (history.restart, 1), (history.crowd, 3), (history.erase, 1),
    ]  # fmt: skip
    await history.start()
    try:
        for number in range(STEPS):
            (step,) = random.choices([each for each, _ in steps], [weight for _, weight in steps])
            if number == STEPS // 2:
                step = history.erase
            history.did[step.__name__] += 1
            await step()
            await history.balanced()
        await history.drain()
        await history.balanced()
        items = (await history.portal.person("olu").get("/api/admin/offline/ledger")).json()["items"]
        for column in ("applied", "duplicate", "dead"):
            assert sum(row[column] for row in items) > 0, f"no event ended as {column}: {items}"
        assert sum(row["pending"] for row in items) == 0
        assert history.did["restart"] or history.did["replay"]
    finally:
        await history.stop()
    report = await proved(tmp_path, quick=True)
    assert (report.findings, report.good) == ([], True), report
