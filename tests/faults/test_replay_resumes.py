"""A replay through what goes wrong: killed in the middle, the store out, a fault that would touch others."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.ids import uuid7
from tests.served import NO_LIMITS, Served, completed, ledger_row, lesson_of, served, until

PATH = "/api/admin/offline/replay"
EVENTS = 60
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NO_LIMITS) as running:
        yield running


def worked(portal: Served) -> None:
    """Ada does something in a lesson, over and over, so that each event is one more row."""
    with portal.client("ada") as ada, portal.client("olu") as olu:
        course, lesson = lesson_of(ada)
        for batch in range(2):
            events = [answer(course, lesson, batch * 30 + number) for number in range(EVENTS // 2)]
            assert ada.post("/api/client/progress/batch", json={"events": events}).status_code == 202
        until(lambda: ledger_row(olu)["pending"] == 0)


def answer(course: str, lesson: str, number: int) -> dict[str, Any]:
    event = completed(course, lesson)
    span = {"sessionId": "one", "fromS": number, "toS": number + 0.5}
    body = {"courseId": course, "lessonId": lesson, "percent": 10, "interval": span}
    return event | {"kind": "lesson.progressed", "body": body}


def stretches(portal: Served) -> int:
    with sqlite3.connect(f"file:{portal.data}/store.sqlite3?mode=ro", uri=True) as store:
        return int(store.execute("select count(*) from intervals").fetchone()[0])


def lose_them(portal: Served) -> None:
    """Somebody deletes rows while the portal is stopped."""
    with sqlite3.connect(portal.data / "store.sqlite3") as store:
        store.execute("delete from intervals")


def wanted(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    body = {"id": uuid7(), "orgId": "tidewater", "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    return body | {"source": "journal", "dryRun": False, "reason": "stretches are gone"} | more


def job(portal: Served, job_id: str) -> dict[str, Any]:
    with portal.client("olu") as olu:
        found: dict[str, Any] = olu.get(f"{PATH}/{job_id}").json()
    return found


def test_killed_in_the_middle_it_goes_on_where_it_was_and_counts_every_event_once(portal: Served) -> None:
    worked(portal)
    portal.stop()
    lose_them(portal)
    portal.start()
    with portal.service() as service:
        dry = wanted(dryRun=True, kinds=["lesson.progressed"])
        service.post(PATH, json=dry)
        said = until(lambda: (found := job(portal, dry["id"]))["status"] == "done" and found)
        slow = wanted(kinds=["lesson.progressed"], ratePerS=4)
        assert service.post(PATH, json=slow).status_code == 202
    until(lambda: stretches(portal) >= 20, 60)
    portal.kill()
    half = stretches(portal)
    assert half < EVENTS
    portal.start()
    done = until(lambda: (found := job(portal, slow["id"]))["status"] == "done" and found, 60)
    assert stretches(portal) == EVENTS
    assert done["counts"]["matched"] == done["counts"]["repeated"] == EVENTS
    assert done["counts"]["rowsAdded"] == said["counts"]["rowsAdded"] == EVENTS + 0
    with portal.client("olu") as olu:
        assert ledger_row(olu)["pending"] == 0


def test_a_slow_replay_is_seen_on_its_way_and_can_be_cancelled_there(portal: Served) -> None:
    worked(portal)
    portal.stop()
    lose_them(portal)
    portal.start()
    # Who waited for its next part would wait for 100 s.
    slow = wanted(kinds=["lesson.progressed"], ratePerS=0.01)
    with portal.service() as service:
        service.post(PATH, json=slow)
        seen = until(lambda: (found := service.get(f"{PATH}/{slow['id']}").json())["progress"] > 0 and found)
        assert seen["status"] == "running"
        assert 0 < seen["counts"]["matched"] < EVENTS
        began = time.monotonic()
        ended = service.request("DELETE", f"{PATH}/{slow['id']}").json()
        assert ended["status"] == "cancelled"
        assert time.monotonic() - began < 15.0
        at = service.get(f"{PATH}/{slow['id']}").json()["counts"]["matched"]
    assert stretches(portal) == at < EVENTS


def test_a_portal_that_stops_under_a_slow_replay_stops_in_time(
    portal: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.served.STOP_S", 60.0)
    worked(portal)
    slow = wanted(ratePerS=0.01)
    with portal.service() as service:
        service.post(PATH, json=slow)
    until(lambda: job(portal, slow["id"])["counts"]["matched"] > 0)
    began = time.monotonic()
    assert portal.stop() == 0
    assert time.monotonic() - began < 30.0, "it waited for the next part, which is 100 s away"
