"""Traffic to live through, not to measure: the demo's people send batches and look at their courses."""

from __future__ import annotations

import asyncio
import time
from itertools import count, cycle
from secrets import token_hex
from typing import Final
from zlib import crc32

import httpx2
import msgspec

from bench.serving import Served, SignedIn
from holdfast.core.ids import uuid7
from holdfast.learning import demo

BATCH: Final = "/api/client/progress/batch"
COURSES: Final = "/api/client/courses"
UNLIMITED: Final = {"HOLDFAST_BATCHES_PER_S": "1000000", "HOLDFAST_BATCHES_BURST": "1000000"}
"""How often one person may send is a rule of its own."""
TIMEOUT_S: Final = 60.0


class Device:
    """A device of a demo person, which numbers its events."""

    def __init__(self, who: SignedIn, course: str, lessons: list[str]) -> None:
        """`course` and `lessons`: what its events are about."""
        self.who = who
        self.course = course
        self._lessons = lessons
        self._name = f"device-{token_hex(6)}"
        self._seq = count(1)

    def batch(self, events: int) -> bytes:
        """The next request's body."""
        body = {
            "deviceId": self._name,
            "generation": 1,
            "csrfToken": self.who.csrf,
            "events": [self._event(next(self._seq)) for _ in range(events)],
        }
        return msgspec.json.encode(body)

    def _event(self, seq: int) -> dict[str, object]:
        minute = seq % 10
        body = msgspec.json.encode(
            {
                "courseId": self.course,
                "lessonId": self._lessons[seq // 10 % len(self._lessons)],
                "percent": 10 * minute + 10,
                "positionS": 60.5 * minute,
                "interval": {"sessionId": f"s{seq // 30}", "fromS": 60 * seq, "toS": 60 * seq + 60},
            }
        )
        return {
            "id": uuid7(),
            "kind": "lesson.progressed",
            "version": 1,
            "seq": seq,
            "orgId": self.who.org,
            "checksum": f"{crc32(body):08x}",
            "body": msgspec.Raw(body),
        }


def devices(portal: Served, number: int) -> list[Device]:
    """Devices of the demo's learners, shared out among them."""
    learners = [portal.sign_in(each.email) for each in demo.PEOPLE if each.role == "learner"]
    with httpx2.Client(base_url=portal.url, timeout=TIMEOUT_S) as asking:
        cookie = {"Cookie": learners[0].cookie}
        course = asking.get(COURSES, headers=cookie).raise_for_status().json()["items"][0]["id"]
        found = asking.get(f"{COURSES}/{course}", headers=cookie).raise_for_status().json()["lessons"]
    lessons = [lesson["id"] for lesson in found]
    # The course of the demo has one id in every org.
    return [Device(who, course, lessons) for who, _ in zip(cycle(learners), range(number), strict=False)]


async def flood(portal: Served, those: list[Device], events: int) -> None:
    """All devices at once, in batches of a hundred, until so many events were accepted."""
    turns = iter(range(max(1, events // 100)))

    async def one(device: Device) -> None:
        for _ in turns:
            await _send(client, device, 100)

    async with httpx2.AsyncClient(base_url=portal.url, timeout=TIMEOUT_S) as client:
        await asyncio.gather(*(one(device) for device in those))


async def trickle(
    portal: Served, those: list[Device], batches_per_s: float, events: int, for_s: float
) -> int:
    """Batches at a steady pace, each sender looking at their courses now and then; how many were sent."""
    began = time.perf_counter()
    sent = 0
    async with httpx2.AsyncClient(base_url=portal.url, timeout=TIMEOUT_S) as client:
        for device in cycle(those):
            left = began + sent / batches_per_s - time.perf_counter()
            if left > 0:
                await asyncio.sleep(left)
            if time.perf_counter() - began > for_s:
                return sent
            await _send(client, device, events)
            if sent % 5 == 0:
                path = f"{COURSES}/{device.course}" if sent % 2 else COURSES
                (await client.get(path, headers={"Cookie": device.who.cookie})).raise_for_status()
            sent += 1
    return sent


async def _send(client: httpx2.AsyncClient, device: Device, events: int) -> None:
    headers = {"Cookie": device.who.cookie, "Content-Type": "application/json"}
    said = await client.post(BATCH, content=device.batch(events), headers=headers)
    receipts = said.raise_for_status().json()["receipts"]
    if wrong := [each for each in receipts if each["status"] != "accepted"]:
        raise RuntimeError(f"{len(wrong)} of {events} events were refused: {wrong[0]}")
