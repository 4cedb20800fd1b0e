"""Orgs, and who is an active member of which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Row, bindparam, insert, select

from holdfast.core.clock import SystemClock, rfc3339
from holdfast.core.errors import Conflict, Rejected
from holdfast.core.ids import uuid7
from holdfast.store.port import Tx
from holdfast.store.schema import memberships, orgs, users

T = TypeVar("T")

SLUG_PATTERN: Final = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z"
"""What an org's short name looks like: it stands in commands and addresses."""
NAME_CHARS: Final = 200
"""Longest name of an org or a person."""
IN_LIST: Final = 500
"""How many values one IN list holds; every engine takes that many."""

_SLUG = re.compile(SLUG_PATTERN)
_MEMBERS = (
    select(memberships.c.org_id, memberships.c.user_id)
    .join(users, users.c.id == memberships.c.user_id)
    .where(memberships.c.user_id.in_(bindparam("users", expanding=True)))
    .where(memberships.c.active, users.c.active)
)


class Org(msgspec.Struct, rename="camel", kw_only=True):
    """One org."""

    id: str
    slug: str
    name: str
    created_at: str


def now_text() -> str:
    """The system's time as the tables hold it: RFC 3339 UTC, 24 characters."""
    return rfc3339(SystemClock().now_s())


def in_lists(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a long sequence into lists short enough for one IN."""
    for start in range(0, len(values), IN_LIST):
        yield values[start : start + IN_LIST]


def create_org(tx: Tx, slug: str, name: str, *, org_id: str | None = None, at: str | None = None) -> Org:
    """Found an org, in an unbound transaction. `org_id` and `at` are made up when left out.

    Raises Rejected `invalid` for a slug or name that can't be one, Conflict `already_exists`.
    """
    if not _SLUG.match(slug):
        raise Rejected(
            f"slug {slug[:64]!r} is not allowed",
            hint="Use 1 to 63 small letters, digits and hyphens; begin and end with a letter or digit.",
        )
    name = name.strip()
    if not 1 <= len(name) <= NAME_CHARS or not name.isprintable():
        raise Rejected("name must be 1 to 200 printable characters")
    if org_by_slug(tx, slug) is not None:
        raise Conflict(
            f"an org with the slug {slug!r} exists already",
            code="already_exists",
            hint="Choose another slug.",
        )
    org = Org(id=org_id or uuid7(), slug=slug, name=name, created_at=at or now_text())
    tx.run(insert(orgs).values(id=org.id, slug=org.slug, name=org.name, created_at=org.created_at))
    return org


def org_by_slug(tx: Tx, slug: str) -> Org | None:
    """The org with this slug, if there is one."""
    return _org(tx.rows(select(orgs).where(orgs.c.slug == slug)))


def org_by_id(tx: Tx, org_id: str) -> Org | None:
    """The org with this id, if there is one."""
    return _org(tx.rows(select(orgs).where(orgs.c.id == org_id)))


def require_org(tx: Tx, org_id: str) -> None:
    """Refuse an id that is no org's. Raises Rejected `not_found`."""
    if org_by_id(tx, org_id) is None:
        raise Rejected(
            "there is no org with this orgId", code="not_found", hint="Give the org's id, not its slug."
        )


def _org(rows: Sequence[Row[tuple[str, str, str, str]]]) -> Org | None:
    return Org(**rows[0]._mapping) if rows else None  # noqa: SLF001 - the public name of a row's columns


def active_members(tx: Tx, user_ids: Iterable[str]) -> set[tuple[str, str]]:
    """(org, user) of every active membership of these users, in an unbound transaction.

    By users alone: a user is in few orgs, and the index on user ids answers one plain IN list
    in a third of the time of a list of pairs.
    """
    found: set[tuple[str, str]] = set()
    for some in in_lists(list(dict.fromkeys(user_ids))):
        found.update(map(tuple, tx.rows(_MEMBERS, {"users": some})))
    return found


def require_members(tx: Tx, pairs: Iterable[tuple[str, str]]) -> None:
    """Check again, at apply, that each (org, user) is an active member; unbound transactions only.

    Raises Rejected `not_a_member` naming the first who is not.
    """
    wanted = dict.fromkeys(pairs)
    missing = wanted.keys() - active_members(tx, [user for _, user in wanted])
    for org, user in wanted if missing else ():
        if (org, user) in missing:
            raise Rejected(
                f"user {user} is not an active member of org {org}",
                code="not_a_member",
                hint="Make the person an active member again, then redrive; or discard.",
            )
