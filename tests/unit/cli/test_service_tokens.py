"""A service does for its school what its calls allow, from the command line as over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Served, served
from tests.typed import Said
from tests.typed import in_process as holdfast

WINDOW = ("--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z", "--reason", "a trial")
MAIL = "fay@far-point.example"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("running")) as running:
        yield running


@pytest.fixture(scope="module")
def school(portal: Served) -> str:
    """The id of a school whose slug is another: far-point."""
    with portal.client("olu") as olu:
        made = olu.post("/api/admin/orgs", json={"slug": "far-point", "name": "Far Point"})
        assert made.status_code == 201, made.text
        org: str = made.json()["id"]
    assert org != "far-point"
    with portal.service(org) as service:
        person = {"email": MAIL, "name": "Fay"}
        assert service.post("/api/admin/users", json=person).status_code == 201
    return org


@pytest.fixture
def token(portal: Served, school: str) -> str:
    said = holdfast("token", "--org", "far-point", "--data", str(portal.data))
    assert said.status == 0, school
    return said.out.strip()


def asked(portal: Served, token: str, *words: str, org: str = "far-point") -> Said:
    return holdfast(*words, "--org", org, "--url", portal.url, "--token", token, "--json")


COMMANDS = (
    ("deadletters", "list"),
    ("rebuild", "--dry-run"),
    ("replay", "--dry-run", *WINDOW),
    ("replay", "--dry-run", "--user", MAIL, *WINDOW),
    ("export", "--user", MAIL),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_service_names_its_school_by_its_slug(portal: Served, token: str, words: tuple[str, ...]) -> None:
    said = asked(portal, token, *words)
    assert said.status == 0, said.out


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_another_school_is_refused_by_name(portal: Served, token: str, words: tuple[str, ...]) -> None:
    for other in ("tidewater", "nowhere"):
        said = asked(portal, token, *words, org=other)
        assert (said.status, said.json["error"]["code"]) == (1, "org_forbidden")


def test_every_org_of_a_service_is_its_own(portal: Served, token: str, school: str) -> None:
    said = holdfast(
        "replay", "--all-orgs", "--dry-run", *WINDOW, "--url", portal.url, "--token", token, "--json"
    )
    assert (said.status, said.json["orgId"]) == (0, school)


def test_a_service_imports_a_course_and_erases_a_person(portal: Served, token: str, tmp_path: Path) -> None:
    (tmp_path / "knots").mkdir()
    (tmp_path / "knots" / "01.md").write_text("# Bowline\n\nThe rabbit.\n")
    assert asked(portal, token, "import-course", str(tmp_path / "knots")).json["lessons"] == 1
    erased = asked(portal, token, "erase", "--user", MAIL, "--reason", "she asked for it")
    assert erased.status == 0, erased.out
    assert asked(portal, token, "erase", "--receipts").json["items"] == [erased.json]
