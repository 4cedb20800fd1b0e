"""What the browser tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.chrome import Chrome


@pytest.fixture
def chromes(chromium: str, tmp_path: Path) -> Iterator[Callable[..., Chrome]]:
    """Browsers by the name of their profile; whatever still runs in the end is killed."""
    made: list[Chrome] = []

    def chrome(profile: str = "profile", flags: tuple[str, ...] = ()) -> Chrome:
        made.append(Chrome(chromium, tmp_path / profile, flags))
        return made[-1]

    yield chrome
    for each in made:
        if each.is_running:
            each.kill()
