"""What a command writes into a file: opened before anything is done, and an answer is never lost with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.typed import in_process as holdfast
from tests.unit.web.portals import house

ERASE = ("erase", "--org", "tidewater", "--user", "ada@tidewater.example", "--reason", "she asked for it")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    async def make() -> None:
        async with house(tmp_path / "data"):
            pass

    asyncio.run(make())
    return tmp_path / "data"


def receipts(data: Path) -> list[dict[str, object]]:
    said = holdfast("erase", "--receipts", "--org", "tidewater", "--data", str(data), "--json")
    assert said.status == 0, said.out
    items: list[dict[str, object]] = said.json["items"]
    return items


def test_nothing_is_erased_where_the_receipt_cannot_be_written(data: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nope" / "receipt.json"
    said = holdfast(*ERASE, "--receipt", str(nowhere), "--data", str(data), "--json")
    assert (said.status, said.json["error"]["code"]) == (1, "invalid")
    assert str(nowhere) in said.json["error"]["message"]
    assert receipts(data) == []


def test_a_receipt_is_written_shown_and_found_again(data: Path, tmp_path: Path) -> None:
    there = tmp_path / "receipt.json"
    there.write_text("an older one, and longer than it has to be" * 100)
    said = holdfast(*ERASE, "--receipt", str(there), "--data", str(data), "--json")
    assert said.status == 0, said.out
    assert json.loads(there.read_text()) == said.json
    assert receipts(data) == [said.json]
    shown = holdfast("erase", "--receipts", "--org", "tidewater", "--data", str(data))
    assert said.json["id"] in shown.out
    assert "she asked for it" in shown.out


def test_a_receipt_that_the_disk_refuses_is_shown_whole(data: Path) -> None:
    said = holdfast(*ERASE, "--receipt", "/dev/full", "--data", str(data))
    assert said.status == 1
    assert "/dev/full" in said.err
    assert json.loads(said.out) == receipts(data)[0]


def test_what_failed_leaves_no_empty_file_and_an_older_one_as_it_was(data: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("older")
    for path in (old, new):
        words = ("export", "--org", "tidewater", "--user", "nobody", "--out", str(path))
        assert holdfast(*words, "--data", str(data)).status == 1
    assert old.read_text() == "older"
    assert not new.exists()


def test_an_erasure_needs_a_person_and_a_reason(data: Path) -> None:
    said = holdfast("erase", "--org", "tidewater", "--data", str(data))
    assert said.status == 2
    assert "--user" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("export", "--org", "tidewater", "--user", "demo-ada", "--out"),
        ("verify", "--report"),
        ("backup", "--to"),
    ],
    ids=lambda words: words[0],
)
def test_a_path_that_cannot_be_written_is_named(data: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("no folder")
    nowhere = tmp_path / "file" / "out"
    said = holdfast(*words, str(nowhere), "--data", str(data))
    assert said.status == 1
    assert str(nowhere) in said.err
    assert said.out == ""
