"""The parts, joined: they start and stop together, whatever one of them does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast.core import tasks
from holdfast.wiring import running
from tests.unit.web.portals import house


async def test_a_task_that_missed_its_cancellation_is_cancelled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `asyncio.wait_for` of Python 3.11 does, where what it waits for came at the same moment."""
    begun, missed = asyncio.Event(), False

    async def deaf_once() -> None:
        nonlocal missed
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            missed = True
        await asyncio.Event().wait()

    monkeypatch.setattr(tasks, "AGAIN_S", 0.01)
    async with house(tmp_path) as portal:
        portal.portal.telling.run = deaf_once  # type: ignore[method-assign]
        async with asyncio.timeout(10.0):
            async with running(portal.portal):
                await begun.wait()
        assert missed
