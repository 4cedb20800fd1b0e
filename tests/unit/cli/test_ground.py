"""A command stands on the portal that is meant, or says what is missing and leaves everything as it was."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.cli import examine
from holdfast.settings import Settings, load
from tests.served import Served, served
from tests.typed import in_process as holdfast

SECRET = "s" * 40
IN_EARNEST = {"HOLDFAST_ENV": "production", "HOLDFAST_SECRET_KEY": SECRET}
WINDOW = ("--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z", "--reason", "a trial")
COMMANDS = (
    ("deadletters", "list"),
    ("replay", "--all-orgs", "--dry-run", *WINDOW),
    ("rebuild", "--org", "tidewater", "--dry-run"),
    ("export", "--org", "tidewater", "--user", "somebody"),
    ("erase", "--org", "tidewater", "--user", "somebody", "--reason", "a trial"),
    ("token", "--org", "tidewater"),
    ("token", "--role", "operator"),
    ("token", "list"),
    ("import-course", ".", "--org", "tidewater"),
)


def lies(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


@pytest.fixture(scope="module")
def in_earnest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A portal as the guide has it: its key is in the unit's environment, and in no shell."""
    with served(tmp_path_factory.mktemp("earnest"), IN_EARNEST) as running:
        yield running


@pytest.fixture(scope="module")
def stopped(in_earnest: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folder, as a portal leaves it that was stopped."""
    copy = tmp_path_factory.mktemp("stopped") / "data"
    shutil.copytree(in_earnest.data, copy, ignore=shutil.ignore_patterns("portal.json"))
    return copy


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("where", ["beside it", "without it"])
def test_without_the_portals_settings_a_command_names_them_and_makes_up_nothing(
    in_earnest: Served, stopped: Path, where: str, words: tuple[str, ...]
) -> None:
    data = in_earnest.data if where == "beside it" else stopped
    before = lies(data)
    said = holdfast(*words, "--data", str(data), "--json")
    assert (said.status, said.json["error"]["code"]) == (1, "setting_missing")
    assert ". /etc/holdfast/secret" in said.json["error"]["hint"]
    assert lies(data) == before
    assert not (data / "secret.key").exists()


@pytest.mark.parametrize("words", [COMMANDS[0], ("token", "list")], ids=" ".join)
def test_with_the_portals_settings_it_works(in_earnest: Served, words: tuple[str, ...]) -> None:
    said = holdfast(*words, "--data", str(in_earnest.data), "--json", environ=IN_EARNEST)
    assert said.status == 0, said.out


def test_by_another_key_nothing_is_signed_and_it_is_named(in_earnest: Served) -> None:
    other = {**IN_EARNEST, "HOLDFAST_SECRET_KEY": "t" * 40}
    said = holdfast("token", "--role", "operator", "--data", str(in_earnest.data), "--json", environ=other)
    assert (said.status, said.json["error"]["code"]) == (1, "setting_invalid")
    assert "HOLDFAST_SECRET_KEY is not the key" in said.json["error"]["message"]


@pytest.mark.parametrize("words", [("seed", "demo"), ("serve", "--port", "0")], ids=" ".join)
def test_no_demonstration_begins_in_a_real_portals_folder(stopped: Path, words: tuple[str, ...]) -> None:
    before = lies(stopped)
    said = holdfast(*words, "--data", str(stopped), "--json")
    assert (said.status, said.json["error"]["code"]) == (1, "setting_missing")
    assert lies(stopped) == before


@pytest.mark.parametrize("words", [*COMMANDS, ("verify",)], ids=" ".join)
def test_a_folder_without_a_portal_is_named_and_stays_without_one(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    for data in (tmp_path / "typo", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        said = holdfast(*words, "--data", str(data), "--json")
        assert (said.status, said.json["error"]["code"]) == (1, "not_found")
        assert str(data) in said.json["error"]["message"]
    assert [each.name for each in tmp_path.iterdir()] == ["empty"]
    assert lies(tmp_path) == set()


def test_a_key_may_be_changed_where_the_portal_is_started_anew(tmp_path: Path) -> None:
    def of(environ: dict[str, str]) -> int:
        where = ("--data", str(tmp_path / "data"), "--json")
        return holdfast("token", "--role", "operator", *where, environ=environ).status

    new = {**IN_EARNEST, "HOLDFAST_SECRET_KEY": "n" * 40}
    with served(tmp_path, IN_EARNEST) as portal:
        assert (of(IN_EARNEST), of(new)) == (0, 1)
        portal.stop()
        portal.environ = new
        portal.start()
        assert (of(IN_EARNEST), of(new)) == (1, 0)


def looked(settings: Settings) -> dict[str, examine.Look]:
    found: dict[str, examine.Look] = {}
    for each in examine.examine(settings, 0):
        if each.what not in found or each.verdict == "mend":
            found[each.what] = each
    return found


def test_doctor_finds_that_the_settings_are_not_the_portals(stopped: Path) -> None:
    found = looked(load({}, data_dir=stopped))
    assert (found["mode"].verdict, found["keys"].verdict) == ("mend", "mend")
    assert ". /etc/holdfast/secret" in found["mode"].mend
    assert "no key" in found["keys"].found
    other = looked(load({**IN_EARNEST, "HOLDFAST_SECRET_KEY": "t" * 40}, data_dir=stopped))
    assert (other["mode"].verdict, other["keys"].verdict) == ("good", "mend")
    good = looked(load(IN_EARNEST, data_dir=stopped))
    assert (good["mode"].verdict, good["keys"].verdict) == ("good", "good")


def test_doctor_finds_a_key_that_was_made_up_beside_the_real_one(stopped: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stopped, copy)
    (copy / "secret.key").write_text("x" * 64)
    (copy / "secret.key").chmod(0o600)
    assert looked(load({}, data_dir=copy))["keys"].verdict == "mend"
    found = looked(load(IN_EARNEST, data_dir=copy))
    assert (found["keys"].verdict, found["stray key"].verdict) == ("good", "look")
