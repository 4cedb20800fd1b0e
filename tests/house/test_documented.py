"""Everything there is stands in the reference, and what stands there is true."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import click
import pytest

from holdfast.cli.main import main as commands
from holdfast.core.errors import CODES
from holdfast.events import loss
from holdfast.health.verdict import TABLE as DEGRADATIONS
from holdfast.learning.catalog import kinds
from holdfast.learning.scrub import Scrubber
from holdfast.settings import SETTINGS
from holdfast.web.table import CALLS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@cache
def headings(page: str) -> set[str]:
    """The second-level headings of a page, without their code marks."""
    found = re.findall(r"^## (.+)$", (DOCS / page).read_text(), re.MULTILINE)
    return {each.replace("`", "") for each in found}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_that_are_listings_are_what_the_code_says(reference: ModuleType) -> None:
    assert reference.stale() == [], "run tools/reference.py"


def test_every_setting_is_documented() -> None:
    assert headings("reference/settings.md") == {each.variable for each in SETTINGS}


def test_every_kind_is_documented() -> None:
    catalog = (*kinds(Scrubber(b"for the test only")), loss.KIND)
    assert headings("reference/kinds.md") == {f"{kind.name} v{kind.version}" for kind in catalog}


def test_every_route_is_documented() -> None:
    routes = {f"{call.method} {call.path}" for call in CALLS} | {"GET /api/openapi.json"}
    assert headings("reference/routes.md") == routes


def test_every_error_code_is_documented() -> None:
    assert headings("reference/errors.md") == set(CODES)


def command_paths(command: click.Command, path: str) -> set[str]:
    if not isinstance(command, click.Group):
        return {path}
    context = click.Context(command)
    inner = {name: command.get_command(context, name) for name in command.list_commands(context)}
    own = {path} if command.invoke_without_command else set()
    return own | {
        found for name, each in inner.items() if each for found in command_paths(each, f"{path} {name}")
    }


def test_every_command_is_documented() -> None:
    assert headings("reference/commands.md") == command_paths(commands, "holdfast")


def test_every_degradation_is_documented_and_has_its_runbook() -> None:
    assert headings("reference/health.md") == {row.degradation.name for row in DEGRADATIONS}
    for row in DEGRADATIONS:
        its = row.degradation
        assert (ROOT / its.runbook).is_file(), its.runbook
        text = (ROOT / its.runbook).read_text()
        assert f"`{its.name}`" in text
        for part in ("## What it means", "## The first minute", "## It is over when"):
            assert part in text, (its.runbook, part)


def test_no_runbook_is_an_orphan() -> None:
    pages = {f"docs/runbooks/{page.name}" for page in (DOCS / "runbooks").glob("*.md")}
    index = (DOCS / "runbooks/index.md").read_text()
    named = {f"docs/runbooks/{name}" for name in re.findall(r"\]\(([a-z-]+\.md)\)", index)}
    assert pages == named | {"docs/runbooks/index.md"}
    assert {row.degradation.runbook for row in DEGRADATIONS} <= named


def test_the_commands_that_pages_name_are_there() -> None:
    known = command_paths(commands, "holdfast")
    for page in PAGES:
        for line in page.read_text().splitlines():
            for words in re.findall(
                r"(?:\$ |`|\(|\$\()holdfast ([a-z-]+(?: (?:demo|list|show|redrive|discard))?)", line
            ):
                assert f"holdfast {words}" in known or any(
                    each.startswith(f"holdfast {words} ") for each in known
                ), (page.name, words)


def test_the_settings_and_metrics_that_pages_name_are_there() -> None:
    settings = {each.variable for each in SETTINGS} | {"HOLDFAST_TOKEN"}
    metrics = (DOCS / "reference/metrics.md").read_text()
    for page in PAGES:
        text = page.read_text()
        assert set(re.findall(r"HOLDFAST_[A-Z_]+", text)) <= settings, page.name
        for metric in re.findall(r"\bholdfast_[a-z0-9_]+", text):
            assert metric in metrics or metric == "holdfast_session", (page.name, metric)


PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text())  # what stands in code is no link
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
