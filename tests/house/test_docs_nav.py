from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def pages_in(nav: Any) -> Iterator[str]:  # noqa: ANN401  YAML: a page, a list, or a title with one of them
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from pages_in(part)


def test_the_navigation_lists_every_page_once_and_no_other() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    docs = ROOT / "docs"
    assert sorted(pages_in(nav)) == sorted(str(page.relative_to(docs)) for page in docs.rglob("*.md"))


def test_the_list_of_decisions_names_every_decision() -> None:
    index = (ROOT / "docs/adr/index.md").read_text()
    for record in (ROOT / "docs/adr").glob("0*.md"):
        title = record.read_text().splitlines()[0]
        assert title.startswith(f"# {record.name[:4]} "), record.name
        assert f"[{record.name[:4]}]({record.name}) | {title[7:]} |" in index, record.name
