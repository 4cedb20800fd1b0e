"""What the fault tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """What was logged. Thousands of rendered alarms would cost more than what they speak of."""
    with capture_logs() as entries:
        yield entries
