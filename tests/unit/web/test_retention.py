"""Old segments in the archive: everything that reads the journal still does, and says so when it can't."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from holdfast.cli.copying import back_up, put_back
from holdfast.cli.examine import examine
from holdfast.core.clock import ManualClock
from holdfast.events.retention import DAY_S, Retention
from holdfast.journal import archive
from holdfast.settings import Settings
from tests.records import seal
from tests.unit.cli.test_verify import NO_LIMITS, a_full_day, proved, send
from tests.unit.web.portals import House, house, problem, recorded
from tests.unit.web.test_erasing import _refuse, files_that_name
from tests.unit.web.test_erasing import asked as asked_to_erase
from tests.unit.web.test_replay import everything, replayed, wanted

DAYS = 30
LEDGER = "/api/admin/offline/ledger"
REBUILD = {"orgId": "tidewater", "reason": "to see whether it can"}


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[House]:
    """A day's work in two sealed segments, and a little in the one that is written to."""
    async with house(tmp_path / "data", **NO_LIMITS) as opened:
        await a_full_day(opened)
        seal(opened.portal.journal)
        await send(opened, "ada", recorded(), recorded())
        await opened.settle()
        seal(opened.portal.journal)
        await send(opened, "ada", recorded())
        await opened.settle()
        yield opened


def retention(portal: House, days_on: int = DAYS + 1, days: int | None = DAYS) -> Retention:
    one = portal.portal
    clock = ManualClock(one.clock.now_s() + days_on * DAY_S)
    return Retention(one.journal, one.store, one.applier, clock=clock, days=days)


async def balanced(portal: House) -> bool:
    said = (await portal.person("olu").get(LEDGER)).json()
    return bool(said["balanced"]) and sum(row["accepted"] for row in said["items"]) > 20


async def test_only_what_is_older_than_the_window_goes_and_nothing_where_there_is_none(portal: House) -> None:
    assert await retention(portal, days=None).turn() == []
    assert await retention(portal, days_on=DAYS - 1).turn() == []
    assert len(await retention(portal).turn()) == 2
    assert await retention(portal).turn() == []


async def test_a_segment_stays_while_a_lane_has_not_come_past_it(portal: House) -> None:
    await send(portal, "ada", recorded())
    seal(portal.portal.journal)
    assert len(await retention(portal).turn()) == 2
    assert await retention(portal).turn() == []
    await portal.settle()
    assert len(await retention(portal).turn()) == 1


async def test_segments_stay_while_a_replay_or_an_erasure_is_open(
    portal: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await portal.service().post("/api/admin/offline/replay", wanted())
    assert await retention(portal).turn() == []
    await portal.portal.replayer.drain()
    with monkeypatch.context() as patched:
        patched.setattr(portal.portal.eraser, "_in_store", _refuse)
        assert (await asked_to_erase(portal)).status_code == 503
    assert await retention(portal).turn() == []


async def test_everything_that_reads_the_journal_reads_the_archive(portal: House, tmp_path: Path) -> None:
    export = "/api/admin/offline/export?orgId=tidewater&userId=demo-ada"
    before, given = await everything(portal), (await portal.service().get(export)).json()["events"]
    dry = await replayed(portal.service(), portal, dryRun=True)
    assert await retention(portal).turn()
    assert (await portal.service().get(export)).json()["events"] == given
    again = await replayed(portal.service(), portal, dryRun=True)
    assert (again["counts"], again["sample"]) == (dry["counts"], dry["sample"])
    rebuilt = (await portal.service().post("/api/admin/offline/rebuild", REBUILD)).json()
    assert rebuilt["same"], rebuilt
    assert await balanced(portal)
    after = await everything(portal)
    assert {name: after[name] for name in ("progress", "marks", "ledger")} == {
        name: before[name] for name in ("progress", "marks", "ledger")
    }
    made = back_up(Settings(data_dir=tmp_path / "data"), tmp_path / "copy")
    assert (made.away, len([each for each in made.files if f"/{archive.FOLDER}/" in each.name])) == ([], 2)
    put_back(tmp_path / "copy", tmp_path / "back")
    for folder in (tmp_path / "data", tmp_path / "back"):
        report = await proved(folder)
        assert report.good, report
        assert report.segments == 3


async def test_after_a_start_all_is_as_it_was(portal: House, tmp_path: Path) -> None:
    assert await retention(portal).turn()
    rows = (await portal.person("olu").get(LEDGER)).json()
    await _closed(portal)
    async with house(tmp_path / "data", **NO_LIMITS) as again:
        assert (await again.person("olu").get(LEDGER)).json() == rows
        await again.settle()
        assert (await again.person("olu").get(LEDGER)).json() == rows


async def _closed(portal: House) -> None:
    """As a stop does; the fixture's own end then finds nothing left to do."""
    portal.portal.journal.close()
    portal.portal.store.close()


async def test_a_person_is_erased_from_the_archive(portal: House, tmp_path: Path) -> None:
    assert len(await retention(portal).turn()) == 2
    answer = await asked_to_erase(portal)
    assert answer.json()["journalLines"] > 10
    await portal.settle()
    await _closed(portal)
    assert files_that_name(tmp_path / "data", b"demo-ada") == []
    assert (await proved(tmp_path / "data")).good


async def test_while_the_archive_is_away_work_goes_on_and_what_needs_it_says_so(
    portal: House, tmp_path: Path
) -> None:
    assert await retention(portal).turn()
    await _closed(portal)
    kept = tmp_path / "data" / "logs" / archive.FOLDER
    kept.rename(tmp_path / "unmounted")
    async with house(tmp_path / "data", **NO_LIMITS) as again:
        await send(again, "ada", recorded())
        await again.settle()
        assert await balanced(again)
        answer = await again.service().post("/api/admin/offline/rebuild", REBUILD)
        assert problem(answer) == (500, "archive_away")
        job = await replayed(again.service(), again)
        assert (job["status"], "are archived" in job["why"]) == ("failed", True)
        assert problem(await asked_to_erase(again)) == (500, "archive_away")
        assert [each for each in again.portal.store.outcomes() if each.reason] == [], "the store is well"
        made = back_up(Settings(data_dir=tmp_path / "data"), tmp_path / "copy")
        assert len(made.away) == 2
    report = await proved(tmp_path / "data")
    assert not report.good
    assert [each.what.startswith("positions") for each in report.findings] == [True, True]
    looks = {each.what: each for each in examine(Settings(data_dir=tmp_path / "data"), 0)}
    assert looks["archive"].verdict == "mend"
    (tmp_path / "unmounted").rename(kept)
    async with house(tmp_path / "data", **NO_LIMITS) as back:
        assert await balanced(back)
    looks = {each.what: each for each in examine(Settings(data_dir=tmp_path / "data"), 0)}
    assert looks["archive"].verdict == "good"
    assert (await proved(tmp_path / "data")).findings == []
