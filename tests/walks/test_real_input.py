"""Real input: a course as its authors keep it, and real learners' clicks, through the portal's own door."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.served import Served, served

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
