"""What every test shares."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.chromium import Gate, find_chromium, find_firefox, find_webkit, gate
from tests.machine import quick_disk


@pytest.fixture(scope="session", autouse=True)
def _loggers_are_made_anew() -> Iterator[None]:
    """A logger that a command's test used first would keep that command's settings for good.

    A later test in the same process that listens to it would hear nothing.
    """
    real = structlog.configure

    def configure(**settings: Any) -> None:  # noqa: ANN401 - structlog's own
        real(**{**settings, "cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(structlog, "configure", configure)
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The portal runs on asyncio, so the tests do."""
    return "asyncio"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Chromium, for tests marked `browser`."""
    path = find_chromium()
    assert path is not None, "a test that asks for Chromium must be marked browser"
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that is too large for the repository, or a skip that says so."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("HOLDFAST_SHARED_DATA") or beside)
    if not folder.is_dir():
        pytest.skip("the real course and learner data are not here: HOLDFAST_SHARED_DATA names their folder")
    return folder


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own that no disk holds up: thousands are soon made, and no sync is ever slow."""
    with quick_disk(tmp_path) as folder:
        yield folder


SHORT = {"unit", "conformance", "house"}
"""Folders whose files take seconds, not minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first: side by side, the last file to end is then a short one.

    Those wait for several things, each of which may take a busy machine a minute. A soak has a limit of its
    own, which a mark would outrank.
    """
    tests = Path(__file__).parent
    for item in items:
        short = item.path.relative_to(tests).parts[0] in SHORT
        limited = item.get_closest_marker("timeout") or item.get_closest_marker("soak")
        if not limited and (not short or item.get_closest_marker("browser")):
            item.add_marker(pytest.mark.timeout(600))
    items.sort(key=lambda item: item.path.relative_to(tests).parts[0] in SHORT)


def pytest_runtest_setup(item: pytest.Item) -> None:
    # What HOLDFAST_REQUIRE_BROWSER promises is Chromium; the others are promised in CI alone.
    in_ci = {"CI": os.environ.get("CI", "")}
    for marker, name, what in (
        ("browser", "Chromium", gate(find_chromium())),
        ("firefox", "Firefox ESR", gate(find_firefox(), in_ci)),
        ("webkit", "WebKitGTK", gate(find_webkit(), in_ci)),
    ):
        if item.get_closest_marker(marker) is None or what is Gate.RUN:
            continue
        if what is Gate.SKIP:
            pytest.skip(f"{name} is not installed")
        pytest.fail(f"{name} is not installed, and this run may not go without it", pytrace=False)
