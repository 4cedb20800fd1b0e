"""What could not be counted, in plain words: a learner's own, and an admin's org's."""

from __future__ import annotations

from holdfast.learning.letters import OwnLetter, own_letters
from holdfast.web.calls import Ask, Call, Said


class OwnLetters(Said):
    """The newest first."""

    items: list[OwnLetter]


async def mine(ask: Ask) -> OwnLetters:
    """Work of one's own that could not be counted."""
    user = ask.me.user_id
    return OwnLetters(items=await ask.portal.store.read(ask.my_org, lambda tx: own_letters(tx, user)))


async def of_org(ask: Ask) -> OwnLetters:
    """Work of the org's people that could not be counted."""
    return OwnLetters(items=await ask.portal.store.read(ask.my_org, lambda tx: own_letters(tx, None)))


CALLS: tuple[Call, ...] = (
    Call(
        "GET", "/api/client/deadletters", mine, "deadletter.own", OwnLetters,
        "One's own work that could not be counted, and why",
    ),
    Call(
        "GET", "/api/admin/deadletters", of_org, "deadletter.org", OwnLetters,
        "The org's work that could not be counted, and why",
    ),
)  # fmt: skip
