"""What every test shares."""

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
