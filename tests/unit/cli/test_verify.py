"""`verify` over a folder in which something is wrong: it names what, and finds nothing where all is well."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.verifying import Report, verify
from holdfast.core.ids import uuid7
from holdfast.settings import Settings
from holdfast.store import schema
from holdfast.store.port import Tx
from tests.records import seal
from tests.unit.web.portals import House, completed, house, recorded

COURSE = "reading-the-tide"
LETTERS = "/api/admin/offline/deadletters"
NO_LIMITS: dict[str, Any] = {"batches_per_s": 1e6, "batches_burst": 1e6}


async def proved(folder: Path, *, quick: bool = False) -> Report:
    return await verify(Settings(data_dir=folder), None, None, quick=quick, told=lambda *_: None)


def of(lesson: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return completed(body={"courseId": COURSE, "lessonId": lesson}, **more)


async def send(portal: House, name: str, *events: dict[str, Any], **more: Any) -> None:  # noqa: ANN401
    door = "/api/analytics/events" if events[0]["kind"].startswith("analytics") else "/api/client/progress"
    answer = await portal.person(name).post(f"{door}/batch", {"events": list(events), **more})
    assert answer.status_code == 202
    assert {each["status"] for each in answer.json()["receipts"]} <= {"accepted", "duplicate"}, answer.text


async def a_full_day(portal: House) -> None:
    """Something of everything that can become of an event."""
    page = (await portal.person("ada").get(f"/api/client/courses/{COURSE}")).json()
    lessons = [one["id"] for one in page["lessons"]]
    seqs = [of(one, seq=number) for number, one in enumerate(lessons, 1)]
    await send(portal, "ada", *seqs, deviceId="tablet", generation=1)
    span = {"sessionId": "s", "fromS": 0, "toS": 60.5}
    body = {"courseId": COURSE, "lessonId": lessons[0], "percent": 30, "positionS": 12, "interval": span}
    await send(portal, "ada", {**of(lessons[0]), "kind": "lesson.progressed", "body": body})
    quiz = next(one["id"] for one in page["lessons"] if one["hasQuiz"])
    lesson = (await portal.person("ada").get(f"/api/client/courses/{COURSE}/lessons/{quiz}")).json()
    asked = lesson["quiz"]["questions"][0]
    answer = {"courseId": COURSE, "lessonId": quiz, "questionId": asked["id"]}
    answer["choiceIds"] = [asked["choices"][0]["id"]]
    await send(portal, "ada", {**of(lessons[0]), "kind": "quiz.answered", "body": answer})
    await send(portal, "ada", *(recorded() for _ in range(5)))
    await send(portal, "cleo", of(lessons[0], orgId="highland"))
    # Again after the window forgot it; another body under a known id; a course nobody knows.
    await portal.settle()
    portal.portal.intake._window.__init__(2)  # type: ignore[misc]
    await send(portal, "ada", seqs[0])
    await send(portal, "ada", {**seqs[1], "body": {"courseId": COURSE, "lessonId": lessons[3]}})
    lost, misspelt, never = of("a"), of("b"), of("c")
    for event, course in ((lost, "later"), (misspelt, "latre"), (never, "nowhere")):
        event["body"] = {"courseId": course, "lessonId": "01-one"}
    await send(portal, "ada", lost, misspelt, never)
    await portal.settle()
    made = {"title": "Later", "lessons": [{"title": "One", "markdown": "One."}]}
    assert (await portal.person("ben").post("/api/admin/courses", made)).status_code < 300
    service = portal.service()
    for letter in (await service.get(LETTERS)).json()["items"]:
        path = f"{LETTERS}/{letter['id']}"
        if letter["eventId"] == lost["id"]:
            assert (await service.post(f"{path}/redrive")).json()["status"] == "redriven"
        elif letter["eventId"] == misspelt["id"]:
            body = {"body": {"courseId": "later", "lessonId": "01-one"}, "reason": "misspelt"}
            assert (await service.post(f"{path}/redrive", body)).json()["status"] == "redriven"
    await assign(portal, "demo-ada", "demo-cleo", "nobody")


async def assign(portal: House, *users: str) -> None:
    body = {"id": uuid7(), "userIds": list(users), "orgId": "tidewater"}
    answer = await portal.person("ben").post("/api/admin/courses/later/assign", body)
    assert answer.status_code in (200, 202), answer.text
    await portal.settle()


async def and_then(portal: House) -> None:
    """What happens to a school afterwards: people leave and come, courses change and go."""

    def work(tx: Tx) -> None:
        who, lessons = schema.memberships, schema.lessons
        tx.run(who.update().where(who.c.user_id == "demo-ada").values(active=False))
        tx.run(who.update().where(who.c.user_id == "demo-ben").values(active=False))
        tx.run(
            who.insert().values(
                org_id="tidewater", user_id="demo-cleo", role="learner", active=True, created_at="2026"
            )
        )
        tx.run(lessons.delete().where(lessons.c.course_id == "later"))
        tx.run(schema.courses.delete().where(schema.courses.c.id == "later"))
        tx.run(lessons.update().values(quiz=[]))

    await portal.portal.store.run(None, work)


@pytest.fixture
async def day(tmp_path: Path) -> Path:
    """A folder after a full day, its portal stopped."""
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
    return tmp_path


def meddle(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "store.sqlite3") as store:
        for statement in statements:
            assert store.execute(statement).rowcount > 0, statement
    store.close()


async def test_a_full_day_is_good_and_every_event_has_its_trace(day: Path) -> None:
    report = await proved(day)
    assert report.good, report
    assert report.store is not None
    traces = report.store.traces
    assert (traces.duplicates, traces.dead, traces.waiting, traces.number_wrong) == (1, 2, 0, 0)
    assert traces.marked == sum(row["applied"] for row in report.ledger) == traces.events - 3
    assert report.store.partial is None
    tables = {each.table for each in report.store.tables}
    assert tables == {
        "progress", "intervals", "answers", "assignments", "analytics_events", "activity", "devices"
    }  # fmt: skip
    assert report.gaps == []


async def test_people_who_leave_and_courses_that_go_make_nothing_wrong(tmp_path: Path) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        await and_then(portal)
    report = await proved(tmp_path)
    assert report.good, report
    assert report.store is not None
    assert report.store.traces.unprovable == 1, "an answer to a question that is no more"


async def test_what_cannot_be_folded_again_in_one_org_excuses_no_row_of_another(tmp_path: Path) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        await and_then(portal)
    meddle(tmp_path, "update progress set percent = 99 where org_id = 'tidewater'")
    report = await proved(tmp_path)
    assert report.good, "rows may rightly differ where something is no more"
    assert report.store is not None
    assert "tidewater" in (report.store.partial or "")
    meddle(tmp_path, "update progress set percent = 99 where org_id = 'highland'")
    assert not (await proved(tmp_path)).good


async def test_it_changes_nothing(day: Path) -> None:
    def lies() -> dict[str, bytes]:
        return {str(each): each.read_bytes() for each in day.rglob("*") if each.is_file()}

    before = lies()
    assert (await proved(day)).good
    after = lies()
    assert {name: data for name, data in after.items() if not name.endswith(("-shm", "-wal"))} == before


WRONG: dict[str, tuple[Callable[[Path], None], Callable[[Report], bool]]] = {
    "a mark is gone": (
        lambda at: meddle(at, "delete from marks where position = 5"),
        lambda said: said.store is not None and said.store.traces.wrong[0].position == f"{5:016d}",
    ),
    "a mark is another body's": (
        lambda at: meddle(at, "update marks set digest = digest + 1 where position = 5"),
        lambda said: said.store is not None and "another body" in said.store.traces.wrong[0].what,
    ),
    "a mark stands for nothing": (
        lambda at: meddle(at, "insert into marks values ('tidewater', 'x', 1, 1)"),
        lambda said: said.store is not None and said.store.stray_marks == 1,
    ),
    "a dead letter is gone": (
        lambda at: meddle(at, "delete from dead_letters where status = 'parked' and code <> 'conflict'"),
        lambda said: said.store is not None and said.store.traces.number_wrong == 1,
    ),
    "a row is another": (
        lambda at: meddle(at, "update progress set percent = 99 where percent = 100"),
        lambda said: differs(said, "progress"),
    ),
    "a row is gone": (
        lambda at: meddle(at, "delete from intervals"),
        lambda said: differs(said, "intervals"),
    ),
    "a row too many": (
        lambda at: meddle(at, "insert into analytics_events select * from analytics_events limit 1"),
        lambda said: differs(said, "analytics_events"),
    ),
    "a count is another": (
        lambda at: meddle(at, "update activity set count = count + 1"),
        lambda said: differs(said, "activity"),
    ),
    "an assignment was changed by hand": (
        lambda at: meddle(at, "update assignments set active = 0 where user_id = 'demo-ada'"),
        lambda said: differs(said, "assignments"),
    ),
    "the ledger was changed": (
        lambda at: meddle(at, "update ledger set applied = applied + 1 where org_id = 'highland'"),
        lambda said: said.store is not None and said.store.good and not said.findings,
    ),
    "a cursor stands past the journal": (
        lambda at: meddle(at, "update cursors set position = 100000 where lane = 'progress'"),
        lambda said: "has come to 100000" in said.findings[0].what,
    ),
}


def differs(report: Report, table: str) -> bool:
    assert report.store is not None
    return {each.table for each in report.store.tables if not each.same} == {table}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_in_the_store_is_found_and_named(day: Path, name: str) -> None:
    meddling, seen = WRONG[name]
    meddling(day)
    report = await proved(day)
    assert not report.good
    assert seen(report), report


async def test_rows_that_differ_are_shown(day: Path) -> None:
    meddle(day, "update progress set percent = 99 where percent = 100 and org_id = 'highland'")
    report = await proved(day)
    assert report.store is not None
    (table,) = [each for each in report.store.tables if not each.same]
    assert (table.org_id, table.rows, table.rows_folded) == ("highland", 1, 1)
    assert (table.extra[0]["percent"], table.missing[0]["percent"]) == (99.0, 100.0)
    assert table.digest != table.digest_folded


async def test_without_folding_rows_are_left_out_and_marks_are_not(day: Path) -> None:
    meddle(day, "update progress set percent = 99 where percent = 100")
    assert (await proved(day, quick=True)).good
    meddle(day, "delete from marks where position = 5")
    assert not (await proved(day, quick=True)).good


async def test_a_journal_whose_beginning_is_gone_is_named(tmp_path: Path) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await a_full_day(portal)
        seal(portal.portal.journal)
        await send(portal, "ada", recorded())
        await portal.settle()
    (sealed,) = (tmp_path / "logs").glob("offline-sync-*.jsonl")
    sealed.unlink()
    report = await proved(tmp_path)
    assert not report.good
    assert "are not here" in report.findings[0].what
    assert report.store is not None
    assert report.store.stray_marks > 0


async def test_a_damaged_store_is_named_in_words(day: Path) -> None:
    text = bytearray((day / "store.sqlite3").read_bytes())
    text[4096:12_000] = b"x" * (12_000 - 4096)
    (day / "store.sqlite3").write_bytes(text)
    report = await proved(day)
    assert not report.good
    assert report.store is not None
    assert report.store.faults


async def test_a_store_that_is_gone_is_named(day: Path) -> None:
    (day / "store.sqlite3").unlink()
    report = await proved(day)
    assert not report.good
    assert report.store is not None
    assert "there is no store.sqlite3" in report.store.faults[0]


async def test_numbers_that_never_came_are_told_and_are_no_fault(tmp_path: Path) -> None:
    async with house(tmp_path, **NO_LIMITS) as portal:
        await send(portal, "ada", recorded(seq=1), recorded(seq=5), deviceId="tablet", generation=1)
        await portal.settle()
    report = await proved(tmp_path)
    assert report.good
    (gap,) = report.gaps
    assert (gap.device_id, gap.missing, gap.reported) == ("tablet", [(2, 4)], [])


async def test_a_folder_nobody_used_yet_is_good(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    assert (await proved(tmp_path)).good


async def test_a_copy_that_cannot_be_written_to_is_proven_as_well(day: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(day, copy, ignore=shutil.ignore_patterns("copy", "*.lock"))
    assert (await proved(copy)).good
