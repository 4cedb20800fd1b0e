"""What the tests of an event's life share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.core.clock import ManualClock
from holdfast.store.sqlite import SqliteStore
from tests.unit.events.spine import emptied
from tests.unit.learning.register import school


@pytest.fixture(scope="module")
def one_school() -> Iterator[SqliteStore]:
    with school() as opened:
        yield opened


@pytest.fixture
def store(one_school: SqliteStore) -> SqliteStore:
    """A school in memory in which no event ever happened."""
    emptied(one_school)
    return one_school


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
