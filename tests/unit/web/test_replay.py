"""Replays over HTTP: what a dry run says is what a run does, and nothing of another org comes along."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from holdfast.access.keys import Keys
from holdfast.access.tokens import Tokens
from holdfast.core.clock import ManualClock
from holdfast.core.ids import uuid7
from holdfast.store import schema
from holdfast.store.port import Tx
from tests.unit.web.portals import Asker, House, completed, house, problem, recorded

PATH = "/api/admin/offline/replay"
COURSE = "reading-the-tide"
FROM, TO = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
NO_LIMITS: dict[str, Any] = {"batches_per_s": 1e6, "batches_burst": 1e6}


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, **NO_LIMITS) as opened:
        yield opened


def wanted(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    body = {"id": uuid7(), "orgId": "tidewater", "from": FROM, "to": TO, "source": "journal"}
    return body | {"dryRun": False, "reason": "a test of a replay"} | more


async def replayed(asker: Asker, portal: House, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A replay, asked for and worked on to its end."""
    body = wanted(**more)
    answer = await asker.post(PATH, body)
    assert answer.status_code == 202, answer.text
    await portal.portal.replayer.drain()
    job: dict[str, Any] = (await asker.get(f"{PATH}/{body['id']}")).json()
    assert job["status"] in ("done", "failed", "cancelled"), job
    return job


async def lessons(portal: House, name: str = "ada") -> list[str]:
    page = (await portal.person(name).get(f"/api/client/courses/{COURSE}")).json()
    return [one["id"] for one in page["lessons"]]


async def did_lessons(portal: House, name: str = "ada", org: str = "tidewater") -> list[str]:
    """Complete every lesson, and open a page once for each; the event ids of the lessons."""
    ids = await lessons(portal, name)
    events = [completed(orgId=org, body={"courseId": COURSE, "lessonId": one}) for one in ids]
    clicks = [recorded(orgId=org) for _ in ids]
    person = portal.person(name)
    assert (await person.post("/api/client/progress/batch", {"events": events})).status_code == 202
    assert (await person.post("/api/analytics/events/batch", {"events": clicks})).status_code == 202
    await portal.settle()
    return [event["id"] for event in events]


async def rows(portal: House, table: Any = schema.progress) -> list[tuple[Any, ...]]:  # noqa: ANN401
    found = await portal.portal.store.read(None, lambda tx: tx.rows(select(table)))
    return sorted(tuple(row) for row in found)


async def lost(portal: House, *tables: Any, org: str = "tidewater") -> None:  # noqa: ANN401
    """Somebody deleted rows by hand."""

    def work(tx: Tx) -> None:
        for table in tables:
            tx.run(table.delete().where(table.c.org_id == org))

    await portal.portal.store.run(None, work)


async def everything(portal: House) -> dict[str, list[tuple[Any, ...]]]:
    left_out = ("replay_jobs", "audit", "cursors", "leases")
    named = [table for table in schema.metadata.sorted_tables if table.name not in left_out]
    return {table.name: sorted(await rows(portal, table), key=repr) for table in named}


async def balanced(portal: House) -> bool:
    said = (await portal.person("olu").get("/api/admin/offline/ledger")).json()
    return bool(said["balanced"])


# What it does


async def test_lost_rows_come_back_and_a_dry_run_says_so_before(portal: House) -> None:
    await did_lessons(portal)
    before = await everything(portal)
    await lost(portal, schema.progress)
    damaged = await everything(portal)
    dry = await replayed(portal.service(), portal, dryRun=True)
    assert await everything(portal) == damaged, "a dry run changes nothing"
    assert (dry["status"], dry["dryRun"], dry["progress"]) == ("done", True, 1.0)
    assert dry["counts"]["rowsAdded"] == 5
    real = await replayed(portal.service(), portal)
    assert await everything(portal) == before
    assert {name: real[name] for name in ("counts", "sample", "problems")} == {
        name: dry[name] for name in ("counts", "sample", "problems")
    }
    assert {one["table"] for one in real["sample"]} == {"progress"}
    assert [one["before"] for one in real["sample"]] == [None] * 5
    assert {one["after"]["userId"] for one in real["sample"]} == {"demo-ada"}
    assert await balanced(portal)


async def test_a_second_replay_changes_nothing(portal: House) -> None:
    await did_lessons(portal)
    await lost(portal, schema.progress, schema.assignments)
    await replayed(portal.service(), portal)
    before = await everything(portal)
    again = await replayed(portal.service(), portal)
    assert await everything(portal) == before
    counts = again["counts"]
    assert (counts["rowsAdded"], counts["rowsChanged"], counts["rowsRemoved"]) == (0, 0, 0)
    assert (counts["repeated"], counts["already"]) == (6, 5), "five lessons, one assignment, five clicks"


async def test_counts_that_add_up_are_never_added_twice(portal: House) -> None:
    await did_lessons(portal)
    before = await rows(portal, schema.activity), await rows(portal, schema.analytics_events)
    job = await replayed(portal.service(), portal, kinds=["analytics.recorded"])
    assert (job["counts"]["matched"], job["counts"]["already"]) == (5, 5)
    assert (await rows(portal, schema.activity), await rows(portal, schema.analytics_events)) == before


async def test_an_event_whose_mark_was_lost_gets_its_effect_and_the_ledger_stays_balanced(
    portal: House,
) -> None:
    await did_lessons(portal)
    before = await everything(portal)
    await lost(portal, schema.progress, schema.marks)
    job = await replayed(portal.service(), portal, kinds=["lesson.completed"])
    assert (job["counts"]["applied"], job["counts"]["repeated"]) == (5, 0)
    after = await everything(portal)
    assert after["progress"] == before["progress"]
    assert after["ledger"] == before["ledger"]
    assert await balanced(portal)


async def test_events_the_applier_has_not_come_to_are_left_to_it(portal: House) -> None:
    ids = await lessons(portal)
    event = completed(body={"courseId": COURSE, "lessonId": ids[0]})
    await portal.person("ada").post("/api/client/progress/batch", {"events": [event]})
    job = await replayed(portal.service(), portal)
    assert job["counts"]["pending"] == 1
    assert await rows(portal) == []
    await portal.settle()
    assert len(await rows(portal)) == 1
    assert await balanced(portal)


async def test_what_can_no_longer_be_applied_is_named_and_its_rows_stay(portal: House) -> None:
    await did_lessons(portal)
    before = await rows(portal)

    def leave(tx: Tx) -> None:
        table = schema.memberships
        tx.run(table.update().where(table.c.user_id == "demo-ada").values(active=False))

    await portal.portal.store.run(None, leave)
    job = await replayed(portal.service(), portal, kinds=["lesson.completed"])
    assert job["counts"]["refused"] == 5
    assert {each["code"] for each in job["problems"]} == {"not_a_member"}
    assert await rows(portal) == before
    assert (await portal.service().get("/api/admin/offline/deadletters")).json()["items"] == []
    assert await balanced(portal)


async def test_dead_letters_are_replayed_after_the_mend_as_the_dry_run_said(portal: House) -> None:
    ada, ben = portal.person("ada"), portal.person("ben")
    events = [completed(body={"courseId": "tides", "lessonId": one}) for one in ("01-ebb", "01-ebb", "99-no")]
    await ada.post("/api/client/progress/batch", {"events": events})
    await portal.settle()
    made = [{"title": "Ebb", "markdown": "Out."}]
    assert (await ben.post("/api/admin/courses", {"title": "Tides", "lessons": made})).status_code < 300
    journal = await replayed(portal.service(), portal)
    assert journal["counts"]["parked"] == 3, "letters are left to a replay of letters"
    before = await everything(portal)
    dry = await replayed(portal.service(), portal, source="deadLetters", dryRun=True)
    assert await everything(portal) == before
    real = await replayed(portal.service(), portal, source="deadLetters")
    assert real["counts"] == dry["counts"]
    assert real["sample"] == dry["sample"]
    counts = real["counts"]
    assert (counts["matched"], counts["applied"], counts["refused"]) == (3, 2, 1)
    letters = (await portal.service().get("/api/admin/offline/deadletters")).json()["items"]
    assert sorted((one["status"], one["redrives"]) for one in letters) == [
        ("parked", 1), ("redriven", 0), ("redriven", 0),
    ]  # fmt: skip
    assert await balanced(portal)
    again = await replayed(portal.service(), portal, source="deadLetters")
    assert (again["counts"]["matched"], again["counts"]["refused"]) == (1, 1)
    third = await replayed(portal.service(), portal, source="deadLetters")
    assert third["counts"]["matched"] == 0, "exhausted: something else must be mended first"


# Which events


async def test_only_the_learner_who_is_named(portal: House) -> None:
    await did_lessons(portal)
    await lost(portal, schema.progress, schema.assignments)
    job = await replayed(portal.service(), portal, userId="demo-ada")
    assert job["counts"]["matched"] == 10
    assert await rows(portal, schema.assignments) != []  # highland's
    assert [row for row in await rows(portal, schema.assignments) if row[0] == "tidewater"] == []
    nobody = await replayed(portal.service(), portal, userId="demo-cleo")
    assert nobody["counts"]["matched"] == 0


async def test_a_kind_nobody_knows_is_refused_by_name(portal: House) -> None:
    answer = await portal.service().post(PATH, wanted(kinds=["lesson.forgotten"]))
    assert problem(answer) == (422, "unknown_kind")
    assert "lesson.forgotten" in answer.json()["detail"]


async def test_most_events_are_kept_to(portal: House) -> None:
    await did_lessons(portal)
    await lost(portal, schema.progress)
    job = await replayed(portal.service(), portal, kinds=["lesson.completed"], maxEvents=2)
    assert job["counts"]["matched"] == 2
    assert len(await rows(portal)) == 2


async def test_a_window_is_half_open_to_the_millisecond(tmp_path: Path) -> None:
    clock = ManualClock(1_795_000_000.0)
    async with house(tmp_path, clock=clock, **NO_LIMITS) as portal:
        ids = await lessons(portal)
        at: list[datetime] = []
        for one in ids[:3]:
            clock.advance(0.001)
            at.append(datetime.fromtimestamp(round(clock.now_s(), 3), UTC))
            event = completed(body={"courseId": COURSE, "lessonId": one})
            await portal.person("ada").post("/api/client/progress/batch", {"events": [event]})
        await portal.settle()
        for more, number in (
            ({"from": at[0], "to": at[2]}, 2),
            ({"from": at[1], "to": at[2] + timedelta(milliseconds=1)}, 2),
            ({"from": at[0] + timedelta(microseconds=1), "to": at[2]}, 1),
            ({"from": at[0], "to": at[2] + timedelta(microseconds=1)}, 3),
        ):
            edges = {name: each.isoformat() for name, each in more.items()}
            job = await replayed(portal.service(), portal, kinds=["lesson.completed"], **edges)
            assert job["counts"]["matched"] == number, more


@pytest.mark.parametrize("hours", [-12, -3.5, 5.75, 14])
async def test_windows_in_other_time_zones_mean_the_same_moments(tmp_path: Path, hours: float) -> None:
    clock = ManualClock(1_795_000_000.0)
    async with house(tmp_path, clock=clock, **NO_LIMITS) as portal:
        clock.advance(60)
        await did_lessons(portal)
        zone = timezone(timedelta(hours=hours))
        begin = datetime.fromtimestamp(clock.now_s(), zone)
        edges = {"from": begin.isoformat(), "to": (begin + timedelta(seconds=1)).isoformat()}
        job = await replayed(portal.service(), portal, **edges)
        assert job["counts"]["matched"] == 10
        assert job["request"]["from"].endswith("Z")
        edges = {"from": (begin + timedelta(seconds=1)).isoformat(), "to": TO}
        clock.advance(5)
        assert (await replayed(portal.service(), portal, **edges))["counts"]["matched"] == 0


async def test_a_device_whose_clock_is_wrong_is_found_by_when_its_work_was_received(portal: House) -> None:
    ids = await lessons(portal)
    event = completed(body={"courseId": COURSE, "lessonId": ids[0]}, occurredAt="1999-01-01T00:00:00Z")
    await portal.person("ada").post("/api/client/progress/batch", {"events": [event]})
    await portal.settle()
    only = {"kinds": ["lesson.completed"]}
    assert (await replayed(portal.service(), portal, **only))["counts"]["matched"] == 1
    days = {"from": "1999-01-01T00:00:00+00:00", "to": "1999-01-02T00:00:00+00:00"}
    assert (await replayed(portal.service(), portal, **only, **days))["counts"]["matched"] == 0
    by = await replayed(portal.service(), portal, by="occurred", **only, **days)
    assert by["counts"]["matched"] == 1


@pytest.mark.parametrize(
    "edges, code",
    [
        ({"from": TO, "to": FROM}, "invalid"),
        ({"from": FROM, "to": FROM}, "invalid"),
        ({"from": "2099-01-01T00:00:00Z"}, "invalid"),
        ({"from": "2026-01-01T00:00:00"}, "invalid"),
        ({"from": "yesterday"}, "invalid"),
        ({"to": "9999-12-31T23:59:59.999999-14:00"}, "invalid"),
        ({"reason": ""}, "invalid"),
        ({"source": "memory"}, "invalid"),
        ({"ratePerS": 0}, "invalid"),
        ({"maxEvents": 0}, "invalid"),
        ({"colour": "red"}, "invalid"),
    ],
)
async def test_what_cannot_be_meant_is_refused(portal: House, edges: dict[str, Any], code: str) -> None:
    assert problem(await portal.service().post(PATH, wanted(**edges))) == (422, code)
    assert (await portal.service().get(PATH)).json()["items"] == []


class _Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("source", ["journal", "deadLetters"])
async def test_killed_before_its_end_was_written_it_takes_no_more_events_than_were_asked_for(
    portal: House, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    def killed(*_: object) -> None:
        raise _Killed

    await did_lessons(portal)
    events = [completed(body={"courseId": "nowhere", "lessonId": "x"}) for _ in range(3)]
    await portal.person("ada").post("/api/client/progress/batch", {"events": events})
    await portal.settle()
    body = wanted(source=source, maxEvents=2, kinds=["lesson.completed"])
    await portal.service().post(PATH, body)
    with monkeypatch.context() as patched:
        patched.setattr(portal.portal.replayer, "_end", killed)
        with pytest.raises(_Killed):
            await portal.portal.replayer.drain()
    await portal.portal.replayer.drain()
    job = (await portal.service().get(f"{PATH}/{body['id']}")).json()
    assert (job["status"], job["counts"]["matched"]) == ("done", 2)
    tries = [row.redrives for row in await portal.portal.store.read(None, _letters)]
    assert sorted(tries) == ([0, 1, 1] if source == "deadLetters" else [0, 0, 0])


def _letters(tx: Tx) -> Any:  # noqa: ANN401 - rows
    return tx.rows(select(schema.dead_letters))


async def test_a_window_from_a_clock_that_is_ahead_is_refused_with_both_clocks(tmp_path: Path) -> None:
    async with house(tmp_path, clock=ManualClock(1_795_000_000.0)) as portal:
        answer = await portal.service().post(PATH, wanted(**{"from": "2026-11-18T12:00:00Z"}))
        assert problem(answer) == (422, "invalid")
        assert "this portal's clock says 2026-11-18T11:06:40" in answer.json()["detail"]


# Who may, and for which org


@pytest.mark.parametrize("name", ["ada", "ben"])
async def test_learners_and_admins_may_not_replay(portal: House, name: str) -> None:
    assert problem(await portal.person(name).post(PATH, wanted())) == (403, "forbidden")
    assert problem(await portal.person(name).get(f"{PATH}/any")) == (403, "forbidden")


async def test_a_service_replays_its_own_org_and_no_other(portal: House) -> None:
    theirs = portal.service("highland")
    assert problem(await theirs.post(PATH, wanted())) == (403, "org_forbidden")
    assert problem(await theirs.post(PATH, wanted(), X_Org_Id="tidewater")) == (403, "org_forbidden")
    job = await replayed(portal.service(), portal)
    assert problem(await theirs.get(f"{PATH}/{job['id']}")) == (404, "not_found")
    assert problem(await theirs.ask("DELETE", f"{PATH}/{job['id']}")) == (404, "not_found")
    assert (await theirs.get(PATH)).json()["items"] == []


async def test_an_operator_names_the_org_and_the_header_may_not_say_another(portal: House) -> None:
    olu = portal.person("olu")
    assert (await replayed(olu, portal))["status"] == "done"
    assert problem(await olu.post(PATH, wanted(), X_Org_Id="highland")) == (403, "org_forbidden")
    assert problem(await olu.post(PATH, wanted(orgId="nowhere"))) == (404, "not_found")


async def test_nothing_of_another_org_comes_along_whatever_is_asked(portal: House) -> None:
    await did_lessons(portal)
    await did_lessons(portal, "cleo", "highland")
    for org in ("tidewater", "highland"):
        await lost(portal, schema.progress, schema.assignments, org=org)
    for more in ({}, {"userId": "demo-cleo"}, {"userId": "demo-dan"}, {"kinds": ["course.assigned"]}):
        job = await replayed(portal.service(), portal, **more)
        sides = [side for each in job["sample"] for side in (each["before"], each["after"]) if side]
        assert {side["orgId"] for side in sides} <= {"tidewater"}, more
    for table in (schema.progress, schema.assignments):
        assert {row[0] for row in await rows(portal, table)} == {"tidewater"}


async def test_the_same_id_in_two_orgs_is_two_jobs(portal: House) -> None:
    first = await replayed(portal.service(), portal, id="monday")
    other = await replayed(portal.service("highland"), portal, id="monday", orgId="highland")
    assert (first["orgId"], other["orgId"]) == ("tidewater", "highland")
    olu = portal.person("olu")
    assert problem(await olu.get(f"{PATH}/monday")) == (404, "not_found")
    assert (await olu.get(f"{PATH}/monday", X_Org_Id="highland")).json()["orgId"] == "highland"


async def test_a_forged_service_token_is_refused(portal: House) -> None:
    real = portal.service().headers["Authorization"].removeprefix("Bearer ")
    head, claims, mac = real.split(".")
    stranger = Tokens(Keys.from_secret(b"another portal's, 32 characters."), portal.portal.clock)
    other_key = stranger.mint("service", "tidewater")
    operator = portal.portal.tokens.mint("operator", None).split(".")
    for forged in (
        other_key,
        f"{head}.{operator[1]}.{mac}",
        f"{head}.{claims}.",
        f"eyJhbGciOiJub25lIn0.{claims}.",
        f"{head}.{claims}.{mac[:-2]}AA",
    ):
        asker = Asker(portal.portal, portal.client, {"Authorization": f"Bearer {forged}"})
        assert problem(await asker.post(PATH, wanted())) == (401, "not_signed_in")
    assert (await portal.service().get(PATH)).json()["items"] == []


async def test_an_expired_service_token_is_refused(tmp_path: Path) -> None:
    clock = ManualClock(1_795_000_000.0)
    async with house(tmp_path, clock=clock) as portal:
        service = portal.service()
        assert (await service.get(PATH)).status_code == 200
        clock.advance(3601)
        assert problem(await service.post(PATH, wanted())) == (401, "not_signed_in")


# The same id, cancelling, one at a time


async def test_the_same_id_is_the_same_job_and_another_request_under_it_is_refused(portal: House) -> None:
    await did_lessons(portal)
    body = wanted(kinds=["lesson.completed"])
    service = portal.service()
    answers = [await service.post(PATH, body) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert answers[0].headers["location"] == f"{PATH}/{body['id']}"
    await portal.portal.replayer.drain()
    assert (await service.post(PATH, body)).json()["status"] == "done"
    assert len((await service.get(PATH)).json()["items"]) == 1
    assert problem(await service.post(PATH, {**body, "dryRun": True})) == (409, "conflict")


async def test_a_cancelled_replay_does_nothing_more_and_says_who_ended_it(portal: House) -> None:
    await did_lessons(portal)
    await lost(portal, schema.progress)
    body = wanted()
    service = portal.service()
    await service.post(PATH, body)
    ended = (await service.ask("DELETE", f"{PATH}/{body['id']}")).json()
    assert (ended["status"], ended["why"]) == ("cancelled", "by service:tidewater")
    await portal.portal.replayer.drain()
    assert await rows(portal) == []
    assert (await service.ask("DELETE", f"{PATH}/{body['id']}")).json()["status"] == "cancelled"
    done = await replayed(service, portal)
    assert (await service.ask("DELETE", f"{PATH}/{done['id']}")).json()["status"] == "done", "too late"


async def test_two_replays_of_an_org_are_done_one_after_the_other(portal: House) -> None:
    await did_lessons(portal)
    service = portal.service()
    first, second = wanted(), wanted()
    await service.post(PATH, first)
    await service.post(PATH, second)
    await portal.portal.replayer.drain()
    jobs = {each["id"]: each for each in (await service.get(PATH)).json()["items"]}
    assert {each["status"] for each in jobs.values()} == {"done"}
    assert jobs[first["id"]]["endedAt"] <= jobs[second["id"]]["endedAt"]


async def test_too_many_that_wait_are_refused(portal: House) -> None:
    service = portal.service()
    answers = [await service.post(PATH, wanted()) for _ in range(21)]
    assert [each.status_code for each in answers[:20]] == [202] * 20
    assert problem(answers[20]) == (409, "backlog_over_limit")
    assert (await portal.service("highland").post(PATH, wanted(orgId="highland"))).status_code == 202


async def test_who_asked_why_and_how_it_ended_is_audited(portal: House) -> None:
    job = await replayed(portal.service(), portal, reason="rows went missing on Monday")
    found = [row for row in await rows(portal, schema.audit) if row[5] == job["id"]]
    assert sorted((row[2], row[3], row[4]) for row in found) == [
        ("tidewater", "service:tidewater", "replay.asked"),
        ("tidewater", "service:tidewater", "replay.done"),
    ]
    asked = next(row for row in found if row[4] == "replay.asked")
    assert asked[6]["reason"] == "rows went missing on Monday"


# Faults


async def test_a_part_that_would_change_another_orgs_row_is_rolled_back_and_the_replay_fails(
    portal: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await did_lessons(portal)
    await lost(portal, schema.progress)
    kinds = portal.portal.replayer._kinds
    kind, decoder = kinds._known["lesson.completed", 1]

    def wild(tx: Tx, batch: Any) -> None:  # noqa: ANN401
        kind.apply(tx, [each._replace(org="highland", user="demo-cleo") for each in batch])

    monkeypatch.setitem(kinds._known, ("lesson.completed", 1), (kind._replace(apply=wild), decoder))
    before = await everything(portal)
    job = await replayed(portal.service(), portal)
    assert job["status"] == "failed"
    assert "row of another" in job["why"]
    assert await everything(portal) == before


async def test_a_version_that_fails_for_most_events_fails_the_replay_and_parks_nothing(
    portal: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await did_lessons(portal)
    kinds = portal.portal.replayer._kinds
    kind, decoder = kinds._known["lesson.completed", 1]

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(kinds._known, ("lesson.completed", 1), (kind._replace(apply=broken), decoder))
    before = await everything(portal)
    job = await replayed(portal.service(), portal, kinds=["lesson.completed"])
    assert job["status"] == "failed"
    assert "15 of 15" in job["why"]
    assert await everything(portal) == before
