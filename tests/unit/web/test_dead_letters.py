"""Dead letters over HTTP: list, show, redrive, discard; each org's own, and every act audited."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select

from holdfast.core.errors import CODES
from holdfast.store import schema
from holdfast.store.port import Tx
from tests.unit.web.portals import House, completed, house, problem, recorded

LETTERS = "/api/admin/offline/deadletters"


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as opened:
        yield opened


async def park(portal: House, name: str = "ada", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Send an event of an unknown course, and give the letter it became."""
    event = completed(**{"orgId": "highland" if name == "cleo" else "tidewater", **more})
    await portal.person(name).post("/api/client/progress/batch", {"events": [event]})
    await portal.settle()
    page = (await portal.person("olu").get(LETTERS)).json()
    letter: dict[str, Any] = next(one for one in page["items"] if one["eventId"] == event["id"])
    return letter


async def give_the_course(portal: House) -> None:
    lessons = [{"title": "Ebb", "markdown": "Out."}]
    made = await portal.person("ben").post("/api/admin/courses", {"title": "Tides", "lessons": lessons})
    assert made.json()["courseId"] == "tides"
    page = (await portal.person("ben").get("/api/client/courses/tides")).json()
    assert [one["id"] for one in page["lessons"]] == ["01-ebb"]


async def audited(portal: House, act: str) -> list[tuple[str | None, str, str]]:
    statement = select(schema.audit).where(schema.audit.c.act == act)
    rows = await portal.portal.store.read(None, lambda tx: tx.rows(statement))
    return [(row.org_id, row.actor_id, row.subject) for row in rows]


async def test_a_letter_is_shown_with_its_reason_and_its_record(portal: House) -> None:
    letter = await park(portal)
    said = (await portal.service().get(f"{LETTERS}/{letter['id']}")).json()
    assert (said["code"], said["kind"], said["userId"], said["lane"]) == (
        "course_unknown", "lesson.completed", "demo-ada", "progress",
    )  # fmt: skip
    assert "tides" in said["reason"]
    assert said["record"]["body"] == {"courseId": "tides", "lessonId": "ebb"}
    by_event = (await portal.service().get(f"{LETTERS}/{letter['eventId']}")).json()
    assert by_event == said, "the event's id alone names it where it names only one"


async def test_letters_are_listed_by_page_and_by_what_they_are(portal: House) -> None:
    for _ in range(3):
        await park(portal)
    olu = portal.person("olu")
    first = (await olu.get(f"{LETTERS}?limit=2")).json()
    assert len(first["items"]) == 2
    rest = (await olu.get(f"{LETTERS}?limit=2&after={first['next']}")).json()
    assert len(rest["items"]) == 1
    assert rest["next"] is None
    for wanted, number in (("code=course_unknown", 3), ("code=poison", 0), ("kind=quiz.answered", 0),
                           ("userId=demo-ada", 3), ("status=discarded", 0)):  # fmt: skip
        assert len((await olu.get(f"{LETTERS}?{wanted}")).json()["items"]) == number, wanted
    assert problem(await olu.get(f"{LETTERS}?status=lost")) == (422, "invalid")


async def test_a_service_sees_and_settles_its_own_orgs_letters_only(portal: House) -> None:
    letter = await park(portal, "cleo")
    ours, theirs = portal.service(), portal.service("highland")
    assert (await ours.get(LETTERS)).json()["items"] == []
    for method, path, body in (
        ("GET", letter["id"], None),
        ("POST", f"{letter['id']}/redrive", None),
        ("POST", f"{letter['id']}/discard", {"reason": "not ours"}),
    ):
        assert problem(await ours.ask(method, f"{LETTERS}/{path}", body)) == (404, "not_found")
    assert await audited(portal, "deadletter.redrive") == []
    assert (await theirs.get(f"{LETTERS}/{letter['id']}")).json()["status"] == "parked"
    # An operator who names an org is held to it as well.
    named = await portal.person("olu").get(f"{LETTERS}/{letter['id']}", X_Org_Id="tidewater")
    assert problem(named) == (404, "not_found")


async def test_a_redrive_that_works_settles_the_letter_and_has_its_effect(portal: House) -> None:
    letter = await park(portal, body={"courseId": "tides", "lessonId": "01-ebb"})
    await give_the_course(portal)
    said = (await portal.person("olu").post(f"{LETTERS}/{letter['id']}/redrive")).json()
    assert (said["status"], said["settledBy"]) == ("redriven", "demo-olu")
    rows = (await portal.person("ada").get("/api/client/progress")).json()["items"]
    assert [row["completed"] for row in rows] == [True]
    assert await audited(portal, "deadletter.redrive") == [("tidewater", "demo-olu", letter["id"])]
    ledger = (await portal.person("olu").get("/api/admin/offline/ledger")).json()
    assert ledger["balanced"]
    assert [row["dead"] for row in ledger["items"]] == [0, 0]


async def test_a_redrive_that_fails_is_counted_and_the_second_exhausts_the_letter(portal: House) -> None:
    letter = await park(portal)
    olu = portal.person("olu")
    path = f"{LETTERS}/{letter['id']}/redrive"
    assert (await olu.post(path)).json()["status"] == "parked"
    assert (await olu.post(path)).json()["status"] == "exhausted"
    assert problem(await olu.post(path)) == (409, "exhausted")
    assert len(await audited(portal, "deadletter.redrive")) == 2, "the refused one did not happen"


async def test_a_discarded_letter_stays_with_who_and_why(portal: House) -> None:
    letter = await park(portal)
    path = f"{LETTERS}/{letter['id']}"
    service = portal.service()
    assert problem(await service.post(f"{path}/discard", {"reason": ""})) == (422, "invalid")
    assert problem(await service.post(f"{path}/discard", {})) == (422, "invalid")
    said = (await service.post(f"{path}/discard", {"reason": "a course that never was"})).json()
    assert (said["status"], said["settledWhy"]) == ("discarded", "a course that never was")
    assert (await service.get(path)).json()["record"]["id"] == letter["eventId"]
    assert problem(await service.post(f"{path}/discard", {"reason": "once more"})) == (409, "settled")
    assert problem(await service.post(f"{path}/redrive")) == (409, "settled")
    assert len(await audited(portal, "deadletter.discard")) == 1


async def test_a_conflicts_letter_can_be_discarded_and_never_redriven(portal: House) -> None:
    ada = portal.person("ada")
    await give_the_course(portal)
    first = completed(body={"courseId": "tides", "lessonId": "01-ebb"})
    other = {**first, "body": {"courseId": "tides", "lessonId": "02-flood"}}
    for event in (first, other):
        await ada.post("/api/client/progress/batch", {"events": [event]})
    await portal.settle()
    olu = portal.person("olu")
    (letter,) = (await olu.get(LETTERS)).json()["items"]
    assert letter["code"] == "conflict"
    assert problem(await olu.post(f"{LETTERS}/{letter['id']}/redrive")) == (409, "conflict")


@pytest.mark.parametrize("name", ["nothing", "a.b", "%00", "a." + "f" * 200, "a.-1", "a.zzzzzzzz"])
async def test_a_letter_that_is_not_there_is_404(portal: House, name: str) -> None:
    assert problem(await portal.person("olu").get(f"{LETTERS}/{name}")) == (404, "not_found")


async def test_what_came_again_by_itself_is_settled_without_a_second_effect(portal: House) -> None:
    event = completed(body={"courseId": "tides", "lessonId": "01-ebb"})
    ada, olu = portal.person("ada"), portal.person("olu")
    await ada.post("/api/client/progress/batch", {"events": [event]})
    await portal.settle()
    await give_the_course(portal)
    # The portal restarted, say: memory has forgotten the id, and the device sends it once more.
    portal.portal.intake._window.__init__(2)  # type: ignore[misc]
    again = await ada.post("/api/client/progress/batch", {"events": [event]})
    assert again.json()["receipts"][0]["status"] == "accepted"
    await portal.settle()
    (letter,) = (await olu.get(f"{LETTERS}?status=parked")).json()["items"]
    said = (await olu.post(f"{LETTERS}/{letter['id']}/redrive")).json()
    assert (said["status"], said["settledWhy"]) == ("redriven", "was applied already")
    ledger = (await olu.get("/api/admin/offline/ledger")).json()
    assert ledger["balanced"], ledger


async def test_letters_are_listed_by_when_their_records_were_received(portal: House) -> None:
    letter = await park(portal)
    olu = portal.person("olu")
    at = datetime.fromisoformat(letter["receivedAt"])
    for begin, end, number in ((0, 1, 1), (1, 2, 0), (-1, 0, 0)):
        edges = [at + timedelta(milliseconds=each) for each in (begin, end)]
        # The same moments, as somebody in Kathmandu would word them.
        words = [
            quote(each.astimezone(timezone(timedelta(hours=5, minutes=45))).isoformat()) for each in edges
        ]
        said = (await olu.get(f"{LETTERS}?from={words[0]}&to={words[1]}")).json()
        assert len(said["items"]) == number
    assert problem(await olu.get(f"{LETTERS}?from=2026-01-01T00:00:00")) == (422, "invalid")


async def test_a_letter_says_which_rule_it_breaks_and_what_to_do(portal: House) -> None:
    said = (await portal.service().get(f"{LETTERS}/{(await park(portal))['id']}")).json()
    assert said["rule"] == CODES["course_unknown"][1]
    assert "redrive" in said["hint"]


# Fix-forward


async def test_a_corrected_body_is_applied_and_kept_beside_the_record(portal: House) -> None:
    letter = await park(portal, body={"courseId": "tide", "lessonId": "01-ebb"})
    await give_the_course(portal)
    mended = {"body": {"courseId": "tides", "lessonId": "01-ebb"}, "reason": "the course's id was misspelt"}
    said = (await portal.service().post(f"{LETTERS}/{letter['id']}/redrive", mended)).json()
    assert (said["status"], said["settledWhy"]) == ("redriven", "applied with a corrected body")
    assert said["corrected"] == mended["body"]
    assert said["record"]["body"] == {"courseId": "tide", "lessonId": "01-ebb"}
    rows = (await portal.person("ada").get("/api/client/progress")).json()["items"]
    assert [(row["courseId"], row["completed"]) for row in rows] == [("tides", True)]
    notes = await portal.portal.store.read(
        None, lambda tx: tx.rows(select(schema.audit).where(schema.audit.c.act == "deadletter.redrive"))
    )
    assert [row.details for row in notes] == [{"corrected": True, "reason": mended["reason"]}]
    assert (await portal.person("olu").get("/api/admin/offline/ledger")).json()["balanced"]


async def test_the_device_that_sends_the_corrected_event_again_hears_duplicate(portal: House) -> None:
    letter = await park(portal, body={"courseId": "tide", "lessonId": "01-ebb"})
    await give_the_course(portal)
    mended = {"body": {"courseId": "tides", "lessonId": "01-ebb"}, "reason": "misspelt"}
    await portal.service().post(f"{LETTERS}/{letter['id']}/redrive", mended)
    portal.portal.intake._window.__init__(2)  # type: ignore[misc]
    again = completed(id=letter["eventId"], body={"courseId": "tide", "lessonId": "01-ebb"})
    await portal.person("ada").post("/api/client/progress/batch", {"events": [again]})
    await portal.settle()
    olu = portal.person("olu")
    (row,) = [row for row in (await olu.get("/api/admin/offline/ledger")).json()["items"]
              if row["orgId"] == "tidewater"]  # fmt: skip
    assert (row["duplicate"], row["dead"]) == (1, 0)


async def replayed(portal: House) -> list[str]:
    """Replay the journal's completed lessons; the courses in which Ada has progress then."""
    body: dict[str, Any] = {
        "id": "again",
        "orgId": "tidewater",
        "from": "2020-01-01T00:00:00Z",
        "to": "2100-01-01T00:00:00Z",
    }
    body |= {"source": "journal", "reason": "rows are gone", "kinds": ["lesson.completed"]}
    await portal.service().post("/api/admin/offline/replay", {**body, "dryRun": False})
    await portal.portal.replayer.drain()
    job = (await portal.service().get("/api/admin/offline/replay/again")).json()
    assert (job["counts"]["repeated"], job["counts"]["refused"]) == (1, 0)
    rows = (await portal.person("ada").get("/api/client/progress")).json()["items"]
    return [row["courseId"] for row in rows]


async def test_a_replay_applies_the_corrected_body_and_not_the_records(portal: House) -> None:
    letter = await park(portal, body={"courseId": "tide", "lessonId": "01-ebb"})
    await give_the_course(portal)
    mended = {"body": {"courseId": "tides", "lessonId": "01-ebb"}, "reason": "misspelt"}
    await portal.service().post(f"{LETTERS}/{letter['id']}/redrive", mended)
    await portal.portal.store.run(None, lambda tx: tx.run(schema.progress.delete()))
    assert await replayed(portal) == ["tides"]


async def test_a_replay_does_not_apply_a_corrected_body_that_failed(portal: House) -> None:
    letter = await park(portal, body={"courseId": "tides", "lessonId": "01-ebb"})
    path = f"{LETTERS}/{letter['id']}/redrive"
    wrong = {"body": {"courseId": "moons", "lessonId": "01-new"}, "reason": "a wrong guess"}
    assert (await portal.service().post(path, wrong)).json()["status"] == "parked"
    await give_the_course(portal)
    assert (await portal.service().post(path)).json()["settledWhy"] == "applied"
    lessons = [{"title": "New", "markdown": "Dark."}]
    await portal.person("ben").post("/api/admin/courses", {"title": "Moons", "lessons": lessons})
    assert await replayed(portal) == ["tides"]


@pytest.mark.parametrize(
    "body, code",
    [
        ({"courseId": "tides"}, "invalid"),
        ({"courseId": "tides", "lessonId": "x", "more": 1}, "invalid"),
        ([], "invalid"),
        ({"courseId": "tides", "lessonId": "x" * 40_000}, "event_too_large"),
    ],
)
async def test_a_corrected_body_that_its_kind_cannot_be_is_refused_and_costs_no_try(
    portal: House,
    body: Any,  # noqa: ANN401
    code: str,
) -> None:
    letter = await park(portal)
    said = await portal.service().post(
        f"{LETTERS}/{letter['id']}/redrive", {"body": body, "reason": "a trial"}
    )
    assert problem(said)[1] == code
    after = (await portal.service().get(f"{LETTERS}/{letter['id']}")).json()
    assert (after["redrives"], after["corrected"]) == (0, None)


async def test_a_corrected_body_needs_its_reason(portal: House) -> None:
    letter = await park(portal)
    answer = await portal.service().post(f"{LETTERS}/{letter['id']}/redrive", {"body": {}})
    assert problem(answer) == (422, "invalid")


async def test_a_reason_needs_the_corrected_body_it_is_for(portal: House) -> None:
    letter = await park(portal)
    answer = await portal.service().post(f"{LETTERS}/{letter['id']}/redrive", {"reason": "a trial"})
    assert problem(answer) == (422, "invalid")
    assert "both or neither" in answer.json()["detail"]


@pytest.mark.parametrize("body", [None, {}, {"reason": None}])
async def test_a_redrive_without_either_sends_the_record_through_as_it_is(
    portal: House, body: dict[str, None] | None
) -> None:
    letter = await park(portal, body={"courseId": "tides", "lessonId": "01-ebb"})
    await give_the_course(portal)
    said = (await portal.service().post(f"{LETTERS}/{letter['id']}/redrive", body)).json()
    assert (said["status"], said["corrected"]) == ("redriven", None)


async def test_personal_values_in_a_corrected_body_are_scrubbed_too(portal: House) -> None:
    def leave(tx: Tx, *, active: bool) -> None:
        table = schema.memberships
        tx.run(table.update().where(table.c.user_id == "demo-ada").values(active=active))

    event = recorded()
    await portal.person("ada").post("/api/analytics/events/batch", {"events": [event]})
    await portal.portal.store.run(None, partial(leave, active=False))
    await portal.settle()
    await portal.portal.store.run(None, partial(leave, active=True))
    (letter,) = (await portal.service().get(LETTERS)).json()["items"]
    body = {"name": "page.opened", "data": {"email": "ada@tidewater.example"}}
    said = await portal.service().post(
        f"{LETTERS}/{letter['id']}/redrive", {"body": body, "reason": "a trial"}
    )
    assert said.json()["status"] == "redriven", said.text
    assert "ada@" not in said.text
    (row,) = await portal.portal.store.read(None, lambda tx: tx.rows(select(schema.analytics_events)))
    assert "scrubbed:" in row.data


# Whose work it is


async def test_a_learner_sees_their_own_in_plain_words_and_nobody_elses(portal: House) -> None:
    await park(portal)
    await park(portal, "cleo")
    (mine,) = (await portal.person("ada").get("/api/client/deadletters")).json()["items"]
    assert (mine["what"], mine["course"], mine["lesson"]) == ("A finished lesson", "tides", "ebb")
    assert "not in your school" in mine["why"]
    assert "you need not do it again" in mine["now"]
    assert "code" not in mine
    assert (await portal.person("ben").get("/api/client/deadletters")).json()["items"] == []


async def test_an_admin_sees_the_orgs_and_no_other_orgs(portal: House) -> None:
    await park(portal)
    await park(portal, "cleo")
    items = (await portal.person("ben").get("/api/admin/deadletters")).json()["items"]
    assert [(one["userId"], one["userName"]) for one in items] == [("demo-ada", "Ada Learner")]
    assert problem(await portal.person("ada").get("/api/admin/deadletters")) == (403, "forbidden")


async def test_a_letter_about_another_schools_person_does_not_tell_their_name(portal: House) -> None:
    event = completed(userId="demo-cleo")
    said = await portal.service().post("/api/client/progress/batch", {"events": [event]})
    assert [one["status"] for one in said.json()["receipts"]] == ["accepted"], said.text
    await portal.settle()
    (one,) = (await portal.person("ben").get("/api/admin/deadletters")).json()["items"]
    assert "not a member" in one["why"]
    assert (one["userId"], one["userName"]) == ("demo-cleo", ""), "the name is Highland's to tell"


async def test_the_name_of_somebody_who_left_the_school_is_still_told_with_their_letters(
    portal: House,
) -> None:
    await park(portal)
    left = schema.memberships.update().where(schema.memberships.c.user_id == "demo-ada").values(active=False)
    await portal.portal.store.run(None, lambda tx: tx.run(left))
    (one,) = (await portal.person("ben").get("/api/admin/deadletters")).json()["items"]
    assert one["userName"] == "Ada Learner"


async def test_what_became_of_it_is_said(portal: House) -> None:
    letter = await park(portal)
    await portal.service().post(f"{LETTERS}/{letter['id']}/discard", {"reason": "a course that never was"})
    (mine,) = (await portal.person("ada").get("/api/client/deadletters")).json()["items"]
    assert (mine["status"], mine["settledWhy"]) == ("discarded", "a course that never was")


@pytest.mark.parametrize("value", ["0.5", "1e9", "-3"])
async def test_a_number_is_no_time_for_a_window(portal: House, value: str) -> None:
    said = await portal.person("olu").get(f"{LETTERS}?to={value}")
    assert said.status_code == 422
    assert "'to' is no time" in said.json()["detail"]
