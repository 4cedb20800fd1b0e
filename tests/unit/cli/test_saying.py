"""What commands write where: the answer to standard output and nothing else, the log beside it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from holdfast.cli import say
from holdfast.cli.main import main
from tests.typed import holdfast, in_process
from tests.unit.web.portals import completed, house

LETTERS = "/api/admin/offline/deadletters"


@pytest.fixture
def parked(tmp_path: Path) -> Path:
    """A folder nobody serves, in which a dead letter waits: whoever opens it has something to log."""

    async def make() -> None:
        async with house(tmp_path / "data") as portal:
            await portal.person("ada").post("/api/client/progress/batch", {"events": [completed()]})
            await portal.settle()

    asyncio.run(make())
    return tmp_path / "data"


@pytest.mark.parametrize(
    "words",
    [
        ("token", "--org", "tidewater"),
        ("rebuild", "--org", "tidewater", "--dry-run"),
        ("deadletters", "list"),
        ("import-course", "COURSE", "--org", "tidewater"),
    ],
    ids=lambda words: words[0],
)
def test_standard_output_is_the_answer_alone_and_the_log_stands_beside_it(
    parked: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "course.yaml").write_text("title: Knots\nlessons:\n  - 01.md\n")
    (tmp_path / "course" / "01.md").write_text("# One\n\nOne.\n")
    here = [str(tmp_path / "course") if word == "COURSE" else word for word in words]
    said = holdfast(*here, "--data", str(parked), "--json")
    assert said.status == 0, said.err
    assert isinstance(said.json, dict)


def test_every_command_sends_the_log_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        CliRunner().invoke(main, ["token", "--help"])
        structlog.get_logger("a test").error("it broke", exc_info=ZeroDivisionError("by none"))
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr()
    assert said.out == ""
    assert "it broke" in said.err
    assert "by none" in said.err
    assert "locals" not in said.err
    assert len(said.err.splitlines()) < 10, "no page of every local there is"


DRY_RUN = (
    *("replay", "--org", "tidewater", "--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"),
    *("--dry-run", "--reason", "a trial", "--json"),
)


@contextmanager
def nobody_reads() -> Iterator[int]:
    """The end of a pipe to write to, whose reader has died."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


def test_a_log_that_nobody_reads_any_more_stops_no_work(parked: Path) -> None:
    command = [sys.executable, "-m", "holdfast", *DRY_RUN, "--data", str(parked)]
    with nobody_reads() as gone:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=gone, check=False, timeout=60)
    assert json.loads(done.stdout)["status"] == "done"


def test_an_answer_that_nobody_reads_any_more_ends_the_command(parked: Path) -> None:
    command = [sys.executable, "-m", "holdfast", *DRY_RUN, "--data", str(parked)]
    with nobody_reads() as gone:
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("deadletters", "show", "--json"),
        ("verify", "--jsn"),
        ("erase", "--org", "tidewater", "--json"),
        ("replay", "--max-events", "none", "--json"),
        ("token", "--data", "DATA", "list", "--json"),
    ],
    ids=" ".join,
)
def test_a_command_that_is_mistyped_ends_with_two_and_words_for_people(words: tuple[str, ...]) -> None:
    said = in_process(*words)
    assert (said.status, said.out) == (2, "")
    assert "Error: " in said.err


EVIDENCE = "[red]x[/red] [/b] :heart: \x1b[2Jgone \x9b1m"


def test_what_people_wrote_is_shown_as_they_wrote_it(capsys: pytest.CaptureFixture[str]) -> None:
    say.table("Letter [/i]", ["what", "[/u]"], [["note", EVIDENCE], ["none", None]])
    said = capsys.readouterr().out
    assert "[red]x[/red] [/b] :heart: \\x1b[2Jgone \\x9b1m" in said
    assert "Letter [/i]" in said
    assert "[/u]" in said


@pytest.mark.parametrize(
    "words",
    [
        ("deadletters", "show", "[/x]"),
        ("deadletters", "list", "--org", "[/b]"),
        ("replay", "--show", "[/x]"),
        ("token", "revoke", "[/x]"),
        ("export", "--org", "tidewater", "--user", "[/x]@y"),
        ("import-course", ".", "--org", "[/b]"),
        ("backup", "--to", "[/y]"),
        ("verify",),
    ],
    ids=" ".join,
)
def test_no_value_is_taken_for_a_mark_of_the_screens(
    parked: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    (parked.parent / "[").mkdir()
    (parked.parent / "[" / "y]").mkdir()
    monkeypatch.chdir(parked.parent)
    parked.rename("[red]")
    (parked.parent / "[" / "y]" / "one").touch()
    said = in_process(*words, "--data", "[red]")
    assert "Traceback" not in said.err
    for word in words:
        assert not word.startswith("[") or word in said.out + said.err
