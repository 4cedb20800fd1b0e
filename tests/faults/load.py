"""Learners who send at once, remember every receipt, and go on after the portal has died."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx2

from holdfast.core.ids import uuid7
from tests.faults.school import Learner, School, posted

KEPT = {"accepted", "duplicate"}


@dataclass
class Sender:
    """One learner's device: what it made, and what it holds a receipt for."""

    learner: Learner
    school: School
    random: Random
    made: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """Event id -> door and event, in the order they were made."""
    receipts: set[str] = field(default_factory=set)

    @property
    def device(self) -> str:
        """The device's name."""
        return f"device-{self.learner.user}"

    def _make(self, door: str) -> str:
        event_id = uuid7(1_790_000_000_000 + len(self.made), self.random.randbytes(10))
        body: dict[str, Any] = {
            "courseId": self.school.course,
            "lessonId": self.random.choice(self.school.lessons),
        }
        if door == "analytics":
            kind = "analytics.recorded"
            body |= {"name": "page.opened", "data": {"note": "ž学🎓\n"}}
        else:
            at = self.random.randrange(1000)
            kind = "lesson.progressed"
            body |= {"percent": self.random.randrange(101), "positionS": at}
            body |= {"interval": {"sessionId": event_id, "fromS": at, "toS": at + 1}}
        event = {
            "id": event_id,
            "kind": kind,
            "seq": len(self.made) + 1,
            "orgId": self.learner.org,
            "body": body,
        }
        self.made[event_id] = (door, event)
        return event_id

    def _batch(self) -> tuple[str, list[str]]:
        door = self.random.choice(("progress", "progress", "analytics"))
        chosen = [self._make(door) for _ in range(self.random.choice((1, 2, 5, 20, 40)))]
        mine = [its for its, (its_door, _) in self.made.items() if its_door == door]
        # Some go out again, with a receipt and without: devices do that.
        chosen += self.random.sample(mine, min(len(mine), self.random.choice((0, 0, 3, 10))))
        waiting = [its for its in mine if its not in self.receipts and its not in chosen]
        chosen += waiting[: self.random.choice((0, 20))]
        self.random.shuffle(chosen)
        return door, chosen

    def batch(self, ids: list[str]) -> dict[str, Any]:
        """The batch that carries these events."""
        return {"deviceId": self.device, "generation": 1, "events": [self.made[its][1] for its in ids]}

    async def send(self, client: httpx2.AsyncClient) -> None:
        """Send batches until nobody answers any more."""
        while True:
            door, ids = self._batch()
            try:
                answer = await posted(client, self.learner, door, self.batch(ids))
            except httpx2.HTTPError:
                return
            if answer.status_code == 503:
                await asyncio.sleep(0.02)
                continue
            assert answer.status_code == 202, answer.text
            said = answer.json()["receipts"]
            assert [each["id"] for each in said] == ids
            for each in said:
                assert each["status"] in {*KEPT, "later"}, each
                if each["status"] in KEPT:
                    assert each["durable"] == "fsync"
                    self.receipts.add(each["id"])

    def all_again(self) -> list[tuple[Learner, str, Any]]:
        """Everything that was ever made, in batches."""
        found: list[tuple[Learner, str, Any]] = []
        for door in ("progress", "analytics"):
            ids = [its for its, (its_door, _) in self.made.items() if its_door == door]
            found += [(self.learner, door, self.batch(ids[at : at + 50])) for at in range(0, len(ids), 50)]
        return found


async def sending(url: str, senders: list[Sender]) -> None:
    """All of them at once, until the portal is gone."""
    limits = httpx2.Limits(max_connections=len(senders))
    async with httpx2.AsyncClient(base_url=url, timeout=20.0, limits=limits) as client:
        await asyncio.gather(*(each.send(client) for each in senders))
