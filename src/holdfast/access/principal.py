"""Who asks: a proven identity and what it may be in which org."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import quote

import msgspec

Role = Literal["learner", "admin", "operator", "service"]
ROLES: Final[tuple[Role, ...]] = ("learner", "admin", "operator", "service")


class Membership(msgspec.Struct, frozen=True):
    """One org and the roles in it."""

    org_id: str
    name: str
    roles: tuple[Role, ...]


class Principal(msgspec.Struct, frozen=True):
    """Who asks, proven.

    `org` is the org the request acts in: the only one, the first, or the one that `X-Org-Id`
    names among one's own; None for an operator who named none. `via` tells how they proved it:
    a `session` needs a CSRF token with each write, a `bearer` does not.
    """

    user_id: str
    name: str
    email: str
    orgs: tuple[Membership, ...]
    operator: bool = False
    service: bool = False
    org: str | None = None
    via: Literal["session", "bearer"] = "session"
    session_id: str = ""

    def roles_in(self, org: str | None) -> tuple[Role, ...]:
        """The roles in an org; operators and services bring theirs along."""
        own: tuple[Role, ...] = ()
        for membership in self.orgs:
            if membership.org_id == org:
                own = membership.roles
        return own + (("operator",) if self.operator else ())

    def has_org(self, org: str) -> bool:
        """Whether the org is one of the principal's own."""
        return any(membership.org_id == org for membership in self.orgs)

    @property
    def mark(self) -> str:
        """Org and user in one word that a header can carry, as a browser's encodeURIComponent writes them."""
        return "/".join(quote(part, safe="!'()*~") for part in (self.org or "", self.user_id))
