"""The last hour's readings: one every ten seconds, whatever the clock on the wall does."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.health.history import EVERY_S, READINGS, History


def test_numbers_are_added_up_for_a_reading_only_when_one_is_due() -> None:
    history, added_up = History(), 0

    def numbers() -> Mapping[str, float]:
        nonlocal added_up
        added_up += 1
        return {"backlog": float(added_up)}

    for tick in range(25):
        history.read(float(tick), numbers)
    assert added_up == 3
    assert [(each.at_ticks_s, each.values["backlog"]) for each in history.readings] == [
        (0.0, 1.0),
        (EVERY_S, 2.0),
        (2 * EVERY_S, 3.0),
    ]


def test_an_hour_of_readings_is_kept() -> None:
    history = History()
    for number in range(READINGS + 5):
        history.read(number * EVERY_S, dict)
    assert len(history.readings) * EVERY_S == 3_600
