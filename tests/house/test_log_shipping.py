"""`deploy/vector.yaml` fits the journal as it is: its files, their first lines, the names in a line.

Vector itself is not run here: no package of it is to be had where tests run, and the file says so.
"""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from holdfast.events.kind import ENTRY_BYTES
from holdfast.journal import segment
from holdfast.journal.file import FileJournal
from holdfast.web.routes.assignments import LIMIT_BYTES
from tests.faults.disks import QuickDisk
from tests.records import event, put, seal

ROOT = Path(__file__).parents[2]
LATER = "2999-01-01T00:00:00.000Z"


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "vector.yaml").read_text())
    return found


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A journal with an archived segment, a sealed one, and one that is written to."""
    journal = FileJournal(tmp_path / "logs", disk=QuickDisk())
    for number in range(3):
        await put(journal, [event(number, body={"note": "é"})])
        if number < 2:
            seal(journal)
        if number == 0:
            journal.archive(LATER, 1)
    journal.close()
    return tmp_path


def segments(data: Path) -> list[Path]:
    return sorted((data / "logs").rglob("*.jsonl"))


async def test_its_patterns_name_every_segment_and_nothing_else(config: dict[str, Any], data: Path) -> None:
    patterns = [
        each.replace("${HOLDFAST_DATA_DIR}", str(data)) for each in config["sources"]["journal"]["include"]
    ]
    files = [path for path in (data / "logs").rglob("*") if path.is_file()]
    named = [path for path in files if any(fnmatch(str(path), pattern) for pattern in patterns)]
    assert sorted(named) == segments(data)
    assert len(named) == 3 < len(files), "there is an index, a note and a lock beside them"


async def test_a_segment_is_known_by_its_first_line_and_every_line_is_short_enough(
    config: dict[str, Any], data: Path
) -> None:
    source = config["sources"]["journal"]
    assert source["fingerprint"] == {"strategy": "checksum", "ignored_header_bytes": 0, "lines": 1}
    firsts = {path.read_bytes().split(b"\n")[0] for path in segments(data)}
    assert len(firsts) == 3
    # An envelope is a little more than its body.
    assert source["max_line_bytes"] > max(ENTRY_BYTES, LIMIT_BYTES) + 4096 + segment.LINE_BYTES


async def test_the_names_in_its_program_are_those_of_lines(config: dict[str, Any], data: Path) -> None:
    program = config["transforms"]["events"]["source"]
    used = set(re.findall(r"\bline\.(\w+)", program))
    lines = [msgspec.json.decode(line) for path in segments(data) for line in path.read_bytes().splitlines()]
    events = [line for line in lines if "e" in line]
    others = [line for line in lines if "e" not in line]
    assert len(events) == 3
    assert {"p", "t", "e"} == {name for name in used if all(name in line for line in events)}
    # Headers and commits are left out by name, so a line that is neither is never left out silently.
    assert used - {"p", "t", "e"} == {"commit", "segment"}
    assert all(("commit" in line) != ("segment" in line) for line in others)


def test_its_parts_are_joined_and_what_was_not_taken_is_read_again(config: dict[str, Any]) -> None:
    (sink,) = config["sinks"].values()
    assert config["transforms"]["events"]["inputs"] == list(config["sources"])
    assert sink["inputs"] == list(config["transforms"])
    assert sink["acknowledgements"] == {"enabled": True}
    assert sink["buffer"]["when_full"] == "block"
