"""Which features are switched on for whom: OpenFeature, and a provider that reads our settings.

A feature is rolled out by percentage of people. Where somebody stands is a hash of the flag's name and
their own, so the same person always gets the same answer, flags are independent of each other, and a
higher percentage only ever adds people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, FeatureProvider, Metadata

from holdfast.core.ids import uuid7

if TYPE_CHECKING:
    from holdfast.access.principal import Principal

NEW_SW: Final = "ENABLE_NEW_SW"
"""The service worker that reads and sends; who is not in it gets the one that keeps static files only."""

FLAGS: Final = (NEW_SW,)
ALL: Final = 100

T = TypeVar("T")


def standing(flag: str, key: str) -> float:
    """Where a person or device stands in a flag's rollout: 0 to below 100, evenly spread."""
    digest = hashlib.sha256(f"{flag}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * ALL


class Rollouts(AbstractProvider):
    """An OpenFeature provider: each flag is on for a percentage of targeting keys.

    Without a targeting key a flag is on only at 100 percent. Flags here are booleans; a question for
    another type gets its default.
    """

    def __init__(self, percents: Mapping[str, int]) -> None:
        """`percents`: flag -> 0 to 100."""
        super().__init__()
        self._percents = dict(percents)

    @property
    def percents(self) -> dict[str, int]:
        """Flag -> for how many percent of people it is on."""
        return dict(self._percents)

    def get_metadata(self) -> Metadata:
        """The provider's name, as tools of OpenFeature show it."""
        return Metadata(name="holdfast-settings")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: ARG002, FBT001 - the SDK's signature
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Whether the flag is on for the context's targeting key."""
        percent = self._percents.get(flag_key)
        if percent is None:
            raise FlagNotFoundError(flag_key)
        key = evaluation_context.targeting_key if evaluation_context is not None else None
        if percent >= ALL or not key:
            return FlagResolutionDetails(value=percent >= ALL, reason=Reason.STATIC)
        return FlagResolutionDetails(value=standing(flag_key, key) < percent, reason=Reason.SPLIT)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """No flag of ours is a text."""
        return self._of_another_type(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """No flag of ours is a whole number."""
        return self._of_another_type(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """No flag of ours is a number."""
        return self._of_another_type(flag_key, default_value, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        """No flag of ours is an object."""
        return self._of_another_type(flag_key, default_value, evaluation_context)

    def _of_another_type(
        self, _: str, default_value: T, __: EvaluationContext | None
    ) -> FlagResolutionDetails[T]:
        return FlagResolutionDetails(value=default_value, reason=Reason.DEFAULT)


class Flags:
    """A portal's flags, as anybody's OpenFeature provider answers them.

    A provider that fails or does not know a flag leaves it off: a feature is never switched on by
    accident.
    """

    def __init__(self, provider: FeatureProvider, names: Iterable[str] = FLAGS) -> None:
        """`names`: the flags that callers are told of."""
        # A domain of its own: another portal in this process may have another provider.
        domain = f"holdfast-{uuid7()}"
        api.set_provider_and_wait(provider, domain)
        self._client = api.get_client(domain)
        self._names = tuple(names)
        self._provider = provider

    def rollout(self) -> dict[str, int]:
        """Each flag and for how many percent of people it is on; empty where another provider decides."""
        if not isinstance(self._provider, Rollouts):
            return {}
        percents = self._provider.percents
        return {name: percents.get(name, 0) for name in self._names}

    def for_principal(self, who: Principal | None, device: str | None = None) -> dict[str, bool]:
        """Each flag and whether it is on for them.

        `device`: what the device calls itself, which stands for a person until one has signed in.
        """
        context = EvaluationContext()
        if who is not None:
            context = EvaluationContext(f"user {who.user_id}", {"org": who.org or ""})
        elif device:
            context = EvaluationContext(f"device {device}")
        return {name: self._client.get_boolean_value(name, False, context) for name in self._names}  # noqa: FBT003
