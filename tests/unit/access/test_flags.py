"""Flags: evenly spread, the same each time, and raising a percentage takes nobody out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from holdfast.access.flags import NEW_SW, Flags, Rollouts, standing
from holdfast.access.principal import Principal

PEOPLE = [f"user-{number}" for number in range(5_000)]


def person(user_id: str, org: str = "tidewater") -> Principal:
    return Principal(user_id=user_id, name="", email="", orgs=(), org=org)


def those_in(percent: int) -> set[str]:
    flags = Flags(Rollouts({NEW_SW: percent}))
    return {user for user in PEOPLE if flags.for_principal(person(user))[NEW_SW]}


@pytest.mark.parametrize("percent", [1, 10, 37, 50, 90])
def test_the_share_of_people_is_the_percentage(percent: int) -> None:
    share = len(those_in(percent)) / len(PEOPLE) * 100
    # Four standard deviations of a fair draw of 5,000.
    assert abs(share - percent) < 4 * (percent * (100 - percent) / len(PEOPLE)) ** 0.5


def test_nobody_at_0_and_everybody_at_100() -> None:
    assert those_in(0) == set()
    assert those_in(100) == set(PEOPLE)


def test_the_same_person_gets_the_same_answer_from_every_portal_and_in_each_of_their_orgs() -> None:
    first, second = (Flags(Rollouts({NEW_SW: 50})) for _ in range(2))
    told = [first.for_principal(person(user)) for user in PEOPLE[:200]]
    assert told == [second.for_principal(person(user, org="highland")) for user in PEOPLE[:200]]
    assert {each[NEW_SW] for each in told} == {True, False}


def test_the_rollout_is_told_as_it_is_set_and_not_guessed_for_another_provider() -> None:
    assert Flags(Rollouts({NEW_SW: 37, "OF_NOBODY": 3})).rollout() == {NEW_SW: 37}
    assert Flags(Rollouts({})).rollout() == {NEW_SW: 0}
    other = InMemoryProvider({NEW_SW: InMemoryFlag("on", {"on": True})})
    assert Flags(other).rollout() == {}


@given(st.text(min_size=1, max_size=80), st.integers(0, 100), st.integers(0, 100))
def test_a_higher_percentage_takes_nobody_out(key: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    context = EvaluationContext(key)
    if Rollouts({NEW_SW: low}).resolve_boolean_details(NEW_SW, False, context).value:  # noqa: FBT003
        assert Rollouts({NEW_SW: high}).resolve_boolean_details(NEW_SW, False, context).value  # noqa: FBT003


def test_who_is_first_in_one_flag_is_not_first_in_all() -> None:
    one = {user for user in PEOPLE if standing("ONE", user) < 50}
    other = {user for user in PEOPLE if standing("OTHER", user) < 50}
    assert 0.4 < len(one & other) / len(one) < 0.6


def test_before_sign_in_the_device_stands_for_the_person() -> None:
    flags = Flags(Rollouts({NEW_SW: 50}))
    told = [flags.for_principal(None, f"device-{number}")[NEW_SW] for number in range(200)]
    assert told == [flags.for_principal(None, f"device-{number}")[NEW_SW] for number in range(200)]
    assert 60 < sum(told) < 140


def test_whoever_says_nothing_of_themselves_is_in_only_when_everybody_is() -> None:
    assert not Flags(Rollouts({NEW_SW: 99})).for_principal(None)[NEW_SW]
    assert Flags(Rollouts({NEW_SW: 100})).for_principal(None)[NEW_SW]


def test_a_flag_the_provider_does_not_know_is_off() -> None:
    assert Flags(Rollouts({})).for_principal(person("ada")) == {NEW_SW: False}


def test_a_provider_that_fails_leaves_its_flags_off() -> None:
    class Broken(Rollouts):
        def resolve_boolean_details(self, *_: object, **__: object) -> FlagResolutionDetails[bool]:
            raise OSError("the flag service is out")

    assert Flags(Broken({NEW_SW: 100})).for_principal(person("ada")) == {NEW_SW: False}


def test_another_provider_of_openfeatures_can_be_plugged_in() -> None:
    provider = InMemoryProvider({NEW_SW: InMemoryFlag("yes", {"yes": True, "no": False})})
    assert Flags(provider).for_principal(person("ada")) == {NEW_SW: True}


def test_two_portals_in_one_process_keep_their_own_providers() -> None:
    none, all_of_them = Flags(Rollouts({NEW_SW: 0})), Flags(Rollouts({NEW_SW: 100}))
    assert not none.for_principal(person("ada"))[NEW_SW]
    assert all_of_them.for_principal(person("ada"))[NEW_SW]


def test_a_question_for_another_type_gets_its_default() -> None:
    rollouts = Rollouts({NEW_SW: 100})
    assert rollouts.resolve_string_details(NEW_SW, "a").value == "a"
    assert rollouts.resolve_integer_details(NEW_SW, 3).value == 3
    assert rollouts.resolve_float_details(NEW_SW, 0.5).value == 0.5
    assert rollouts.resolve_object_details(NEW_SW, {"a": 1}).value == {"a": 1}
