"""What every test shares."""

import os
from pathlib import Path

import pytest

from tests.chromium import Gate, find_chromium, gate


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


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") is None:
        return
    match gate(find_chromium()):
        case Gate.RUN:
            pass
        case Gate.SKIP:
            pytest.skip("Chromium is not installed")
        case Gate.FAIL:
            pytest.fail("Chromium is not installed, and this run may not go without it", pytrace=False)
