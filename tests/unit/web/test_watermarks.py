"""A disk that fills: analytics wait first, progress last; what is not safe is not called safe."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from holdfast.core.clock import ManualClock
from holdfast.journal.port import JournalStats
from tests.unit.web.portals import Asker, House, completed, house, problem, recorded

SOFT, HIGH, HARD = 1_000_000, 500_000, 100_000


class Disk:
    """The journal's volume, with as much free space as a test says."""

    def __init__(self, portal: House, clock: ManualClock) -> None:
        self._portal = portal.portal
        self._clock = clock
        self._real = portal.portal.journal.stats
        self._free = SOFT
        portal.portal.journal.stats = self._stats  # type: ignore[method-assign]

    def _stats(self) -> JournalStats:
        return self._real()._replace(free_bytes=self._free)

    async def has(self, free_bytes: int) -> None:
        self._free = free_bytes
        self._clock.advance(1.5)  # the space is looked at once a second
        await self._portal.monitor.look()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def portal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    opened = house(tmp_path, clock=clock, disk_soft_bytes=SOFT, disk_high_bytes=HIGH, disk_hard_bytes=HARD)
    async with opened as inside:
        yield inside


@pytest.fixture
def disk(portal: House, clock: ManualClock) -> Disk:
    return Disk(portal, clock)


async def analytics(who: Asker) -> httpx2.Response:
    return await who.post("/api/analytics/events/batch", {"events": [recorded()]})


async def progress(who: Asker) -> httpx2.Response:
    return await who.post("/api/client/progress/batch", {"events": [completed()]})


def refused(answer: httpx2.Response) -> tuple[int, str]:
    assert int(answer.headers["retry-after"]) >= 1
    return problem(answer)


async def test_above_the_soft_mark_everything_is_taken(portal: House, disk: Disk) -> None:
    await disk.has(SOFT)
    ada = portal.person("ada")
    assert (await analytics(ada)).status_code == 202
    assert (await progress(ada)).status_code == 202


async def test_below_the_soft_mark_analytics_wait_and_progress_goes_on(portal: House, disk: Disk) -> None:
    await disk.has(SOFT - 1)
    ada = portal.person("ada")
    assert refused(await analytics(ada)) == (429, "analytics_paused")
    assert (await progress(ada)).status_code == 202
    said = (await portal.person("olu").get("/api/health")).json()
    assert said["status"] == "degraded"
    assert [each["name"] for each in said["degradations"]] == ["disk_filling"]


async def test_below_the_high_mark_only_progress_and_assignments_are_taken(portal: House, disk: Disk) -> None:
    await disk.has(HIGH - 1)
    ada, ben = portal.person("ada"), portal.person("ben")
    assert refused(await analytics(ada)) == (503, "disk_nearly_full")
    assert (await progress(ada)).status_code == 202
    course = (await ben.get("/api/admin/courses")).json()["items"][0]["id"]
    body = {"id": recorded()["id"], "userIds": ["demo-ada"]}
    assigned = await ben.post(f"/api/admin/courses/{course}/assign", body, Prefer="wait=0")
    assert assigned.status_code == 202


async def test_below_the_hard_mark_nothing_is_taken_and_nothing_is_written(portal: House, disk: Disk) -> None:
    await disk.has(HARD - 1)
    head = portal.portal.journal.stats().head
    ada = portal.person("ada")
    assert refused(await analytics(ada)) == (507, "disk_full")
    assert refused(await progress(ada)) == (507, "disk_full")
    assert portal.portal.journal.stats().head == head
    assert (await ada.get("/api/client/courses")).status_code == 200, "reading goes on"


async def test_what_is_on_disk_already_is_answered_on_a_full_disk_too(portal: House, disk: Disk) -> None:
    ada = portal.person("ada")
    known, new = completed(), completed()
    await ada.post("/api/client/progress/batch", {"events": [known]})
    await disk.has(HARD - 1)
    answer = await ada.post("/api/client/progress/batch", {"events": [known, new]})
    assert answer.status_code == 202
    first, second = answer.json()["receipts"]
    assert first["status"] == "duplicate"
    assert (second["status"], second["code"]) == ("later", "disk_full")
    assert second["retryAfterS"] > 0


async def test_when_there_is_room_again_everything_is_taken_again(portal: House, disk: Disk) -> None:
    await disk.has(HARD - 1)
    ada = portal.person("ada")
    assert (await progress(ada)).status_code == 507
    await disk.has(SOFT)
    assert (await progress(ada)).status_code == 202
    assert (await analytics(ada)).status_code == 202
    assert (await portal.person("olu").get("/api/health")).json()["status"] == "ok"
