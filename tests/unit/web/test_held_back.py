"""While the store is not well nothing is taken away; what adds something still goes through."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.ids import uuid7
from holdfast.web.table import CALLS
from tests.unit.web.portals import Asker, House, completed, house, problem


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    other = sqlite3.connect(folder / "store.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


async def course_of(asker: Asker) -> str:
    items: list[dict[str, Any]] = (await asker.get("/api/client/courses")).json()["items"]
    return str(items[0]["id"])


async def test_what_takes_something_away_waits_and_says_why_and_how_long(
    portal: House, tmp_path: Path
) -> None:
    ben, olu = portal.person("ben"), portal.person("olu")
    course = await course_of(ben)
    takes_away: list[tuple[Asker, str, str, dict[str, Any]]] = [
        (ben, "POST", f"/api/admin/courses/{course}/unassign", {"id": uuid7(), "userIds": ["demo-ada"]}),
        (ben, "PATCH", "/api/admin/users/demo-ada", {"active": False}),
        (ben, "PATCH", "/api/admin/users/demo-ada", {"roles": ["admin"]}),
        (ben, "PATCH", f"/api/admin/courses/{course}", {"archived": True}),
        (olu, "POST", "/api/admin/offline/deadletters/none/discard", {"reason": "not needed"}),
    ]
    with locked(tmp_path):
        await portal.portal.monitor.look()
        for asker, method, path, body in takes_away:
            answer = await asker.ask(method, path, body)
            assert problem(answer) == (503, "held_back"), path
            assert "locked" in answer.json()["detail"]
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["retryAfterS"] >= 1
        one = {"id": uuid7(), "userIds": ["demo-ada"]}
        adds = await ben.post(f"/api/admin/courses/{course}/assign", one, Prefer="wait=0")
        assert adds.status_code == 202, "one assignment is an event, and events are taken"
        sent = await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
        assert sent.json()["receipts"][0]["status"] == "accepted"
    await portal.portal.monitor.look()
    for asker, method, path, body in takes_away:
        assert (await asker.ask(method, path, body)).status_code != 503, path


async def test_who_may_not_do_it_hears_that_first(portal: House, tmp_path: Path) -> None:
    with locked(tmp_path):
        await portal.portal.monitor.look()
        path = "/api/admin/courses/tides/unassign"
        body = {"id": uuid7(), "userIds": ["demo-ada"]}
        assert problem(await portal.anybody.post(path, body)) == (401, "not_signed_in")
        assert problem(await portal.person("ada").post(path, body)) == (403, "forbidden")


def test_calls_that_take_away_are_marked_in_the_table() -> None:
    marked = {call.path for call in CALLS if call.destructive}
    assert marked == {
        "/api/admin/courses/{course_id}/unassign",
        "/api/admin/offline/deadletters/{letter_id}/discard",
    }
