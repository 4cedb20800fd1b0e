"""Which numbers of a device arrived: added up in any order, and nothing wrong ever said of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.events import devices
from holdfast.events.devices import MAX_RANGES, DeviceBook, DeviceState, Ranges, merge, state, union

steady = settings(derandomize=True, deadline=None, max_examples=150)
numbers = st.lists(st.integers(1, 60), max_size=40)


def spread(ranges: Ranges) -> set[int]:
    return {number for low, high in ranges for number in range(low, high + 1)}


def is_tidy(ranges: Ranges) -> bool:
    ends = [end for span in ranges for end in span]
    apart = all(one[1] + 1 < other[0] for one, other in pairwise(ranges))
    return apart and ends == sorted(ends)


@steady
@given(numbers, numbers)
def test_merging_holds_exactly_the_numbers_in_ranges_that_do_not_touch(
    first: list[int], then: list[int]
) -> None:
    ranges = merge(merge([], first), then)
    assert spread(ranges) == {*first, *then}
    assert is_tidy(ranges)
    assert ranges == merge([], [*then, *first, *then])


@steady
@given(numbers, numbers, numbers)
def test_union_is_what_merging_all_their_numbers_gives_in_any_grouping(
    one: list[int], two: list[int], three: list[int]
) -> None:
    a, b, c = merge([], one), merge([], two), merge([], three)
    whole = merge([], [*one, *two, *three])
    assert union(union(a, b), c) == union(a, union(b, c)) == union(union(c, a), b) == whole
    assert union(a, a) == a
    assert union(a, []) == a


@steady
@given(numbers)
def test_merging_and_union_leave_what_they_were_given_as_it_was(seqs: list[int]) -> None:
    ranges = merge([], seqs)
    before = [list(span) for span in ranges]
    merge(ranges, [5, 61])
    union(ranges, [[3, 40]])
    assert ranges == before


@steady
@given(numbers)
def test_missing_are_the_holes_below_the_highest_number_beginning_at_one(seqs: list[int]) -> None:
    told = state(merge([], seqs))
    assert told.accepted_through == max(seqs, default=0)
    missing = {number for low, high in told.missing for number in range(low, high + 1)}
    assert missing == set(range(1, max(seqs, default=0))) - set(seqs)


@steady
@given(numbers, numbers, st.integers(1, 6))
def test_a_device_with_more_gaps_than_are_kept_never_hears_that_what_arrived_is_missing(
    first: list[int], then: list[int], most: int
) -> None:
    arrived = {*first, *then}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "MAX_RANGES", most)
        ranges = union(merge(merge([], first), then), merge([], first[::2]))
    assert len(ranges) <= most
    assert is_tidy(ranges)
    told = {number for low, high in state(ranges).missing for number in range(low, high + 1)}
    assert not told & arrived
    assert spread(ranges) >= arrived
    assert state(ranges).accepted_through == max(arrived, default=0)


def test_the_newest_gaps_are_those_that_are_kept() -> None:
    ranges = merge([], range(2, 2 * MAX_RANGES + 20, 2))
    assert len(ranges) == MAX_RANGES
    last = 2 * MAX_RANGES + 18
    assert ranges[-3:] == [[number, number] for number in (last - 4, last - 2, last)]
    assert ranges[0] == [2, 20]


def test_every_hole_is_told_for_what_is_not_named_counts_as_arrived() -> None:
    told = state(merge([], range(2, 2 * MAX_RANGES + 2, 2)))
    assert told.missing == [(number, number) for number in range(1, 2 * MAX_RANGES, 2)]
    assert told.accepted_through == 2 * MAX_RANGES


# The book


class Shelf:
    """What the store knows; it may be out, or slow."""

    def __init__(self, known: Ranges | None = None) -> None:
        """`known`: the same of every device."""
        self.known: Ranges | None = [] if known is None else known
        self.asked: list[tuple[str, str, str, int, bool]] = []
        self.gate: asyncio.Event | None = None

    async def load(self, *device_and_forgot: str | int | bool) -> Ranges | None:
        """What a book calls."""
        self.asked.append(device_and_forgot)  # type: ignore[arg-type]
        if self.gate is not None:
            await self.gate.wait()
        return None if self.known is None else [list(span) for span in self.known]


async def saw(book: DeviceBook, seqs: Sequence[int], device: str = "d", **other: int) -> DeviceState | None:
    return await book.saw("tide", "ada", device, other.get("generation", 1), list(seqs))


async def test_a_device_that_names_none_is_told_nothing() -> None:
    shelf = Shelf()
    assert await DeviceBook(shelf.load).saw("tide", "ada", None, 1, [1]) is None
    assert shelf.asked == []


async def test_numbers_in_order_leave_no_hole() -> None:
    book = DeviceBook(Shelf().load)
    for number in range(1, 6):
        assert await saw(book, [number]) == DeviceState(number, [])


async def test_a_hole_is_told_and_gone_when_it_is_filled() -> None:
    book = DeviceBook(Shelf().load)
    assert await saw(book, [1, 4]) == DeviceState(4, [(2, 3)])
    assert await saw(book, [5]) == DeviceState(5, [(2, 3)])
    assert await saw(book, [3]) == DeviceState(5, [(2, 2)])
    assert await saw(book, [2, 2]) == DeviceState(5, [])


async def test_a_device_that_begins_late_hears_what_lies_before() -> None:
    book = DeviceBook(Shelf().load)
    assert await saw(book, [4]) == DeviceState(4, [(1, 3)])
    assert await saw(book, [5]) == DeviceState(5, [(1, 3)])


async def test_the_store_is_asked_once_and_its_numbers_count() -> None:
    shelf = Shelf([[1, 7]])
    book = DeviceBook(shelf.load)
    assert await saw(book, [9]) == DeviceState(9, [(8, 8)])
    assert await saw(book, []) == DeviceState(9, [(8, 8)])
    assert shelf.asked == [("tide", "ada", "d", 1, False)]


async def test_each_generation_of_a_device_counts_for_itself() -> None:
    book = DeviceBook(Shelf().load)
    await saw(book, [1, 2, 3])
    assert await saw(book, [1], generation=2) == DeviceState(1, [])
    assert await book.saw("high", "ada", "d", 1, []) == DeviceState(0, [])
    assert await book.saw("tide", "abe", "d", 1, [2]) == DeviceState(2, [(1, 1)])


async def test_while_the_truth_is_not_known_nothing_is_said_and_nothing_forgotten() -> None:
    shelf = Shelf()
    shelf.known = None
    book = DeviceBook(shelf.load)
    assert await saw(book, [1, 2]) is None
    assert await saw(book, [5]) is None
    shelf.known = [[3, 3]]
    assert await saw(book, [6]) == DeviceState(6, [(4, 4)])


async def test_numbers_that_come_while_the_store_is_asked_are_not_lost() -> None:
    shelf = Shelf([[1, 1]])
    shelf.gate = asyncio.Event()
    book = DeviceBook(shelf.load)
    asking = [asyncio.create_task(saw(book, [number])) for number in (2, 3, 5)]
    await asyncio.sleep(0)
    shelf.gate.set()
    told = await asyncio.gather(*asking)
    assert told[-1] == DeviceState(5, [(4, 4)])
    assert await saw(book, []) == DeviceState(5, [(4, 4)])


async def test_a_book_that_is_full_forgets_the_oldest_device_and_says_so_to_the_store() -> None:
    shelf = Shelf()
    book = DeviceBook(shelf.load, size=2)
    await saw(book, [1, 2], "a")
    await saw(book, [1], "b")
    forgot = [book.forgot]
    await saw(book, [1], "c")
    assert [*forgot, book.forgot] == [False, True]
    shelf.known = [[1, 2]]
    assert await saw(book, [4], "a") == DeviceState(4, [(3, 3)])
    assert [(each[2], each[4]) for each in shelf.asked] == [
        ("a", False),
        ("b", False),
        ("c", False),
        ("a", True),
    ]


@pytest.mark.parametrize("seqs", [[7], [1], [8, 9], [], [7, 8]])
async def test_the_quick_way_for_the_next_number_tells_what_the_long_way_does(seqs: list[int]) -> None:
    book = DeviceBook(Shelf([[2, 6]]).load)
    await saw(book, [])
    assert await saw(book, seqs) == state(merge([[2, 6]], seqs))
