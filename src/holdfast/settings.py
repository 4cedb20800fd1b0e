"""Every setting once: name, unit in the name, type, default, help. The environment is read here only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from holdfast.core.errors import Misconfigured

SECRET_CHARS: Final = 32
_ON: Final = ("1", "on", "true", "yes")
_OFF: Final = ("0", "off", "false", "no")


class Setting(NamedTuple):
    """One setting: the variable, the field it fills, and what it is for."""

    variable: str
    field: str
    help: str


@dataclass(frozen=True)
class Settings:
    """A portal's settings, checked. Build one with `load`."""

    env: Literal["development", "production"] = "development"
    dev_fallback: bool = True
    data_dir: Path | None = None
    secret_key: str | None = None
    force_org_enforcement: bool = True
    secure_cookies: bool = False
    trusted_proxies: int = 0
    batches_per_s: float = 20.0
    batches_burst: float = 60.0
    segment_bytes: int = 64 << 20
    replay_window_days: int | None = None
    waiting_bytes: int = 64 << 20
    window_ids: int = 65_536
    disk_soft_bytes: int = 1 << 30
    disk_high_bytes: int = 256 << 20
    disk_hard_bytes: int = 64 << 20
    body_timeout_s: float = 30.0
    head_timeout_s: float = 15.0
    drain_timeout_s: float = 8.0
    new_sw_percent: int | None = None
    client_dir: Path | None = None
    probe_period_s: float = 2.0
    health_dwell_s: float = 5.0
    most_streams: int = 10_000
    user_streams: int = 20
    stream_age_s: float = 600.0
    pagerduty_key: str | None = None
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"
    alarm_urls: str | None = None
    portal_name: str = "holdfast"
    log_format: Literal["console", "json"] = "console"

    @property
    def demo(self) -> bool:
        """Whether this is a demonstration: demo accounts work, and everyone is told."""
        return self.dev_fallback

    @property
    def flag_percents(self) -> dict[str, int]:
        """Each feature flag and for what share of people it is on."""
        if self.new_sw_percent is not None:
            return {"ENABLE_NEW_SW": self.new_sw_percent}
        return {"ENABLE_NEW_SW": 100 if self.demo else 0}

    @property
    def folder(self) -> Path:
        """Where the embedded store and journal live."""
        if self.data_dir is None:
            raise Misconfigured("no data directory is set", code="setting_missing")
        return self.data_dir


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting("HOLDFAST_ENV", "env", "`development` or `production`. Production turns DEV_FALLBACK off."),
    Setting(
        "DEV_FALLBACK",
        "dev_fallback",
        "On: no settings are needed, demo data is seeded, demo accounts work; health and screen say so. "
        "Off: a missing store or key is an error at start.",
    ),
    Setting(
        "HOLDFAST_DATA_DIR",
        "data_dir",
        "The folder of the embedded store and journal. `--data` goes before it.",
    ),
    Setting(
        "HOLDFAST_SECRET_KEY",
        "secret_key",
        "At least 32 characters; sessions, CSRF, service tokens and the scrubbing salt derive from it. "
        "With DEV_FALLBACK on one is made and kept in the data directory.",
    ),
    Setting(
        "FORCE_ORG_ENFORCEMENT",
        "force_org_enforcement",
        "On: an event without a proven org is refused by name. "
        "Off: it gets its sender's only org and counts as a warning.",
    ),
    Setting(
        "HOLDFAST_SECURE_COOKIES", "secure_cookies", "On: cookies go over HTTPS only. Set it behind TLS."
    ),
    Setting(
        "HOLDFAST_TRUSTED_PROXIES",
        "trusted_proxies",
        "How many proxies stand before the portal, each adding to X-Forwarded-For: failed sign-ins are "
        "counted for the address that the outermost saw. With too large a number people choose their own.",
    ),
    Setting(
        "HOLDFAST_BATCHES_PER_S",
        "batches_per_s",
        "Requests with events a user may send per second, in the long run.",
    ),
    Setting("HOLDFAST_BATCHES_BURST", "batches_burst", "Requests with events a user may send at once."),
    Setting("HOLDFAST_SEGMENT_BYTES", "segment_bytes", "Size at which a journal segment is sealed."),
    Setting(
        "HOLDFAST_REPLAY_WINDOW_DAYS",
        "replay_window_days",
        "Days that sealed journal segments stay in `logs`; then they go to `logs/archive`, which may be "
        "another volume, and are read there. Not set: all stay where they are. None is ever deleted.",
    ),
    Setting(
        "HOLDFAST_WAITING_BYTES",
        "waiting_bytes",
        "Most bytes that may wait for the disk before senders hear `queue_full`.",
    ),
    Setting(
        "HOLDFAST_WINDOW_IDS",
        "window_ids",
        "Event ids remembered in memory to answer `duplicate` at once; about 250 bytes each.",
    ),
    Setting(
        "HOLDFAST_DISK_SOFT_BYTES", "disk_soft_bytes", "Free space below which analytics are asked to wait."
    ),
    Setting(
        "HOLDFAST_DISK_HIGH_BYTES",
        "disk_high_bytes",
        "Free space below which only progress and assignments are taken.",
    ),
    Setting(
        "HOLDFAST_DISK_HARD_BYTES",
        "disk_hard_bytes",
        "Free space below which nothing is taken; devices keep the data.",
    ),
    Setting("HOLDFAST_BODY_TIMEOUT_S", "body_timeout_s", "Seconds a request's body may take to arrive."),
    Setting("HOLDFAST_HEAD_TIMEOUT_S", "head_timeout_s", "Seconds a request's head may take to arrive."),
    Setting(
        "HOLDFAST_DRAIN_TIMEOUT_S",
        "drain_timeout_s",
        "Seconds that requests under way get when the portal stops.",
    ),
    Setting(
        "ENABLE_NEW_SW",
        "new_sw_percent",
        "Percentage of people, 0 to 100, whose browsers get the service worker that reads and sends offline; "
        "the others get the one that keeps static files only. Not set: 100 with DEV_FALLBACK, else 0.",
    ),
    Setting(
        "HOLDFAST_CLIENT_DIR",
        "client_dir",
        "The folder of a built page to serve instead of the one that comes with the portal.",
    ),
    Setting(
        "HOLDFAST_PROBE_PERIOD_S",
        "probe_period_s",
        "Seconds after which a part that nobody used is asked how it is; the disk every five times as long.",
    ),
    Setting(
        "HOLDFAST_HEALTH_DWELL_S",
        "health_dwell_s",
        "Seconds a part must have been better before health says so; doubles with each loss of the last "
        "ten minutes, up to five minutes.",
    ),
    Setting(
        "HOLDFAST_MOST_STREAMS",
        "most_streams",
        "Streams of health that may be open at once; whoever comes then is told to ask again later.",
    ),
    Setting("HOLDFAST_USER_STREAMS", "user_streams", "Of these, how many one signed-in user may have."),
    Setting(
        "HOLDFAST_STREAM_AGE_S",
        "stream_age_s",
        "Seconds after which a stream ends and the browser opens another, a fifth more or less.",
    ),
    Setting(
        "HOLDFAST_PAGERDUTY_KEY",
        "pagerduty_key",
        "The routing key of a PagerDuty service (Events API v2). Set: the portal raises its alarms itself. "
        "Leave it out where Alertmanager does.",
    ),
    Setting("HOLDFAST_PAGERDUTY_URL", "pagerduty_url", "Where PagerDuty takes events."),
    Setting(
        "HOLDFAST_ALARM_URLS",
        "alarm_urls",
        "Who else hears of alarms: addresses as Apprise reads them, with spaces between, such as "
        "`mailtos://user:password@example.org`.",
    ),
    Setting(
        "HOLDFAST_PORTAL_NAME", "portal_name", "What this portal is called in alarms; part of their keys."
    ),
    Setting("HOLDFAST_LOG_FORMAT", "log_format", "`console` for people, `json` for machines."),
)

_PATHS: Final = ("data_dir", "client_dir")
_RANGES: Final = {"new_sw_percent": (0, 100), "replay_window_days": (1, 36_500), "trusted_proxies": (0, 8)}
_CHOICES: Final = {"env": ("development", "production"), "log_format": ("console", "json")}


def load(environ: Mapping[str, str] | None = None, *, data_dir: Path | None = None) -> Settings:
    """The settings out of an environment. Raises Misconfigured naming the variable and the mend.

    `data_dir` stands before HOLDFAST_DATA_DIR: a command's `--data`.
    """
    environ = os.environ if environ is None else environ
    types = {field.name: field.default for field in fields(Settings)}
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = environ.get(setting.variable, "").strip()
        if text:
            values[setting.field] = _parse(setting, text, types[setting.field])
    if data_dir is not None:
        values["data_dir"] = data_dir
    if values.get("env") == "production":
        values["dev_fallback"] = False
    settings = Settings(**values)
    return _checked(settings)


def log_format(environ: Mapping[str, str] | None = None) -> str:
    """How log lines are written, also while the other settings can't be read; `load` refuses a wrong one."""
    text = (os.environ if environ is None else environ).get("HOLDFAST_LOG_FORMAT", "").strip().lower()
    return text if text in _CHOICES["log_format"] else Settings.log_format


def _checked(settings: Settings) -> Settings:
    if settings.secret_key is not None and len(settings.secret_key) < SECRET_CHARS:
        raise Misconfigured(
            "HOLDFAST_SECRET_KEY is shorter than 32 characters",
            hint="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
        )
    if not settings.disk_hard_bytes <= settings.disk_high_bytes <= settings.disk_soft_bytes:
        raise Misconfigured(
            "the disk marks are out of order",
            hint="HOLDFAST_DISK_HARD_BYTES <= HOLDFAST_DISK_HIGH_BYTES <= HOLDFAST_DISK_SOFT_BYTES.",
        )
    if settings.dev_fallback:
        if settings.data_dir is None:
            return _with(settings, data_dir=Path("var/development"))
        return settings
    if settings.data_dir is None:
        raise Misconfigured(
            "HOLDFAST_DATA_DIR is not set, and without DEV_FALLBACK there is no store to fall back to",
            code="setting_missing",
            hint="Set HOLDFAST_DATA_DIR (or pass --data) to the folder of the store and journal.",
        )
    if settings.secret_key is None:
        raise Misconfigured(
            "HOLDFAST_SECRET_KEY is not set, and without DEV_FALLBACK none is made up",
            code="setting_missing",
            hint="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'",
        )
    return settings


def _with(settings: Settings, **changes: Any) -> Settings:  # noqa: ANN401
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return Settings(**{**values, **changes})


def _parse(setting: Setting, text: str, default: object) -> object:
    lowered = text.lower()
    if setting.field in _CHOICES:
        if lowered not in _CHOICES[setting.field]:
            raise _wrong(setting, text, f"one of {', '.join(_CHOICES[setting.field])}")
        return lowered
    if isinstance(default, bool):
        if lowered not in _ON + _OFF:
            raise _wrong(setting, text, "on or off")
        return lowered in _ON
    if setting.field in _RANGES:
        least, most = _RANGES[setting.field]
        if not text.isdecimal() or not least <= int(text) <= most:
            raise _wrong(setting, text, f"a whole number from {least} to {most}")
        return int(text)
    if isinstance(default, int | float):
        try:
            value = type(default)(text)
        except ValueError:
            raise _wrong(setting, text, "a number") from None
        if not 0 < value < float("inf"):
            raise _wrong(setting, text, "a number above zero")
        return value
    return Path(text) if setting.field in _PATHS else text


def _wrong(setting: Setting, text: str, wanted: str) -> Misconfigured:
    shown = "…" if "SECRET" in setting.variable or "KEY" in setting.variable else repr(text)
    return Misconfigured(f"{setting.variable} is {shown}; it takes {wanted}", hint=setting.help)
