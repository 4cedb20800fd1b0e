"""Real input: a course as its authors keep it, and real learners' clicks, through the portal's own door."""

import csv
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.served import Served, served, until

CLICKS = 61_980


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("real")) as portal:
        yield portal


def holdfast(*words: str) -> Any:  # noqa: ANN401
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", *words, "--json"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode() or done.stdout.decode()
    return json.loads(done.stdout)


def test_a_real_course_imports_whole_from_the_command_line(school: Served, shared_data: Path) -> None:
    course = str(shared_data / "courses" / "git-novice")
    report = holdfast("import-course", course, "--org", "tidewater", "--data", str(school.data))
    assert (report["lessons"], report["replaced"]) == (14, False)
    assert {link["file"] for link in report["dangling"]} >= {"episodes/07-github.md"}
    again = holdfast("import-course", course, "--org", "tidewater", "--data", str(school.data))
    assert again["courseId"] == report["courseId"]


@pytest.mark.timeout(300)
def test_every_real_click_is_applied_once_however_often_it_is_loaded(
    school: Served, shared_data: Path
) -> None:
    oulad = str(shared_data / "oulad")
    first = holdfast("load-oulad", oulad, "--url", school.url)
    assert first["receipts"] == {"accepted": CLICKS}
    row = {key: first["ledger"][key] for key in ("accepted", "applied", "duplicate", "dead", "pending")}
    assert row == {"accepted": CLICKS, "applied": CLICKS, "duplicate": 0, "dead": 0, "pending": 0}
    assert (first["learners"], first["lessons"]) == (383, 211)
    again = holdfast("load-oulad", oulad, "--url", school.url)
    assert again["receipts"] == {"duplicate": CLICKS}
    assert again["ledger"] == first["ledger"]
    assert holdfast("verify", "--data", str(school.data))["good"] is True


# Two days of it, applied again

DAY = {"from": "2013-10-01T00:00:00+00:00", "to": "2013-10-03T00:00:00+00:00", "by": "occurred"}
"""The first two days of the course, as the data count them."""


def clicks_of_the_days(folder: Path, learner: str | None = None) -> int:
    with (folder / "studentVle.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if 0 <= int(row["date"]) < 2]
    return sum(int(row["sum_click"]) for row in rows if learner in (None, row["id_student"]))


def replayed(school: Served, *words: str) -> Any:  # noqa: ANN401
    edges = [word for name, value in DAY.items() for word in (f"--{name}", value)]
    return holdfast("replay", *edges, *words, "--reason", "two days again", "--data", str(school.data))


def analytics(school: Served) -> list[Any]:
    with sqlite3.connect(f"file:{school.data}/store.sqlite3?mode=ro", uri=True) as store:
        counts = store.execute("select * from activity order by org_id, course_id, lesson_id, day, user_id")
        return [*counts, store.execute("select count(*) from analytics_events").fetchone()]


@pytest.mark.timeout(300)
def test_days_of_real_clicks_are_replayed_for_one_learner_one_org_and_all_as_the_dry_run_said(
    school: Served, shared_data: Path
) -> None:
    oulad = shared_data / "oulad"
    org = holdfast("load-oulad", str(oulad), "--url", school.url)["orgId"]
    with (oulad / "studentVle.csv").open(newline="") as file:
        learner = next(row["id_student"] for row in csv.DictReader(file) if row["date"] == "1")
    clicks, hers = clicks_of_the_days(oulad), clicks_of_the_days(oulad, learner)
    assert 0 < hers < clicks < CLICKS
    before = analytics(school)
    one = ("--org", "oulad", "--user", f"learner-{learner}@oulad.example")
    for words, number in ((one, hers), (("--org", "oulad"), clicks)):
        said = [replayed(school, *words, *more) for more in (("--dry-run",), (), ())]
        assert [each["status"] for each in said] == ["done"] * 3
        assert said[0]["counts"] == said[1]["counts"] == said[2]["counts"]
        counts = said[1]["counts"]
        assert (counts["matched"], counts["already"], counts["rowsChanged"]) == (number, number, 0)
    every = replayed(school, "--all-orgs")
    assert {each["orgId"]: each["counts"]["matched"] for each in every}[org] == clicks
    assert sum(each["counts"]["matched"] for each in every) == clicks
    assert analytics(school) == before
    assert holdfast("verify", "--data", str(school.data))["good"] is True


@pytest.mark.timeout(300)
def test_days_whose_traces_were_lost_come_back_once_though_the_replay_is_killed_in_the_middle(
    school: Served, shared_data: Path
) -> None:
    oulad = shared_data / "oulad"
    org = holdfast("load-oulad", str(oulad), "--url", school.url)["orgId"]
    before, clicks = analytics(school), clicks_of_the_days(oulad)
    school.stop()
    with sqlite3.connect(school.data / "store.sqlite3") as store:
        # As if that part of the store had been put back from before it happened.
        edges = ("2013-10-01T00:00:00.000Z", "2013-10-03T00:00:00.000Z")
        store.execute(
            "delete from marks where org_id = ? and event_id in "
            "(select event_id from analytics_events where occurred_at >= ? and occurred_at < ?)",
            (org, *edges),
        )
        store.execute("delete from analytics_events where occurred_at >= ? and occurred_at < ?", edges)
        store.execute("delete from activity where day >= '2013-10-01' and day < '2013-10-03'")
    school.start()
    dry = replayed(school, "--org", "oulad", "--dry-run")
    assert (dry["counts"]["matched"], dry["counts"]["applied"]) == (clicks, clicks)
    asked = replayed(school, "--org", "oulad", "--rate", "1500", "--no-wait", "--id", "the-days")
    assert asked["status"] in {"queued", "running"}
    until(lambda: replay_of(school, "the-days")["progress"] > 0, 60)
    school.kill()
    school.start()
    done = until(lambda: (found := replay_of(school, "the-days"))["status"] == "done" and found, 120)
    assert done["counts"] | {"rowsAdded": 0, "rowsChanged": 0} == dry["counts"] | {
        "rowsAdded": 0,
        "rowsChanged": 0,
    }
    assert sum(done["counts"][name] for name in ("matched", "applied")) == 2 * clicks
    after = analytics(school)
    assert [row[:-1] for row in after[:-1]] == [row[:-1] for row in before[:-1]], (
        "all but the time of receipt"
    )
    assert after[-1] == before[-1]
    assert holdfast("verify", "--data", str(school.data))["good"] is True


def replay_of(school: Served, job_id: str) -> Any:  # noqa: ANN401
    return holdfast("replay", "--show", job_id, "--data", str(school.data))
