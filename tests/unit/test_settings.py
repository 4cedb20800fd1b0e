"""Settings: read once, checked at once, and every mistake names its variable and the mend."""

from dataclasses import fields
from pathlib import Path

import pytest

from holdfast.core.errors import Misconfigured
from holdfast.settings import SETTINGS, Settings, load

KEY = "k" * 32


def test_with_nothing_set_it_is_a_demonstration_that_needs_nothing() -> None:
    settings = load({})
    assert settings.demo
    assert settings.env == "development"
    assert settings.folder == Path("var/development")


def test_every_field_has_exactly_one_variable_and_every_variable_one_help() -> None:
    assert sorted(each.field for each in SETTINGS) == sorted(field.name for field in fields(Settings))
    assert len({each.variable for each in SETTINGS}) == len(SETTINGS)
    assert all(each.help.endswith(".") for each in SETTINGS)


@pytest.mark.parametrize(
    "variable, text, field, value",
    [
        ("DEV_FALLBACK", "ON", "dev_fallback", True),
        ("FORCE_ORG_ENFORCEMENT", "no", "force_org_enforcement", False),
        ("FORCE_ORG_ENFORCEMENT", "0", "force_org_enforcement", False),
        ("HOLDFAST_SECURE_COOKIES", " true ", "secure_cookies", True),
        ("HOLDFAST_WINDOW_IDS", "10", "window_ids", 10),
        ("HOLDFAST_BODY_TIMEOUT_S", "0.5", "body_timeout_s", 0.5),
        ("HOLDFAST_LOG_FORMAT", "JSON", "log_format", "json"),
        ("HOLDFAST_DATA_DIR", "/data", "data_dir", Path("/data")),
        ("HOLDFAST_CLIENT_DIR", "/page", "client_dir", Path("/page")),
        ("ENABLE_NEW_SW", "0", "new_sw_percent", 0),
        ("ENABLE_NEW_SW", "100", "new_sw_percent", 100),
        ("HOLDFAST_REPLAY_WINDOW_DAYS", "90", "replay_window_days", 90),
    ],
)
def test_text_becomes_a_value_of_the_fields_type(variable: str, text: str, field: str, value: object) -> None:
    assert getattr(load({variable: text}), field) == value


@pytest.mark.parametrize(
    "variable, text",
    [
        ("DEV_FALLBACK", "maybe"),
        ("HOLDFAST_ENV", "staging"),
        ("HOLDFAST_LOG_FORMAT", "xml"),
        ("HOLDFAST_WINDOW_IDS", "many"),
        ("HOLDFAST_WINDOW_IDS", "1.5"),
        ("HOLDFAST_WINDOW_IDS", "0"),
        ("HOLDFAST_BODY_TIMEOUT_S", "-1"),
        ("HOLDFAST_BODY_TIMEOUT_S", "nan"),
        ("HOLDFAST_BODY_TIMEOUT_S", "inf"),
        ("HOLDFAST_SECRET_KEY", "too short"),
        ("ENABLE_NEW_SW", "101"),
        ("HOLDFAST_REPLAY_WINDOW_DAYS", "0"),
        ("ENABLE_NEW_SW", "-1"),
        ("ENABLE_NEW_SW", "12.5"),
        ("ENABLE_NEW_SW", "on"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(variable: str, text: str) -> None:
    with pytest.raises(Misconfigured, match=variable) as raised:
        load({variable: text})
    assert raised.value.hint


def test_a_secret_never_stands_in_a_message() -> None:
    with pytest.raises(Misconfigured) as raised:
        load({"HOLDFAST_SECRET_KEY": "not-to-be-told"})
    assert "not-to-be-told" not in str(raised.value) + raised.value.hint


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert load({"HOLDFAST_ENV": "", "HOLDFAST_WINDOW_IDS": "  "}) == load({})


@pytest.mark.parametrize(
    "environ, missing",
    [
        ({"HOLDFAST_ENV": "production"}, "HOLDFAST_DATA_DIR"),
        ({"DEV_FALLBACK": "off"}, "HOLDFAST_DATA_DIR"),
        ({"HOLDFAST_ENV": "production", "HOLDFAST_DATA_DIR": "/d"}, "HOLDFAST_SECRET_KEY"),
        ({"DEV_FALLBACK": "off", "HOLDFAST_SECRET_KEY": KEY}, "HOLDFAST_DATA_DIR"),
    ],
)
def test_without_dev_fallback_what_is_missing_is_an_error_at_start(
    environ: dict[str, str], missing: str
) -> None:
    with pytest.raises(Misconfigured, match=missing) as raised:
        load(environ)
    assert raised.value.code == "setting_missing"


def test_production_turns_dev_fallback_off_even_where_it_is_asked_for() -> None:
    environ = {"HOLDFAST_ENV": "production", "DEV_FALLBACK": "on"}
    with pytest.raises(Misconfigured, match="HOLDFAST_DATA_DIR"):
        load(environ)
    settings = load({**environ, "HOLDFAST_DATA_DIR": "/d", "HOLDFAST_SECRET_KEY": KEY})
    assert not settings.demo


def test_the_command_lines_folder_goes_before_the_environments() -> None:
    assert load({"HOLDFAST_DATA_DIR": "/a"}, data_dir=Path("/b")).data_dir == Path("/b")


def test_disk_marks_out_of_order_are_refused() -> None:
    with pytest.raises(Misconfigured, match="out of order") as raised:
        load({"HOLDFAST_DISK_SOFT_BYTES": "10", "HOLDFAST_DISK_HIGH_BYTES": "20"})
    assert "HOLDFAST_DISK_HIGH_BYTES" in raised.value.hint


@pytest.mark.parametrize(
    "environ, percent",
    [
        ({}, 100),
        ({"ENABLE_NEW_SW": "20"}, 20),
        ({"DEV_FALLBACK": "off", "HOLDFAST_DATA_DIR": "/d", "HOLDFAST_SECRET_KEY": KEY}, 0),
        ({"HOLDFAST_ENV": "production", "HOLDFAST_DATA_DIR": "/d", "HOLDFAST_SECRET_KEY": KEY}, 0),
    ],
)
def test_a_demonstration_tries_the_new_worker_and_a_real_portal_waits_to_be_told(
    environ: dict[str, str], percent: int
) -> None:
    assert load(environ).flag_percents == {"ENABLE_NEW_SW": percent}
