"""Who may do what: one table, action by role.

| scope       | who passes                                                                        |
|-------------|-----------------------------------------------------------------------------------|
| `public`    | everybody, signed in or not                                                       |
| `signed in` | everybody who proved who they are                                                 |
| `own org`   | who has one of the roles in the org the request acts in, which must be their own  |
| `platform`  | who has one of the roles, whatever the org                                        |

Where a row names `operator`, an operator passes for any org and for none: the platform is theirs.
In all other rows an operator is what they are in the org, no more.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from holdfast.access.principal import ROLES, Principal, Role
from holdfast.core.errors import Rejected

Scope = Literal["public", "signed in", "own org", "platform"]


class Rule(NamedTuple):
    """One row: where the action reaches, and which roles may do it."""

    scope: Scope
    roles: frozenset[Role]


def _row(scope: Scope, *roles: Role) -> Rule:
    return Rule(scope, frozenset(roles))


_EVERYBODY: Final = ROLES
_ORG_CHARS: Final = 64
"""Longer than this no org's id is."""

TABLE: Final[dict[str, Rule]] = {
    "public": _row("public", *_EVERYBODY),
    "health.read": _row("public", *_EVERYBODY),
    "session.read": _row("signed in", *_EVERYBODY),
    "session.end": _row("signed in", *_EVERYBODY),
    "password.change": _row("signed in", *_EVERYBODY),
    # what a school does
    "event.send": _row("own org", "learner", "admin", "service"),
    "course.read": _row("own org", "learner", "admin", "service"),
    "loss.report": _row("own org", "learner", "admin", "service"),
    "receipts.read": _row("own org", "learner", "admin", "service"),
    "deadletter.own": _row("own org", "learner", "admin", "service"),
    "deadletter.org": _row("own org", "admin", "service"),
    "assignment.send": _row("own org", "admin", "service"),
    "assignment.read": _row("own org", "admin", "service"),
    "course.read.all": _row("own org", "admin", "service"),
    "course.write": _row("own org", "admin", "service"),
    "people.read": _row("own org", "admin", "service"),
    "people.write": _row("own org", "admin", "service"),
    "analytics.read": _row("own org", "admin", "service"),
    # what keeps it running
    "deadletter.read": _row("own org", "operator", "service"),
    "deadletter.settle": _row("own org", "operator", "service"),
    "replay.read": _row("own org", "operator", "service"),
    "replay.run": _row("own org", "operator", "service"),
    "rebuild.run": _row("own org", "operator", "service"),
    "person.erase": _row("own org", "operator", "service"),
    "person.export": _row("own org", "operator", "service"),
    "ledger.read": _row("own org", "operator", "service"),
    "devices.read": _row("own org", "operator", "service"),
    "org.read": _row("own org", "operator", "service"),
    "org.write": _row("platform", "operator"),
    "token.mint": _row("platform", "operator"),
    "token.read": _row("platform", "operator"),
    "token.revoke": _row("platform", "operator"),
    "metrics.read": _row("platform", "operator", "service"),
    "health.history": _row("platform", "operator"),
}
"""Action -> who may do it."""


def require(principal: Principal | None, action: str, org: str | None) -> None:
    """Return if the principal may do the action in the org.

    `org` is where the action would have its effect; None when it names none. Raises Rejected:
    `not_signed_in` when nobody is proven, `forbidden` when the role is not enough, `org_forbidden`
    when the org is another's, `org_required` when the action needs an org and none is named.
    LookupError for an action without a row: a fault in the code, never let through.
    """
    rule = TABLE.get(action)
    if rule is None:
        raise LookupError(f"the action {action!r} has no row in the policy")
    if rule.scope == "public":
        return
    if principal is None:
        raise Rejected(
            f"{action} needs somebody who is signed in",
            code="not_signed_in",
            hint="Sign in, or send a bearer token.",
        )
    if rule.scope == "signed in" or (principal.operator and "operator" in rule.roles):
        return
    if rule.scope == "own org":
        _require_in_org(principal, action, rule, org)
    elif not (principal.service and "service" in rule.roles):
        raise _forbidden(principal, action, rule, org)


def _require_in_org(principal: Principal, action: str, rule: Rule, org: str | None) -> None:
    if org is None:
        if any(not rule.roles.isdisjoint(own.roles) for own in principal.orgs):
            raise Rejected(
                f"{action} acts in an org, and none is named",
                code="org_required",
                hint="Name one of your orgs in the header X-Org-Id.",
            )
        raise _forbidden(principal, action, rule, org)
    for own in principal.orgs:
        if own.org_id == org:
            if rule.roles.isdisjoint(own.roles):
                raise _forbidden(principal, action, rule, org)
            return
    if principal.operator:
        raise _forbidden(principal, action, rule, org)
    raise _other_org(action)


def resolve_org(principal: Principal, named: str | None) -> Principal:
    """The principal with `org` set to where the request acts.

    `named` is the header X-Org-Id: one of the principal's own, or any for an operator (`require`
    then holds them to the operator's actions). Without it, the first of their own.

    Raises Rejected `org_forbidden` when it is another's.
    """
    if named:
        if not (principal.has_org(named) or (principal.operator and len(named) <= _ORG_CHARS)):
            raise _other_org("X-Org-Id")
        org: str | None = named
    else:
        org = principal.orgs[0].org_id if principal.orgs else None
    return principal if principal.org == org else msgspec.structs.replace(principal, org=org)


def _forbidden(principal: Principal, action: str, rule: Rule, org: str | None) -> Rejected:
    # The service role already stands in the roles of the org a service belongs to.
    roles = dict.fromkeys((*principal.roles_in(org), *(("service",) if principal.service else ())))
    mine = ", ".join(roles) or "none here"
    return Rejected(
        f"your role ({mine}) does not allow {action}",
        code="forbidden",
        hint=f"It takes one of: {', '.join(role for role in ROLES if role in rule.roles)}.",
    )


def _other_org(what: str) -> Rejected:
    return Rejected(
        f"{what}: the org named is not one of yours",
        code="org_forbidden",
        hint="Name one of your own orgs; /api/auth/session lists them.",
    )
