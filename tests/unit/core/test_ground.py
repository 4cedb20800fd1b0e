"""The ground: waits, times, bytes, ids, and errors that say who must act."""

import json
import pickle
import random
import uuid
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.backoff import full_jitter_s
from holdfast.core.clock import ManualClock, SystemClock, parse_rfc3339, rfc3339
from holdfast.core.codec import canonical, checksum
from holdfast.core.errors import (
    CODES,
    Conflict,
    Corrupt,
    HoldfastError,
    Misconfigured,
    Rejected,
    Unavailable,
)
from holdfast.core.ids import is_uuid, position_text, position_texts, uuid7

repeatable = settings(derandomize=True, database=None)
FAMILIES = (Rejected, Conflict, Unavailable, Corrupt, Misconfigured)

# Waits


def test_waits_double_up_to_the_cap_and_are_drawn_from_zero_on() -> None:
    ceilings = [full_jitter_s(n, base_s=1, cap_s=300, draw=lambda: 0.999999) for n in range(1, 12)]
    assert [round(each) for each in ceilings] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert full_jitter_s(5, draw=lambda: 0.0) == 0.0
    assert full_jitter_s(10_000, draw=lambda: 0.5) == 150.0, "no overflow, however long it lasts"


def test_a_crowd_that_failed_together_does_not_come_back_together() -> None:
    draw = random.Random(1).random
    waits = sorted(full_jitter_s(6, draw=draw) for _ in range(1_000))
    assert waits[100] < 5
    assert waits[900] > 27


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        full_jitter_s(0)


# Times


@repeatable
@given(st.integers(0, 253_402_300_799_000))
def test_a_time_is_24_characters_and_reads_back_to_the_millisecond(at_ms: int) -> None:
    text = rfc3339(at_ms / 1000)
    assert len(text) == 24
    assert text.endswith("Z")
    assert round(parse_rfc3339(text) * 1000) == at_ms


@repeatable
@given(st.integers(0, 4_000_000_000_000), st.integers(0, 4_000_000_000_000))
def test_times_sort_as_text_as_they_sort_as_numbers(one: int, other: int) -> None:
    assert (rfc3339(one / 1000) < rfc3339(other / 1000)) == (one < other)


def test_an_offset_is_needed_and_heeded() -> None:
    assert parse_rfc3339("2026-11-23T14:50:00+01:00") == parse_rfc3339("2026-11-23T13:50:00Z")
    for text in ("2026-11-23T14:50:00", "yesterday", ""):
        with pytest.raises(ValueError, match=r"offset|isoformat"):
            parse_rfc3339(text)


def test_a_manual_clock_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(100.0)
    assert (clock.now_s(), clock.ticks_s()) == (100.0, 0.0)
    clock.advance(2.5)
    assert (clock.now_s(), clock.ticks_s()) == (102.5, 2.5)


def test_the_systems_ticks_never_go_back() -> None:
    clock = SystemClock()
    ticks = [clock.ticks_s() for _ in range(100)]
    assert ticks == sorted(ticks)


# Bytes


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=15,
)


@repeatable
@given(_json)
def test_canonical_bytes_are_the_same_for_equal_values_and_read_back(value: object) -> None:
    data = canonical(value)
    assert json.loads(data) == value
    assert canonical(json.loads(data)) == data


def test_canonical_json_has_its_keys_in_order_and_no_spaces() -> None:
    assert canonical({"b": [1, 2], "a": "é", "A": None}) == '{"A":null,"a":"é","b":[1,2]}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(float("nan"))


@repeatable
@given(st.binary())
def test_a_checksum_is_zlibs_crc32_as_8_hex_digits(data: bytes) -> None:
    assert checksum(data) == f"{zlib.crc32(data):08x}"


def test_the_checksums_check_value_is_the_standards() -> None:
    assert checksum(b"123456789") == "cbf43926"


# Ids


@repeatable
@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid_of_version_7_with_its_time_in_front(at_ms: int, entropy: bytes) -> None:
    text = uuid7(at_ms, entropy)
    parsed = uuid.UUID(text)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == at_ms
    assert text == uuid7(at_ms, entropy), "the same entropy mints the same id"
    assert is_uuid(text)
    assert is_uuid(text.upper())


def test_ids_of_a_later_millisecond_sort_later_and_none_comes_twice() -> None:
    assert uuid7(1_000) < uuid7(1_001)
    assert len({uuid7() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("wrong", [{"at_ms": -1}, {"at_ms": 2**48}, {"entropy": b"short"}])
def test_an_id_that_can_not_be_minted_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="uuid7"):
        uuid7(**wrong)  # type: ignore[arg-type]


WHOLE = "01a20a11-815b-7b13-b697-fe67674961eb"


@pytest.mark.parametrize(
    "text", ["", "0" * 36, WHOLE + "\n", WHOLE[:-1], WHOLE.replace("-", ""), "{" + WHOLE + "}"]
)
def test_what_is_no_uuid_is_told_apart(text: str) -> None:
    assert not is_uuid(text)


def test_positions_sort_as_text() -> None:
    numbers = [0, 1, 9, 10, 999_999, 10**15]
    assert sorted(map(position_text, numbers)) == [position_text(n) for n in numbers]
    assert {len(position_text(n)) for n in numbers} == {16}


# Errors


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_a_code_of_its_own_and_crosses_a_process_border_whole(
    family: type[HoldfastError],
) -> None:
    error = family("in words", hint="do this", retry_s=3.0)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - of our own making
    assert type(again) is family
    assert (str(again), again.code, again.hint, again.retry_s) == (str(error), error.code, "do this", 3.0)
    assert error.status == CODES[error.code][0]


def test_a_code_that_is_not_in_the_list_can_not_be_raised() -> None:
    with pytest.raises(ValueError, match="not in CODES"):
        Rejected("x", code="made_up")


def test_every_code_has_a_status_of_an_error_and_a_sentence() -> None:
    for code, (status, words) in CODES.items():
        assert 400 <= status <= 599, code
        assert words.endswith("."), code
        assert code == code.lower()


def test_only_what_time_mends_says_when_to_come_back() -> None:
    assert Unavailable("x").retry_s == 5.0
    for family in (Rejected, Conflict, Corrupt, Misconfigured):
        assert family("x").retry_s is None


@pytest.mark.parametrize("first", [1, 998, 999, 1000, 12_345_678_999])
@pytest.mark.parametrize("number", [0, 1, 3, 2005])
def test_positions_written_together_are_those_written_one_by_one(first: int, number: int) -> None:
    assert position_texts(first, number) == [position_text(at) for at in range(first, first + number)]
