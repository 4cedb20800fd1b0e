"""Events in: what becomes of each, and what limits say."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.web.portals import House, completed, house, problem, recorded

PROGRESS = "/api/client/progress/batch"
ANALYTICS = "/api/analytics/events/batch"


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
async def test_a_time_that_falls_out_of_the_calendar_spoils_only_its_own_event(
    portal: House, at: str
) -> None:
    events = [completed(), completed(occurredAt=at), completed()]
    answer = await portal.person("ada").post(PROGRESS, {"events": events})
    assert answer.status_code == 202
    assert [each["status"] for each in answer.json()["receipts"]] == ["accepted", "invalid", "accepted"]
    assert "occurredAt" in answer.json()["receipts"][1]["reason"]


async def test_a_batch_of_more_than_100_events_is_413_and_says_so(portal: House) -> None:
    ada = portal.person("ada")
    full = await ada.post(ANALYTICS, {"events": [recorded() for _ in range(100)]})
    assert full.status_code == 202
    over = await ada.post(ANALYTICS, {"events": [recorded() for _ in range(101)]})
    assert problem(over) == (413, "too_many_events")
    assert "101 events, 100 are allowed" in over.json()["detail"]


@pytest.mark.parametrize("stated", [True, False])
async def test_a_body_of_more_than_256_kb_is_413_and_says_so(portal: House, stated: bool) -> None:  # noqa: FBT001
    ada = portal.person("ada")
    over = b'{"events":[' + b" " * (256 << 10) + b"]}"
    if stated:
        answer = await ada.post(PROGRESS, over)
    else:

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(over), 4096):
                yield over[at : at + 4096]

        headers = {**ada.headers, "content-type": "application/json"}
        answer = await portal.client.post(PROGRESS, content=pieces(), headers=headers)
    assert problem(answer) == (413, "body_too_large")
    assert str(256 << 10) in answer.json()["detail"]
    assert answer.headers["connection"] == "close"


async def test_an_event_of_more_than_32_kb_is_refused_by_name_and_its_neighbours_go_on(portal: House) -> None:
    large = recorded(body={"name": "page.opened", "data": {"text": "a" * (32 << 10)}})
    answer = await portal.person("ada").post(ANALYTICS, {"events": [large, recorded()]})
    first, second = answer.json()["receipts"]
    assert (first["status"], first["code"]) == ("invalid", "event_too_large")
    assert second["status"] == "accepted"


async def test_more_batches_than_a_learner_may_send_are_429_with_retry_after(tmp_path: Path) -> None:
    async with house(tmp_path, batches_per_s=0.1, batches_burst=2.0) as portal:
        ada = portal.person("ada")
        answers = [await ada.post(PROGRESS, {"events": [completed()]}) for _ in range(3)]
        assert [each.status_code for each in answers] == [202, 202, 429]
        assert problem(answers[2]) == (429, "rate_limited")
        assert 1 <= int(answers[2].headers["retry-after"]) <= 10
        other = await portal.person("ben").post(PROGRESS, {"events": [completed()]})
        assert other.status_code == 202, "each sender has a bucket of their own"
        service = portal.service()
        for _ in range(5):
            assert (await service.post(PROGRESS, {"events": [completed()]})).status_code == 202


async def test_one_event_alone_is_answered_like_a_batch_of_one(portal: House) -> None:
    ada = portal.person("ada")
    event = completed(seq=3)
    answer = await ada.post("/api/client/progress", {**event, "deviceId": "phone", "generation": 2})
    assert answer.status_code == 202
    assert answer.json()["receipts"][0]["status"] == "accepted"
    assert answer.json()["device"] == {"acceptedThrough": 3, "missing": [[1, 2]]}
    again = await ada.post(PROGRESS, {"deviceId": "phone", "generation": 2, "events": [event]})
    assert again.json()["receipts"][0]["status"] == "duplicate", "both doors see the same bytes"
    wrong = await ada.post("/api/client/progress", recorded())
    assert wrong.json()["receipts"][0]["code"] == "wrong_door"


async def test_a_device_is_told_its_gaps_until_they_are_closed(portal: House) -> None:
    ada = portal.person("ada")

    async def send(*seqs: int) -> dict[str, object]:
        events = [completed(seq=seq) for seq in seqs]
        answer = await ada.post(PROGRESS, {"deviceId": "tablet", "generation": 1, "events": events})
        device: dict[str, object] = answer.json()["device"]
        return device

    assert await send(1, 2) == {"acceptedThrough": 2, "missing": []}
    assert await send(5, 9) == {"acceptedThrough": 9, "missing": [[3, 4], [6, 8]]}
    assert await send(3, 4, 6) == {"acceptedThrough": 9, "missing": [[7, 8]]}
    await portal.settle()
    assert await send(7, 8) == {"acceptedThrough": 9, "missing": []}


async def test_a_number_has_arrived_when_its_event_is_on_disk_and_not_when_it_was_refused(
    portal: House,
) -> None:
    events = [completed(seq=1), completed(seq=2, checksum="00000000"), completed(seq=3)]
    answer = await portal.person("ada").post(
        PROGRESS, {"deviceId": "desk", "generation": 1, "events": events}
    )
    assert [each["status"] for each in answer.json()["receipts"]] == ["accepted", "invalid", "accepted"]
    assert answer.json()["device"] == {"acceptedThrough": 3, "missing": [[2, 2]]}


async def test_the_same_id_with_another_body_is_a_conflict_and_kept_as_a_dead_letter(portal: House) -> None:
    ada = portal.person("ada")
    first = completed()
    other = {**first, "body": {"courseId": "tides", "lessonId": "flood"}}
    await ada.post(PROGRESS, {"events": [first]})
    answer = await ada.post(PROGRESS, {"events": [other]})
    receipt = answer.json()["receipts"][0]
    assert (receipt["status"], receipt["code"]) == ("conflict", "conflict")
    again = await ada.post(PROGRESS, {"events": [other]})
    assert again.json()["receipts"][0]["status"] == "conflict"
    await portal.settle()
    letters = (await portal.person("olu").get("/api/admin/offline/deadletters")).json()["items"]
    # The first one's course is not known here, so that is a letter too.
    assert sorted(each["code"] for each in letters) == ["conflict", "course_unknown"]


async def test_a_checksum_is_held_against_the_bodys_bytes(portal: House) -> None:
    wrong = completed(checksum="00000000")
    answer = await portal.person("ada").post(PROGRESS, {"events": [wrong, completed()]})
    first, second = answer.json()["receipts"]
    assert (first["status"], first["code"]) == ("invalid", "checksum_mismatch")
    assert second["status"] == "accepted"


async def test_a_learner_speaks_for_nobody_else_and_a_service_may(portal: House) -> None:
    event = completed(userId="demo-cleo")
    learner = await portal.person("ada").post(PROGRESS, {"events": [event]})
    assert learner.json()["receipts"][0]["status"] == "forbidden"
    own = await portal.person("ada").post(PROGRESS, {"events": [completed(userId="demo-ada")]})
    assert own.json()["receipts"][0]["status"] == "accepted"
    service = await portal.service().post(PROGRESS, {"events": [completed(userId="demo-ada")]})
    assert service.json()["receipts"][0]["status"] == "accepted"


async def test_an_unknown_field_is_refused_by_name_but_not_inside_data(portal: House) -> None:
    ada = portal.person("ada")
    answer = await ada.post(PROGRESS, {"events": [{**completed(), "colour": 1}], "deviceId": "a"})
    assert "colour" in answer.json()["receipts"][0]["reason"]
    outer = await ada.post(PROGRESS, {"events": [], "colour": 1})
    assert problem(outer) == (422, "invalid")
    assert "colour" in outer.json()["detail"]
    free = recorded(body={"name": "a", "data": {"colour": 1}})
    inside = await ada.post(ANALYTICS, {"events": [free]})
    assert inside.json()["receipts"][0]["status"] == "accepted"


async def test_events_nested_beyond_reason_are_refused_and_nothing_fails(portal: House) -> None:
    ada = portal.person("ada")
    for depth in (50, 900, 960, 1000, 20_000):
        raw = (
            b'{"events":[{"id":"%b","kind":"analytics.recorded","orgId":"tidewater",'
            % recorded()["id"].encode()
        )
        raw += b'"body":{"name":"a","data":{"a":' + b"[" * depth + b"]" * depth + b"}}}]}"
        answer = await ada.post(ANALYTICS, raw)
        if answer.status_code == 202:
            assert answer.json()["receipts"][0]["status"] in ("accepted", "invalid"), depth
        else:
            assert problem(answer) == (400, "malformed"), depth
    await portal.settle()
    assert (await portal.person("olu").get("/api/admin/offline/ledger")).json()["balanced"]


async def test_the_device_reports_its_queue_in_headers_and_the_org_sees_the_sum(portal: House) -> None:
    for name, backlog in (("ada", "7"), ("ben", "5"), ("cleo", "100")):
        org = "highland" if name == "cleo" else "tidewater"
        await portal.person(name).post(
            PROGRESS,
            {"events": [completed(orgId=org)], "deviceId": f"of-{name}"},
            X_Client_Queue_Backlog=backlog,
            X_Client_Queue_Lag="60000",
        )
    said = (await portal.person("ben").get("/api/health")).json()["org"]
    assert (said["devicesReporting"], said["devicesBacklog"]) == (2, 12)
    nonsense = await portal.person("ada").post(
        PROGRESS, {"events": [completed()]}, X_Client_Queue_Backlog="many", X_Client_Queue_Lag="-1"
    )
    assert nonsense.status_code == 202
