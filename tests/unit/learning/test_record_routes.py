"""The routes for people, orgs, assignments and analytics, through the whole app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from sqlalchemy import delete, select, update

from holdfast.access.passwords import hash_password
from holdfast.core.errors import HoldfastError
from holdfast.core.ids import uuid7
from holdfast.events.deadletters import MAX_REDRIVES, discard
from holdfast.events.entry import Kinds
from holdfast.events.redrive import redrive_one
from holdfast.learning.assigning import assigning_of, recent_assigning
from holdfast.settings import Settings
from holdfast.store.port import Tx
from holdfast.store.schema import audit, courses, devices, lessons, memberships, orgs, users
from holdfast.web.portal import BACKLOG_LIMIT, Portal
from holdfast.wiring import make_app, opened, running
from tests.unit.access.failing import OUT, failing
from tests.unit.learning import register
from tests.unit.learning.classroom import zipped
from tests.unit.web.test_store_out import set_aside

PASSWORD = "correct horse battery"


class School(NamedTuple):
    portal: Portal
    client: httpx2.AsyncClient

    async def post(self, path: str, body: Any, **headers: str) -> Any:  # noqa: ANN401
        return await self.client.post(path, json=body, headers=headers)

    async def assign(self, *users: str, course: str = "knots", prefer: str = "wait=10", **more: Any) -> Any:  # noqa: ANN401
        body = {"id": uuid7(), "userIds": list(users), **more}
        return await self.post(f"/api/admin/courses/{course}/assign", body, prefer=prefer)


def fill(tx: Tx) -> None:
    for org, names in register.PEOPLE.items():
        tx.run(tx.insert(orgs).values(id=org, slug=org, name=org, created_at=register.NOW))
        for name in names:
            register.add_person(tx, org, name, "admin" if name in register.ADMINS else "learner")
        for course in register.COURSES[org]:
            register.add_course(tx, org, course)
    tx.run(update(users).where(users.c.id.in_(("ben", "ada"))).values(password_hash=hash_password(PASSWORD)))


@asynccontextmanager
async def signed_in(folder: Path, email: str) -> AsyncIterator[School]:
    async with opened(Settings(data_dir=folder)) as portal:
        await portal.store.run(None, fill)
        transport = httpx2.ASGITransport(app=make_app(portal))
        async with httpx2.AsyncClient(transport=transport, base_url="http://portal.example") as client:
            answer = await client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
            client.headers["X-CSRF-Token"] = answer.json()["csrfToken"]
            yield School(portal, client)


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[School]:
    """Signed in as an admin; nothing is applied."""
    async with signed_in(tmp_path, "ben@tide.example") as school:
        yield school


@pytest.fixture
async def school(still: School) -> AsyncIterator[School]:
    """Signed in as an admin, and the applier runs."""
    async with running(still.portal):
        yield still


def code(answer: Any) -> tuple[int, str]:  # noqa: ANN401
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def did(answer: Any) -> dict[str, Any]:  # noqa: ANN401
    """What an answer says of an event's effect, beside its receipt."""
    return {name: each for name, each in answer.json().items() if name != "receipt"}


async def test_an_assignment_is_answered_with_what_it_did(school: School) -> None:
    first = await school.assign("ada", "cleo", dueAt="2026-12-01T00:00:00+01:00", note="soon")
    assert first.status_code == 200
    reason = "not an active member of this org"
    assert did(first) == {"assigned": 1, "already": 0, "refused": [{"userId": "cleo", "reason": reason}]}
    second = await school.assign("ada", "abe", orgId="tide")
    assert did(second) == {"assigned": 1, "already": 1, "refused": []}
    listed = (await school.client.get("/api/admin/assignments?courseId=knots&limit=1")).json()
    assert [each["userId"] for each in listed["items"]] == ["abe"]
    rest = await school.client.get(f"/api/admin/assignments?after={listed['next']}")
    assert [each["userId"] for each in rest.json()["items"]] == ["ada"]


async def test_the_same_request_twice_has_one_effect_and_one_answer(school: School) -> None:
    event_id = uuid7()
    answers = [await school.assign("ada", "abe", id=event_id) for _ in range(2)]
    answers.append(await school.assign("abe", "ada", id=event_id.upper()))
    assert [did(each) for each in answers] == [{"assigned": 2, "already": 0, "refused": []}] * 3


async def test_every_answer_about_an_assignment_names_the_event_by_its_receipt(school: School) -> None:
    for act in ("assign", "unassign"):
        event_id = uuid7()
        body = {"id": event_id.upper(), "userIds": ["ada"]}
        path = f"/api/admin/courses/knots/{act}"
        answers = [await school.post(path, body, prefer="wait=10") for _ in range(2)]
        first, again = (each.json()["receipt"] for each in answers)
        assert [each.status_code for each in answers] == [200, 200]
        assert first["id"] == again["id"] == event_id
        assert (first["status"], again["status"]) == ("accepted", "duplicate")
        assert (first["durable"], first["position"]) == (again["durable"], again["position"])
        assert (first["durable"], len(first["position"])) == ("fsync", 16)


async def test_the_same_id_for_other_learners_is_a_conflict(school: School) -> None:
    event_id = uuid7()
    await school.assign("ada", id=event_id)
    assert code(await school.assign("abe", id=event_id)) == (409, "conflict")


async def test_unassigning_says_what_it_did(school: School) -> None:
    await school.assign("ada")
    body = {"id": uuid7(), "userIds": ["ada", "abe"]}
    answer = await school.post("/api/admin/courses/knots/unassign", body, prefer="wait=10")
    assert did(answer) == {"unassigned": 1, "already": 1, "refused": []}
    assert (await school.client.get("/api/admin/assignments")).json() == {"items": [], "next": None}


async def test_an_assignment_has_its_place_in_the_numbering_of_the_device_that_kept_it(
    school: School,
) -> None:
    device: dict[str, Any] = {"deviceId": uuid7(), "generation": 2}
    event_id = uuid7()
    for _ in range(2):
        assert (await school.assign("ada", id=event_id, seq=3, **device)).json()["assigned"] == 1
    body = {"id": uuid7(), "userIds": ["ada"], "seq": 1, **device}
    await school.post("/api/admin/courses/knots/unassign", body, prefer="wait=10")
    rows = await school.portal.store.read(None, lambda tx: tx.rows(select(devices)))
    assert [(row.device_id, row.generation, row.seqs) for row in rows] == [
        (device["deviceId"], 2, [[1, 1], [3, 3]])
    ]


async def test_what_became_of_an_assigning_event_is_told_later_too(school: School) -> None:
    event_id = uuid7()
    await school.assign("ada", "cleo", "zoe", id=event_id)
    said = (await school.client.get(f"/api/admin/assigning/{event_id.upper()}")).json()
    assert (said["state"], said["kind"], said["courseTitle"]) == ("applied", "course.assigned", "Knots")
    assert (said["byName"], said["changed"], said["already"]) == ("Ben", 1, 0)
    # Who another org's people are is not told.
    reason = "not an active member of this org"
    assert said["refused"] == [{"userId": who, "reason": reason} for who in ("cleo", "zoe")]
    await school.post(
        "/api/admin/courses/knots/unassign", {"id": uuid7(), "userIds": ["ada"]}, prefer="wait=10"
    )
    latest = (await school.client.get("/api/admin/assigning?limit=1")).json()["items"]
    assert [(each["kind"], each["changed"]) for each in latest] == [("course.unassigned", 1)]
    assert len((await school.client.get("/api/admin/assigning")).json()["items"]) == 2


async def test_a_refused_former_member_is_called_by_name(school: School) -> None:
    await school.client.patch("/api/admin/users/ada", json={"active": False})
    refused = (await school.assign("ada")).json()["refused"]
    assert [(each["name"], each["email"]) for each in refused] == [("Ada", "ada@tide.example")]


async def test_an_assigning_event_that_waits_says_so_and_one_nobody_sent_is_not_found(still: School) -> None:
    event_id = uuid7()
    await still.assign("ada", id=event_id, prefer="wait=0")
    said = (await still.client.get(f"/api/admin/assigning/{event_id}")).json()
    assert (said["state"], said["changed"]) == ("waiting", None)
    assert code(await still.client.get(f"/api/admin/assigning/{uuid7()}")) == (404, "not_found")


async def test_an_assigning_event_that_was_parked_says_why(still: School) -> None:
    event_id = uuid7()
    await still.assign("ada", id=event_id, prefer="wait=0")
    demoted = update(memberships).where(memberships.c.user_id == "ben").values(role="learner")
    await still.portal.store.run(None, lambda tx: tx.run(demoted))
    async with running(still.portal):
        await still.portal.applied("tide", event_id, 10)
    found = await still.portal.store.read("tide", lambda tx: assigning_of(tx, "tide", event_id))
    assert found is not None
    assert (found.state, found.code, found.by_id) == ("parked", "forbidden", "ben")
    assert "is not an admin" in (found.reason or "")


def without_knots(tx: Tx) -> None:
    tx.run(delete(lessons).where(lessons.c.course_id == "knots"))
    tx.run(delete(courses).where(courses.c.id == "knots"))


async def parked(still: School) -> str:
    """An assignment that was journalled, and could not be applied: its course went away meanwhile."""
    event_id = uuid7()
    assert (await still.assign("ada", id=event_id, prefer="wait=0")).status_code == 202
    await still.portal.store.run(None, without_knots)
    async with running(still.portal):
        await still.portal.applied("tide", event_id, 10)
    return event_id


async def test_an_assignment_that_was_parked_is_on_the_server_and_not_refused_to_the_device(
    still: School,
) -> None:
    event_id = await parked(still)
    answer = await still.assign("ada", id=event_id)
    assert (answer.status_code, list(answer.json())) == (202, ["receipt"])
    receipt = answer.json()["receipt"]
    assert (receipt["id"], receipt["status"]) == (event_id, "duplicate")
    said = (await still.client.get(f"/api/admin/assigning/{event_id}")).json()
    assert (said["state"], said["code"]) == ("parked", "course_unknown")


async def test_a_parked_assignment_that_was_discarded_is_still_told_with_why(still: School) -> None:
    event_id = await parked(still)
    why = "the course is not taught any more"
    await still.portal.store.run(None, lambda tx: discard(tx, event_id, "olu", why, register.NOW))
    said = (await still.client.get(f"/api/admin/assigning/{event_id}")).json()
    assert said["state"] == "parked"
    assert said["reason"].endswith(f"; discarded: {why}")


async def test_a_parked_assignment_that_was_redriven_too_often_is_still_told_with_its_reason(
    still: School,
) -> None:
    event_id = await parked(still)
    for _ in range(MAX_REDRIVES):
        await still.portal.store.run(
            None, lambda tx: redrive_one(tx, Kinds(still.portal.kinds), event_id, "olu", register.NOW)
        )
    said = (await still.client.get(f"/api/admin/assigning/{event_id}")).json()
    assert (said["state"], said["code"]) == ("parked", "course_unknown")


async def test_another_orgs_assigning_is_not_told(school: School) -> None:
    event_id = uuid7()
    await school.assign("ada", id=event_id)
    read = school.portal.store.read
    assert await read("high", lambda tx: assigning_of(tx, "high", event_id)) is None
    assert (await read("high", lambda tx: recent_assigning(tx, "high", 9))).items == []


async def test_what_is_not_applied_in_time_is_answered_with_its_receipt(still: School) -> None:
    event_id = uuid7()
    answer = await still.assign("ada", id=event_id, prefer="wait=0")
    assert answer.status_code == 202
    receipt = answer.json()["receipt"]
    assert list(answer.json()) == ["receipt"]
    assert receipt["id"] == event_id
    assert (receipt["status"], receipt["durable"], len(receipt["position"])) == ("accepted", "fsync", 16)


async def test_another_org_named_in_the_body_is_forbidden_and_nothing_is_taken(still: School) -> None:
    assert code(await still.assign("ada", orgId="high")) == (403, "org_forbidden")
    assert still.portal.backlog("tide") == 0


async def test_another_orgs_course_is_not_found_and_nothing_is_taken(still: School) -> None:
    assert code(await still.assign("ada", course="hills")) == (404, "not_found")
    assert still.portal.backlog("tide") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"userIds": []},
        {"userIds": ["ada", "ada"]},
        {"id": "1"},
        {"dueAt": "tomorrow"},
        {"note": "x" * 501},
        {"x": 1},
    ],
)
async def test_a_wrong_assignment_is_invalid(still: School, change: dict[str, Any]) -> None:
    assert code(await still.assign(**{"userIds": ["ada"], **change}))[0] == 422


@pytest.mark.parametrize("out", OUT, ids=lambda out: out.code)
async def test_assigning_works_while_the_store_is_out_and_sent_again_it_is_known_again(
    still: School, out: HoldfastError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(still.portal.store, "read", failing(out))
    event_id = uuid7()
    for status in ("accepted", "duplicate"):
        answer = await still.assign("ada", id=event_id, prefer="wait=0")
        assert answer.status_code == 202, answer.text
        assert answer.json()["receipt"]["status"] == status
    monkeypatch.undo()
    async with running(still.portal):
        assert did(await still.assign("ada", id=event_id))["assigned"] == 1


async def test_bulk_work_waits_while_the_backlog_is_over_the_limit(still: School) -> None:
    for _ in range(BACKLOG_LIMIT + 1):
        assert (await still.assign("ada", prefer="wait=0")).status_code == 202
    refused = await still.assign("ada", "abe", prefer="wait=0")
    assert code(refused) == (409, "backlog_over_limit")
    assert f"{BACKLOG_LIMIT + 1} events" in refused.json()["detail"]
    assert (await still.assign("abe", prefer="wait=0")).status_code == 202


async def test_bulk_work_is_not_refused_for_a_backlog_from_before_a_start_without_the_store(
    tmp_path: Path,
) -> None:
    async with signed_in(tmp_path, "ben@tide.example") as school:
        for _ in range(BACKLOG_LIMIT + 1):
            await school.assign("ada", prefer="wait=0")
        await school.portal.applier.drain()
        me = school.client
    with set_aside(tmp_path, lambda path: path.write_bytes(b"rubbish " * 10_000)):
        async with opened(Settings(data_dir=tmp_path)) as portal:
            transport = httpx2.ASGITransport(app=make_app(portal))
            who: Any = {"headers": me.headers, "cookies": me.cookies, "base_url": me.base_url}
            async with httpx2.AsyncClient(transport=transport, **who) as client:
                sent = await School(portal, client).assign("ada", "abe", prefer="wait=0")
                assert sent.status_code == 202, sent.text
                said = (await client.get("/api/health")).json()
                assert (said["offlineQueue"]["backlog"], said["org"]["backlog"]) == (1, 1)


async def test_people_are_made_found_and_changed(school: School) -> None:
    body = {"email": "Eve@tide.example", "name": "Eve", "password": PASSWORD}
    made = await school.post("/api/admin/users", body)
    assert (made.status_code, made.json()["email"], made.json()["roles"]) == (
        201,
        "eve@tide.example",
        ["learner"],
    )
    assert code(await school.post("/api/admin/users", body)) == (409, "already_exists")
    found = (await school.client.get("/api/admin/users?search=eve")).json()["items"]
    assert found == [made.json()]
    path = f"/api/admin/users/{made.json()['id']}"
    changed = await school.client.patch(path, json={"roles": ["admin"], "active": False})
    assert (changed.json()["roles"], changed.json()["active"]) == (["admin"], False)
    assert code(await school.client.patch("/api/admin/users/cleo", json={"active": False})) == (
        404,
        "not_found",
    )
    assert code(await school.client.patch(path, json={})) == (422, "invalid")
    notes = await school.portal.store.read(None, lambda tx: tx.rows(select(audit).order_by(audit.c.at)))
    assert [(row.org_id, row.actor_id, row.act) for row in notes] == [
        ("tide", "ben", "session.begun"),
        ("tide", "ben", "person.added"),
        ("tide", "ben", "person.changed"),
    ]


async def test_people_are_found_by_addresses_and_ids(school: School) -> None:
    answer = await school.post("/api/admin/users/find", {"asked": ["ADA@tide.example", "cleo"]})
    assert [each["id"] for each in answer.json()["items"]] == ["ada"]
    assert answer.json()["unknown"] == ["cleo"]
    assert code(await school.post("/api/admin/users/find", {"asked": []})) == (422, "invalid")
    page = (await school.client.get("/api/admin/users?withoutCourse=knots&role=learner&limit=1")).json()
    assert (len(page["items"]), page["total"]) == (1, 3)


async def test_an_import_asks_before_it_replaces_another_course(school: School) -> None:
    headers = {"Content-Type": "application/zip"}

    async def send(text: str, query: str) -> tuple[int, Any]:
        body = zipped({"course.yaml": "title: Knots", "a.md": text})
        path = f"/api/admin/courses/import?{query}"
        answer = await school.client.post(path, content=body, headers=headers)
        return answer.status_code, answer.json()

    status, asked = await send("new", "existing=ask")
    assert (status, asked["freeId"], asked["replaced"]) == (200, "knots-2", False)
    kept = (await school.client.get("/api/admin/courses/knots")).json()
    assert [each["id"] for each in kept["lessons"]] == ["one", "two", "three"]
    status, both = await send("new", "existing=ask&id=knots-2")
    assert (status, both["courseId"], both["freeId"]) == (201, "knots-2", None)
    status, replaced = await send("new", "existing=replace")
    assert (status, replaced["replaced"]) == (201, True)
    status, refused = await send("new", "id=import")
    assert (status, refused["code"]) == (422, "import_refused")
    assert code(await school.client.get("/api/admin/courses/hills")) == (404, "not_found")


async def test_nobody_is_made_an_operator(school: School) -> None:
    bodies: tuple[dict[str, Any], ...] = (
        {"roles": ["operator"]},
        {"roles": []},
        {"operator": True},
        {"password": "short"},
    )
    for body in bodies:
        answer = await school.post("/api/admin/users", {"email": "e@x.example", "name": "E", **body})
        assert code(answer) == (422, "invalid")
        assert code(await school.client.patch("/api/admin/users/ada", json=body)) == (422, "invalid")


async def test_people_come_from_a_csv_file_and_can_sign_in(school: School) -> None:
    csv = f"email,name,role,password\neve@x.example,Eve,learner,{PASSWORD}\nbad,B,learner,\n"
    headers = {"Content-Type": "text/csv"}
    answer = await school.client.post("/api/admin/users/import", content=csv.encode(), headers=headers)
    assert answer.status_code == 200
    failed = [{"line": 3, "email": "bad", "reason": "email must be an address such as ada@school.example"}]
    assert answer.json() == {"created": 1, "updated": 0, "unchanged": 0, "failed": failed}
    refused = await school.client.post("/api/admin/users/import", content=b"nonsense", headers=headers)
    assert code(refused) == (422, "import_refused")
    signed = await school.client.post(
        "/api/auth/login", json={"email": "eve@x.example", "password": PASSWORD}
    )
    assert signed.status_code == 200


async def test_orgs_are_the_operators_to_found(school: School) -> None:
    body = {"slug": "new", "name": "New"}
    assert code(await school.post("/api/admin/orgs", body)) == (403, "forbidden")
    token = school.portal.tokens.mint("operator", None)
    bearer = {"Authorization": f"Bearer {token}"}
    made = await school.client.post("/api/admin/orgs", json=body, headers=bearer)
    assert (made.status_code, made.json()["slug"]) == (201, "new")
    assert code(await school.client.post("/api/admin/orgs", json=body, headers=bearer)) == (
        409,
        "already_exists",
    )


async def test_analytics_are_given_as_json_or_csv(school: School) -> None:
    await school.assign("ada")
    path = "/api/admin/analytics/courses/knots"
    found = (await school.client.get(path)).json()
    assert (found["assigned"], found["started"], [each["dropOff"] for each in found["lessons"]]) == (
        *(1, 0),
        [1.0, 0.0, 0.0],
    )
    overview = (await school.client.get("/api/admin/analytics/overview")).json()
    assert set(overview) == {
        *("learners", "activeLearners7d", "courses", "events", "completed", "heard", "dataFreshAsOf")
    }
    for place in (path, "/api/admin/analytics/overview"):
        csv = await school.client.get(place, headers={"Accept": "text/csv, application/json;q=0.5"})
        assert csv.headers["content-type"] == "text/csv; charset=utf-8"
        assert csv.text.startswith("id,title,")
        csv = await school.client.get(f"{place}?table=completed", headers={"Accept": "text/csv"})
        assert csv.text.startswith("day,lessonsCompleted,")
    assert code(await school.client.get(path, headers={"Accept": "image/png"})) == (406, "not_acceptable")
    assert code(await school.client.get("/api/admin/analytics/courses/hills")) == (404, "not_found")


async def test_a_learner_reaches_none_of_it(tmp_path: Path) -> None:
    async with signed_in(tmp_path, "ada@tide.example") as school:
        for path in (
            "assignments",
            "assigning",
            "assigning/x",
            "courses/knots",
            "users",
            "analytics/overview",
            "analytics/courses/knots",
        ):
            assert code(await school.client.get(f"/api/admin/{path}")) == (403, "forbidden")
        assert code(await school.assign("ada")) == (403, "forbidden")
        body = {"email": "e@x.example", "name": "E"}
        assert code(await school.post("/api/admin/users", body)) == (403, "forbidden")
