"""No page has a command that nobody types: what stands in a guide or a runbook is seen to work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.health.verdict import TABLE as DEGRADATIONS
from tests.runbooks.shell import ROOT, RUNBOOKS, commands, says

GUIDES = (ROOT / "LOCAL_DEV_RUNBOOK.md", ROOT / "RAILWAY_ENV_SETUP.md")
PAGES = (*sorted(RUNBOOKS.glob("*.md")), *GUIDES)

UNTYPED = {
    "make run": "sets the machine up, as the run of these tests did, and serves until it is stopped",
    "make test": "is this",
    "make check": "is run beside this",
    "make bench": "takes an hour, and says what it measured",
    "make docs": "is run beside this",
    "dmesg": "the kernel's words, which not everybody may read",
    "smartctl -a": "asks a real disk, and is named for whoever has one",
    "lsattr": "typed in full by disk-unwritable.md",
    "sudo -u holdfast -s": "there is one user where tests run",
    "holdfast backup": "typed in full by go-live.md",
    "holdfast backup --to": "typed in full by go-live.md",
    "holdfast replay --source deadLetters": "typed in full by poison-release.md",
}
"""Commands that stand in a sentence, and why no test types them as they stand."""

_PROGRAM = re.compile(
    r"(?:holdfast|make|systemctl|curl|jq|df|du|ls|lsattr|chattr|dmesg|smartctl|iostat|fuser|lsof|ss|mount|"
    r"umount|cp|mv|rm|cat|kill|sqlite3|sudo|journalctl|timedatectl|chronyc|python3?)(?: |$)"
)


def sources() -> str:
    """The tests of this folder."""
    return "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))


def in_sentences(page: Path) -> Iterator[str]:
    """Commands that stand in a page's sentences, outside its blocks."""
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from filter(_PROGRAM.match, re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_typed(page: Path) -> None:
    assert commands(page), "a page that helps has commands"
    # Who opens a page types all of it, or fails: see `Shell.reading`.
    assert re.search(rf'\.(?:type|reading)\(\s*"{page.name}"', sources()), "no test opens it"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_in_a_sentence_is_typed_elsewhere_or_excepted_with_a_reason(page: Path) -> None:
    typed = {command.text for each in PAGES for command in commands(each)}
    assert {each for each in in_sentences(page) if each not in typed} <= set(UNTYPED)


def test_no_exception_is_left_over() -> None:
    assert set(UNTYPED) == {each for page in PAGES for each in in_sentences(page)} & set(UNTYPED)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.parent == RUNBOOKS and page.name != "index.md"],
    ids=lambda page: page.name,
)
def test_a_runbook_has_symptoms_a_first_minute_and_an_end(page: Path) -> None:
    text = page.read_text()
    assert "\nHealth says `" in text or "\n## Symptoms\n" in text
    assert [each for each in re.findall(r"^## (.+)$", text, re.MULTILINE) if each != "Symptoms"] == [
        "What it means", "The first minute", "It is over when",
    ]  # fmt: skip


def test_each_degradation_is_seen_beside_its_page() -> None:
    for row in DEGRADATIONS:
        page = row.degradation.runbook.rpartition("/")[2]
        assert f'.reading("{page}", "{row.degradation.name}"' in sources(), page


def test_what_a_page_shows_is_compared_and_not_only_looked_for() -> None:
    out = "Ledger\n│ tidewater │ 8   │ 0 │\n1 segments, 9 events: good\n"
    assert says(("…", "1 segments, … events: good"), out)
    assert says(("Ledger", "│ tidewater │ 8 │ 0 │", "1 segments, 9 events: good"), out)
    assert not says(("1 segments, 9 events: good",), out), "lines that are not shown"
    assert not says(("…", "1 segments, … events: NOT good"), out)
    assert not says(("…", "│ tidewater │ 8 │ 1 │", "…"), out)
    assert not says((), out), "a command that says something must show it"
    assert says((), "")
