"""The guides for running it name every setting there is, and none that is not."""

import re
from pathlib import Path

import pytest

from holdfast.settings import SETTINGS, load

ROOT = Path(__file__).parents[2]
GUIDES = ("LOCAL_DEV_RUNBOOK.md", "RAILWAY_ENV_SETUP.md")
_ROW = re.compile(r"^\| `([A-Z_]+)` \| (.+) \|$", re.MULTILINE)


@pytest.mark.parametrize("name", GUIDES)
def test_a_guide_names_every_setting_once_and_no_other(name: str) -> None:
    named = [variable for variable, _ in _ROW.findall((ROOT / name).read_text())]
    assert sorted(named) == sorted(each.variable for each in SETTINGS)


@pytest.mark.parametrize("name", GUIDES)
def test_what_a_guide_says_to_set_is_a_value_the_portal_takes(name: str, tmp_path: Path) -> None:
    rows = _ROW.findall((ROOT / name).read_text())
    said = {variable: text.strip("`") for variable, text in rows if re.fullmatch(r"`[^`]+`", text)}
    said["HOLDFAST_SECRET_KEY"] = "s" * 48
    settings = load({**said, "HOLDFAST_DATA_DIR": str(tmp_path)})
    assert settings.folder == tmp_path


@pytest.mark.parametrize("name", GUIDES)
def test_every_link_of_a_guide_leads_somewhere(name: str) -> None:
    text = re.sub(r"`[^`\n]*`", "", (ROOT / name).read_text())
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert "://" in target or (ROOT / target).exists(), target


def test_the_settings_of_the_unit_start_a_portal_without_its_demonstration(tmp_path: Path) -> None:
    unit = (ROOT / "RAILWAY_ENV_SETUP.md").read_text()
    environ = dict(re.findall(r"^Environment=([A-Z_]+)=(\S+)$", unit, re.MULTILINE))
    assert len(environ) >= 4
    settings = load({**environ, "HOLDFAST_SECRET_KEY": "s" * 48, "HOLDFAST_DATA_DIR": str(tmp_path)})
    assert not settings.demo
    assert settings.secure_cookies
