"""How fast the disk is said to sync."""

from holdfast.journal.pace import AGE_S, Pace


def paced(*times_ms: float) -> Pace:
    pace = Pace()
    for each in times_ms:
        pace.took(each, 0.0)
    return pace


def test_one_slow_sync_among_a_few_is_not_believed() -> None:
    assert Pace().p99_ms(0.0) is None
    assert paced(900.0).p99_ms(0.0) is None
    assert paced(1.0, 900.0, 2.0).p99_ms(0.0) == 2.0
    assert paced(*[1.0] * 50, 800.0, 900.0).p99_ms(0.0) == 800.0


def test_what_is_older_than_a_minute_says_nothing_any_more() -> None:
    pace = paced(800.0, 900.0, 900.0)
    assert pace.p99_ms(AGE_S) == 900.0
    assert pace.p99_ms(AGE_S + 1) is None
