"""What learners read: honest about its age, and not sent twice."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from holdfast.core.clock import ManualClock, parse_rfc3339, rfc3339
from holdfast.store import schema
from holdfast.store.port import Tx
from holdfast.web.table import CALLS
from tests.unit.web.portals import Asker, House, house

PROGRESS = "/api/client/progress"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def portal(tmp_path: Path, clock: ManualClock) -> AsyncIterator[House]:
    async with house(tmp_path, clock=clock) as opened:
        yield opened


async def lesson(ada: Asker) -> tuple[str, str]:
    course = (await ada.get("/api/client/courses")).json()["items"][0]["id"]
    page = (await ada.get(f"/api/client/courses/{course}")).json()
    return course, page["lessons"][0]["id"]


async def finish(ada: Asker) -> dict[str, object]:
    course, first = await lesson(ada)
    body = {"courseId": course, "lessonId": first}
    event = {"id": "01a20900-0000-7000-8000-000000000001", "kind": "lesson.completed", "orgId": "tidewater"}
    answer = await ada.post("/api/client/progress/batch", {"events": [{**event, "body": body}]})
    said: dict[str, object] = answer.json()
    return said


async def test_an_unchanged_answer_is_304_and_a_changed_one_is_not(portal: House) -> None:
    ada = portal.person("ada")
    first = await ada.get(PROGRESS)
    tag = first.headers["etag"]
    for named in (tag, f'"other", {tag}', f"W/{tag}"):
        again = await ada.get(PROGRESS, If_None_Match=named)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    await finish(ada)
    await portal.settle()
    changed = await ada.get(PROGRESS, If_None_Match=tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_what_devices_keep_carries_its_tag_its_age_and_whose_it_is(portal: House) -> None:
    ada, ben = portal.person("ada"), portal.person("ben")
    course, first = await lesson(ada)
    reads = [call for call in CALLS if call.etag]
    assert len(reads) == 8
    for call in reads:
        path = call.path.replace("{course_id}", course).replace("{lesson_id}", first)
        admins = path.startswith("/api/admin/")
        answer = await (ben if admins else ada).get(path)
        assert answer.status_code == 200, path
        assert answer.headers["x-holdfast-principal"] == f"tidewater/demo-{'ben' if admins else 'ada'}"
        assert answer.headers["etag"].startswith('"')
        assert parse_rfc3339(answer.headers["x-data-as-of"])
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "Cookie" in answer.headers["vary"]
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_other_answers_are_stored_by_nobody(portal: House) -> None:
    for path in ("/api/health", "/api/auth/session", "/livez", "/api/nothing"):
        assert (await portal.person("ada").get(path)).headers["cache-control"] == "no-store", path


async def test_data_is_as_of_now_when_nothing_waits_and_as_of_the_oldest_waiting_event_else(
    portal: House, clock: ManualClock
) -> None:
    ada = portal.person("ada")
    assert (await ada.get(PROGRESS)).headers["x-data-as-of"] == rfc3339(clock.now_s())
    sent_at = rfc3339(clock.now_s())
    assert (await finish(ada))["slowDownMs"] == 0
    # The applier has looked at the event and could not apply it yet.
    portal.portal.waiting.reading("progress", sent_at)
    clock.advance(40)
    assert (await ada.get(PROGRESS)).headers["x-data-as-of"] == sent_at
    assert (await portal.person("cleo").get(PROGRESS)).headers["x-data-as-of"] == rfc3339(clock.now_s())
    await portal.settle()
    assert (await ada.get(PROGRESS)).headers["x-data-as-of"] == rfc3339(clock.now_s())


async def test_senders_are_asked_to_slow_down_while_the_applier_is_behind(
    portal: House, clock: ManualClock
) -> None:
    ada = portal.person("ada")
    await finish(ada)
    portal.portal.waiting.reading("progress", rfc3339(clock.now_s()))
    asked = []
    for seconds in (4, 2, 24, 600):
        clock.advance(seconds)
        answer = await ada.post("/api/client/progress/batch", {"events": []})
        asked.append(answer.json()["slowDownMs"])
    assert asked == [0, 600, 3_000, 8_000], "a tenth of the lag, from 5 s on, 8 s at most"
    await portal.settle()
    answer = await ada.post("/api/client/progress/batch", {"events": []})
    assert answer.json()["slowDownMs"] == 0


async def test_a_lesson_of_another_org_is_not_found_rather_than_forbidden(portal: House) -> None:
    course, first = await lesson(portal.person("ada"))
    await portal.portal.store.run("highland", _forget_courses)
    for path in (f"/api/client/courses/{course}", f"/api/client/courses/{course}/lessons/{first}"):
        assert (await portal.person("cleo").get(path)).json()["code"] == "not_found"
        assert (await portal.person("ada").get(path)).status_code == 200


def _forget_courses(tx: Tx) -> None:
    for table in (schema.lessons, schema.assets, schema.assignments, schema.courses):
        tx.run(delete(table))
