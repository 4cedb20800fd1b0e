import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.access.rate import RateLimit
from holdfast.core.clock import ManualClock


def test_a_burst_goes_and_then_one_at_a_time() -> None:
    clock = ManualClock()
    limit = RateLimit(2.0, 5, clock)
    assert [limit.take("a") for _ in range(5)] == [0.0] * 5
    assert limit.take("a") == pytest.approx(0.5)
    clock.advance(0.5)
    assert limit.take("a") == 0.0
    assert limit.take("a") == pytest.approx(0.5)


def test_keys_do_not_share_a_bucket() -> None:
    limit = RateLimit(1.0, 1, ManualClock())
    assert limit.take("a") == 0.0
    assert limit.take("b") == 0.0
    assert limit.take("a") > 0


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 5), max_size=100),
)
def test_nobody_gets_more_than_burst_and_rate_allow(rate: float, burst: int, gaps: list[float]) -> None:
    clock = ManualClock()
    limit = RateLimit(rate, burst, clock)
    went = 0
    for gap in gaps:
        clock.advance(gap)
        went += limit.take("a") == 0.0
    assert went <= burst + clock.ticks_s() * rate + 0.01


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    costs=st.lists(st.floats(0.01, 60), min_size=1, max_size=60),
)
def test_who_waits_as_told_goes(rate: float, burst: int, costs: list[float]) -> None:
    clock = ManualClock()
    limit = RateLimit(rate, burst, clock)
    for cost in costs:
        wait_s = limit.take("a", cost)
        if wait_s:
            assert limit.take("a", cost) == pytest.approx(wait_s)  # asking costs nothing
            clock.advance(wait_s)
            assert limit.take("a", cost) == 0.0


def test_what_is_given_back_can_be_taken_again_and_no_more() -> None:
    limit = RateLimit(1.0, 3, ManualClock())
    for _ in range(100):
        assert limit.take("a") == 0.0
        limit.give_back("a")
    limit.give_back("never seen")
    assert [limit.take("a") == 0.0 for _ in range(4)] == [True, True, True, False]


def test_memory_is_bounded_and_full_buckets_go_first() -> None:
    clock = ManualClock()
    limit = RateLimit(1.0, 10, clock, keys_limit=100)
    for n in range(100):
        limit.take(f"calm-{n}")
    clock.advance(1.0)
    for n in range(50):
        limit.take(f"new-{n}")
    assert len(limit) == 50


def test_a_flood_of_keys_frees_nobody_who_is_held_back() -> None:
    limit = RateLimit(0.001, 10, ManualClock(), keys_limit=100)
    for _ in range(10):
        limit.take("guesser")
    for n in range(10_000):
        limit.take(f"flood-{n}")
        assert len(limit) <= 100
    assert limit.take("guesser") > 0


@pytest.mark.parametrize("rate, burst", [(0, 1), (-1, 1), (1, 0.5)])
def test_a_limit_that_lets_nobody_through_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate limit"):
        RateLimit(rate, burst, ManualClock())
