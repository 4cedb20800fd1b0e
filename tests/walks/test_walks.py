"""The four walks of the design, end to end: HTTP on a portal that is really served."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from holdfast.core.ids import uuid7
from holdfast.journal.reader import Reader
from holdfast.journal.recovery import look
from tests.machine import quick_disk
from tests.served import (
    NO_LIMITS,
    SMALL_DISK,
    WELL_S,
    Served,
    completed,
    ledger_row,
    lesson_of,
    served,
    until,
)

BATCH = "/api/client/progress/batch"
SETTINGS = {**NO_LIMITS, **SMALL_DISK}


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with quick_disk(tmp_path_factory.mktemp("school")) as folder, served(folder, SETTINGS) as portal:
        yield portal


def test_walk_1_a_completed_lesson_gets_a_receipt_once_on_disk_and_shows_once_applied(school: Served) -> None:
    with school.client("ada") as ada, school.client("olu") as olu:
        course, lesson = lesson_of(ada)
        before = ledger_row(olu)
        event = completed(course, lesson, seq=1)
        answer = ada.post(BATCH, json={"deviceId": "tablet-1", "events": [event]})
        assert answer.status_code == 202
        receipt = answer.json()["receipts"][0]
        assert (receipt["id"], receipt["status"], receipt["durable"]) == (event["id"], "accepted", "fsync")
        # The receipt's word is kept: the journal's file holds the event's line already.
        lines = (school.data / "logs" / "offline-sync.jsonl").read_bytes()
        assert b'"p":"%b"' % receipt["position"].encode() in lines
        assert event["id"].encode() in lines
        assert answer.json()["device"] == {"acceptedThrough": 1, "missing": []}

        def shown() -> bool:
            rows = ada.get("/api/client/progress").json()["items"]
            return any(r["lessonId"] == lesson and r["completed"] and r["percent"] == 100 for r in rows)

        until(shown)
        after = ledger_row(olu)
        assert after["applied"] == before["applied"] + 1
        again = ada.post("/api/client/receipts", json={"deviceId": "tablet-1", "ids": [event["id"]]})
        assert again.json() == {"held": [event["id"]], "notHeld": [], "unknown": []}


def test_walk_2_a_bulk_assignment_is_one_event_and_refuses_learners_of_other_orgs_by_name(
    school: Served,
) -> None:
    with school.client("ben") as ben, school.client("olu") as olu:
        course = ben.get("/api/admin/courses").json()["items"][0]["id"]
        people = [f"pupil-{n}@tidewater.example" for n in range(40)]
        listed = "email,name,role\n" + "".join(f"{one},Pupil,learner\n" for one in people)
        ben.post("/api/admin/users/import", content=listed, headers={"content-type": "text/csv"})
        page = ben.get("/api/admin/users", params={"search": "pupil-", "limit": "500"}).json()["items"]
        ids = [person["id"] for person in page]
        assert len(ids) == 40
        before = ledger_row(olu)
        event_id = uuid7()
        asked = {"id": event_id, "userIds": [*ids, "demo-cleo"], "note": "For Monday"}
        path = f"/api/admin/courses/{course}/assign"
        answer = ben.post(path, json=asked, headers={"Prefer": "wait=10"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["assigned"] == 40
        assert [each["userId"] for each in answer.json()["refused"]] == ["demo-cleo"]
        assert ledger_row(olu)["accepted"] == before["accepted"] + 1, "one event, however many learners"
        rows = ben.get("/api/admin/assignments", params={"limit": "500"}).json()["items"]
        assert {row["userId"] for row in rows if row["note"] == "For Monday"} == set(ids)
        # The same id again is the same assignment, and its answer is the same; its receipt says so.
        again = ben.post(path, json=asked, headers={"Prefer": "wait=10"})
        receipt = {**answer.json()["receipt"], "status": "duplicate"}
        assert (again.status_code, again.json()) == (200, {**answer.json(), "receipt": receipt})
        assert ben.get("/api/admin/assignments", params={"limit": "500"}).json()["items"] == rows
        other = ben.post(path, json={**asked, "note": "For Tuesday"})
        assert (other.status_code, other.json()["code"]) == (409, "conflict")


def test_walk_3_a_store_that_is_out_is_told_at_once_while_work_goes_on_and_is_applied_afterwards(
    quick_path: Path,
) -> None:
    with served(quick_path, SETTINGS) as portal, portal.client("ada") as ada, portal.client("olu") as olu:
        course, lesson = lesson_of(ada)
        before = ledger_row(olu)
        until(lambda: olu.get("/api/health").json()["status"] == "ok", WELL_S)
        lock = sqlite3.connect(portal.data / "store.sqlite3", isolation_level=None)
        try:
            lock.execute("BEGIN IMMEDIATE")  # from another process than the portal's: the store can't write
            events = [completed(course, lesson) for _ in range(20)]
            answer = ada.post(BATCH, json={"events": events})
            assert answer.status_code == 202
            assert {each["status"] for each in answer.json()["receipts"]} == {"accepted"}

            def told() -> dict[str, object] | None:
                said = olu.get("/api/health").json()
                names = [each["name"] for each in said.get("degradations", [])]
                return said if "store_read_only" in names else None

            said = until(told)
            assert said["status"] == "degraded"
            assert said["components"]["store"]["status"] == "degraded", "reading works"
            assert said["offlineQueue"]["backlog"] == 20
            assert "runbook" in said["degradations"][0]
            assert ada.get("/readyz").status_code == 200, "it can still take work"
            # A learner hears of it too, and of their org's backlog; nobody's reason, nobody's parts.
            mine = ada.get("/api/health").json()
            assert mine["org"]["backlog"] == 20
            assert "components" not in mine
        finally:
            lock.close()
        until(lambda: olu.get("/api/health").json()["status"] == "ok", WELL_S)
        after = until(lambda: (row := ledger_row(olu))["pending"] == 0 and row)
        assert after["applied"] == before["applied"] + 20
        assert after["dead"] == before["dead"], "an outage parks nothing"
        assert after["duplicate"] == before["duplicate"]


def test_walk_4_what_is_sent_again_or_redriven_has_its_effect_once(school: Served) -> None:
    with school.client("ada") as ada, school.client("ben") as ben, school.client("olu") as olu:
        before = ledger_row(olu)
        early = completed("harbour-lights", "01-the-lamp")
        answer = ada.post(BATCH, json={"events": [early]})
        assert answer.json()["receipts"][0]["status"] == "accepted"
        letters = "/api/admin/offline/deadletters"

        def parked() -> list[dict[str, object]]:
            items: list[dict[str, object]] = olu.get(letters, params={"status": "parked"}).json()["items"]
            return [item for item in items if item["eventId"] == early["id"]]

        letter = until(parked)[0]
        assert letter["code"] == "course_unknown"
        first = olu.post(f"{letters}/{letter['id']}/redrive")
        assert (first.json()["status"], first.json()["redrives"]) == ("parked", 1), "nothing was mended yet"
        made = ben.post(
            "/api/admin/courses",
            json={"title": "Harbour lights", "lessons": [{"title": "The lamp", "markdown": "It turns."}]},
        )
        assert made.json()["courseId"] == "harbour-lights", made.text
        settled = olu.post(f"{letters}/{letter['id']}/redrive")
        assert settled.json()["status"] == "redriven", settled.text
        again = ada.post(BATCH, json={"events": [early]})
        assert again.json()["receipts"][0]["status"] == "duplicate"
        twice = olu.post(f"{letters}/{letter['id']}/redrive")
        assert (twice.status_code, twice.json()["code"]) == (409, "settled")
        rows = ada.get("/api/client/progress").json()["items"]
        assert [row["completed"] for row in rows if row["courseId"] == "harbour-lights"] == [True]
        after = ledger_row(olu)
        assert after["applied"] == before["applied"] + 1
        assert after["dead"] == before["dead"], "a redriven letter is applied, not dead"


def test_walk_4_a_restart_answers_duplicates_for_what_the_journal_holds(quick_path: Path) -> None:
    with served(quick_path, SETTINGS) as portal:
        with portal.client("ada") as ada:
            course, lesson = lesson_of(ada)
            events = [completed(course, lesson) for _ in range(30)]
            ada.post(BATCH, json={"events": events})
        portal.kill()
        portal.start()
        with portal.client("ada") as ada, portal.client("olu") as olu:
            answer = ada.post(BATCH, json={"events": events})
            assert {each["status"] for each in answer.json()["receipts"]} == {"duplicate"}
            until(lambda: ledger_row(olu)["pending"] == 0)
            assert ledger_row(olu)["applied"] == 31, "30 lessons and the demo's assignment"
        assert portal.stop() == 0
        reader = Reader(portal.data / "logs", look(portal.data / "logs"))
        assert list(reader.verify()) == []
        reader.close()


def test_events_of_a_batch_stand_or_fall_alone(school: Served) -> None:
    with school.client("ada") as ada:
        course, lesson = lesson_of(ada)
        good, twin = completed(course, lesson), completed(course, lesson)
        foreign = completed(course, lesson, org="highland")
        broken = {**completed(course, lesson), "body": {"courseId": course, "lessonId": lesson, "x": 1}}
        unknown = {**completed(course, lesson), "kind": "lesson.forgotten"}
        answer = ada.post(BATCH, json={"events": [good, foreign, broken, unknown, twin, twin]})
        assert answer.status_code == 202
        told = [(each["status"], each.get("code")) for each in answer.json()["receipts"]]
        assert told == [
            ("accepted", None),
            ("forbidden", "org_forbidden"),
            ("invalid", "invalid"),
            ("invalid", "unknown_kind"),
            ("accepted", None),
            ("duplicate", None),
        ]


def test_health_is_answered_from_memory_at_once(school: Served) -> None:
    with httpx2.Client(base_url=school.url) as anybody:
        began_s = time.monotonic()
        for _ in range(50):
            said = anybody.get("/api/health").json()
            assert set(said) == {"status", "epoch", "seq"}
        assert time.monotonic() - began_s < 5.0
