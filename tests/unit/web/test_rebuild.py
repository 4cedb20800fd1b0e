"""An org's tables rebuilt from the journal: what was damaged is as it was, or nothing is touched."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.events import rebuild as rebuilding
from holdfast.learning.people import PersonChange, change_person
from holdfast.store import schema
from holdfast.store.port import Store, Tx
from holdfast.store.sqlite import SqliteStore
from tests.unit.cli.test_verify import NO_LIMITS, a_full_day, and_then, of, proved, send
from tests.unit.web.portals import Asker, House, house, problem
from tests.unit.web.test_replay import everything, rows

PATH = "/api/admin/offline/rebuild"
FOLDED = ("progress", "intervals", "answers", "assignments", "analytics_events", "activity", "devices")


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, **NO_LIMITS) as opened:
        await a_full_day(opened)
        yield opened


async def rebuilt(asker: Asker, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    answer = await asker.post(PATH, {"orgId": "tidewater", "reason": "rows were damaged"} | more)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def damaged(portal: House) -> None:
    def work(tx: Tx) -> None:
        tx.run(schema.progress.update().values(percent=1.0, completed=False))
        tx.run(schema.intervals.delete())
        tx.run(schema.analytics_events.delete())
        tx.run(schema.activity.update().values(count=1000))
        tx.run(schema.answers.delete())
        tx.run(schema.assignments.update().values(note="who wrote this?"))
        tx.run(schema.devices.update().values(seqs=[[1, 99]]))
        row = {"org_id": "tidewater", "user_id": "nobody", "course_id": "no", "lesson_id": "no"}
        more = {"percent": 1.0, "completed": False, "position_s": 0.0, "position_key": "", "last_at": ""}
        tx.run(schema.progress.insert().values(**row, **more))

    await portal.portal.store.run(None, work)


async def test_tables_that_are_right_are_left_alone(portal: House) -> None:
    before = await everything(portal)
    said = await rebuilt(portal.service())
    assert (said["same"], said["swapped"], said["refused"]) == (True, False, None)
    assert await everything(portal) == before


async def test_whatever_was_damaged_is_as_it_was_and_other_orgs_stay_as_they_are(
    portal: House, tmp_path: Path
) -> None:
    before = await everything(portal)
    await damaged(portal)
    between = await everything(portal)
    dry = await rebuilt(portal.service(), dryRun=True)
    assert (dry["same"], dry["swapped"]) == (False, False)
    assert await everything(portal) == between
    said = await rebuilt(portal.service())
    assert (said["same"], said["swapped"]) == (False, True)
    assert {each["table"] for each in said["tables"] if each["digest"] != each["digestFolded"]} == set(FOLDED)
    after = await everything(portal)
    for name, held in before.items():
        ours = [row for row in held if row[0] != "highland"]
        assert [row for row in after[name] if row[0] != "highland"] == ours, name
        theirs = [row for row in between[name] if row[0] == "highland"]
        assert [row for row in after[name] if row[0] == "highland"] == theirs, name
    # The applier goes on by itself, and numbers that it had remembered are read anew.
    await send(portal, "ada", of("one", seq=6), deviceId="tablet", generation=1)
    await portal.settle()
    (device,) = await rows(portal, schema.devices)
    assert device[4] == [[1, 6]]
    await rebuilt(portal.person("olu"), orgId="highland")
    assert (await proved(tmp_path)).good


@pytest.mark.parametrize("fails", [1, 2, 3, 4])
async def test_broken_off_in_the_middle_everything_is_as_it_was(
    portal: House, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    await damaged(portal)
    before = await everything(portal)
    calls = 0
    real = rebuilding._put

    def breaks(*args: Any) -> None:  # noqa: ANN401
        nonlocal calls
        calls += 1
        if calls == fails:
            raise MemoryError
        real(*args)

    monkeypatch.setattr(rebuilding, "_put", breaks)
    answer = await portal.service().post(PATH, {"orgId": "tidewater", "reason": "it will break off"})
    assert problem(answer) == (500, "internal")
    assert await everything(portal) == before


async def test_what_would_be_lost_is_not_rebuilt(portal: House) -> None:
    def lose(tx: Tx) -> None:
        tx.run(schema.marks.delete().where(schema.marks.c.org_id == "tidewater"))
        tx.run(schema.progress.update().values(percent=1.0))

    await portal.portal.store.run(None, lose)
    before = await everything(portal)
    said = await rebuilt(portal.service())
    assert (said["same"], said["swapped"]) == (False, False)
    assert "replay their time first" in said["refused"]
    assert await everything(portal) == before


async def test_an_admin_who_is_none_any_more_keeps_no_org_from_being_rebuilt(
    portal: House, tmp_path: Path
) -> None:
    def demote(tx: Tx) -> None:
        change_person(tx, "tidewater", "demo-ben", PersonChange(roles=["learner"]), actor="demo-olu")

    before = await rows(portal, schema.assignments)
    assert before, "what they assigned is there"
    await portal.portal.store.run(None, demote)
    await damaged(portal)
    said = await rebuilt(portal.service())
    assert (said["swapped"], said["refused"]) == (True, None)
    await rebuilt(portal.person("olu"), orgId="highland")
    assert await rows(portal, schema.assignments) == before
    report = await proved(tmp_path)
    assert report.good
    assert report.store is not None
    assert report.store.partial is None, "every row was judged"


async def test_answers_to_questions_that_are_gone_keep_an_org_from_being_rebuilt(portal: House) -> None:
    await and_then(portal)
    await portal.portal.store.run(None, lambda tx: tx.run(schema.progress.update().values(percent=1.0)))
    said = await rebuilt(portal.service())
    assert said["swapped"] is False
    assert "no longer there" in said["refused"]


async def test_an_org_that_is_not_there_is_not_found_and_nothing_is_noted(portal: House) -> None:
    body = {"orgId": "nope", "reason": "a trial"}
    for more in ({}, {"dryRun": True}):
        assert problem(await portal.person("olu").post(PATH, body | more)) == (404, "not_found")
    assert [row for row in await rows(portal, schema.audit) if row[4] == "org.rebuilt"] == []


async def test_only_ones_own_org_and_only_who_may(portal: House) -> None:
    body = {"orgId": "tidewater", "reason": "a trial"}
    assert problem(await portal.service("highland").post(PATH, body)) == (403, "org_forbidden")
    assert problem(await portal.person("ben").post(PATH, body)) == (403, "forbidden")
    await rebuilt(portal.person("olu"))
    notes = [row for row in await rows(portal, schema.audit) if row[4] == "org.rebuilt"]
    assert [(row[2], row[3]) for row in notes] == [("tidewater", "demo-olu")]


# No room to fold in


async def refused(portal: House) -> dict[str, Any]:
    """What a rebuild is refused with; nothing is changed by it, and the store is well."""
    before = await everything(portal)
    portal.portal.store.outcomes()
    answer = await portal.service().post(PATH, {"orgId": "tidewater", "reason": "rows were damaged"})
    assert {each.reason for each in portal.portal.store.outcomes()} <= {None}
    assert await everything(portal) == before
    said: dict[str, Any] = answer.json()
    return said


async def test_where_no_folder_can_be_made_to_fold_in_that_is_said(
    portal: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await damaged(portal)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    said = await refused(portal)
    assert (said["status"], said["code"]) == (500, "setting_invalid")
    assert str(tmp_path / "nowhere") in said["detail"]
    assert "TMPDIR" in said["hint"]


async def test_where_the_disk_to_fold_on_is_full_that_is_said(
    portal: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await damaged(portal)

    def full(path: Path) -> Store:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(portal.portal, "file_store", full)
    said = await refused(portal)
    assert (said["status"], said["code"]) == (507, "disk_full")
    assert "No space left on device" in said["detail"]
    assert tempfile.gettempdir() in said["detail"]


async def test_where_the_disk_fills_while_it_is_folded_on_that_is_said_too(
    portal: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await damaged(portal)

    def filling(path: Path) -> Store:
        store = SqliteStore(path)
        with store.transaction(None) as tx:
            # It takes nothing more.
            tx._connection.exec_driver_sql("PRAGMA query_only=ON")  # type: ignore[attr-defined]
        return store

    monkeypatch.setattr(portal.portal, "file_store", filling)
    left = shutil.disk_usage(tempfile.gettempdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: left._replace(free=0))
    said = await refused(portal)
    assert (said["status"], said["code"]) == (507, "disk_full")
    assert tempfile.gettempdir() in said["detail"]
