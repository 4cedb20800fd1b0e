"""People of an org: make, change, list.

A person is platform-wide and may be in several orgs; an admin sees and changes what is their own
org's. So an account that exists elsewhere is only added: neither its password nor its name is
touched, and the answer looks the same as for a new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta
from sqlalchemy import ColumnElement, delete, exists, func, insert, or_, select, update

from holdfast.access.members import normal_email
from holdfast.core.errors import Conflict, Rejected
from holdfast.core.ids import uuid7
from holdfast.learning.orgs import NAME_CHARS, in_lists, now_text
from holdfast.store.port import Tx
from holdfast.store.schema import assignments, memberships, users

OrgRole = Literal["learner", "admin"]
"""The roles an admin may give; `operator` is the platform's and no address grants it."""
OrgRoles = Annotated[list[OrgRole], Meta(min_length=1, max_length=2)]
EMAIL_CHARS: Final = 254

_EMAIL = re.compile(r"[^@\s,;<>()\"]{1,64}@[^@\s,;<>()\"]+\.[^@\s,;<>()\".]+\Z")


class Person(msgspec.Struct, rename="camel", kw_only=True):
    """One person as an org sees them; `created_at` is when they joined it."""

    id: str
    email: str
    name: str
    roles: list[OrgRole]
    active: bool
    created_at: str


class PeoplePage(msgspec.Struct, rename="camel", kw_only=True):
    """Some people by e-mail address; `next` asks for the ones after them, `total` counts all pages."""

    items: list[Person]
    next: str | None
    total: int


class KnownPerson(msgspec.Struct, rename="camel", kw_only=True):
    """A person of the org under the word they were asked for by: an e-mail address or an id."""

    asked: str
    id: str
    name: str
    email: str
    active: bool


class PeopleFound(msgspec.Struct, rename="camel", kw_only=True):
    """Who stands behind a list of addresses and ids; `unknown`: words that name nobody of the org."""

    items: list[KnownPerson]
    unknown: list[str]


class PersonChange(msgspec.Struct, kw_only=True):
    """What to change; None leaves it."""

    name: str | None = None
    active: bool | None = None
    roles: list[OrgRole] | None = None


def checked_email(text: str) -> str:
    """An address in its one spelling. Raises Rejected when it can't be one."""
    email = normal_email(text)
    if len(email) > EMAIL_CHARS or not _EMAIL.match(email) or not email.isprintable():
        raise Rejected("email must be an address such as ada@school.example")
    return email


def checked_name(text: str) -> str:
    """A person's name without outer spaces. Raises Rejected when it is empty, too long or unprintable."""
    name = text.strip()
    if not 1 <= len(name) <= NAME_CHARS or not name.isprintable():
        raise Rejected(f"name must be 1 to {NAME_CHARS} printable characters")
    return name


def create_user(
    tx: Tx,
    org: str,
    *,
    email: str,
    name: str,
    roles: Sequence[OrgRole],
    password_hash: str | None = None,
    demo: bool = False,
    user_id: str | None = None,
) -> Person:
    """Make a person, or add one who exists elsewhere, to an org; in an unbound transaction.

    Without a password nobody can sign in with one until it is set. Raises Conflict `already_exists`
    for a member of the org, active or not; Rejected for what can't be an address or a name.
    """
    email, name, at = checked_email(email), checked_name(name), now_text()
    found = tx.rows(select(users.c.id).where(users.c.email == email))
    if found and _roles(tx, org, [found[0].id]):
        raise Conflict(
            f"{email} is in this org already",
            code="already_exists",
            hint="Change the person instead; a closed one can be opened again.",
        )
    own_id = found[0].id if found else _add_user(tx, email, name, password_hash, demo=demo, user_id=user_id)
    wanted = sorted(set(roles))
    _add_roles(tx, org, own_id, wanted, active=True, at=at)
    # The name as it was asked for: another org's spelling of it is not told.
    return Person(id=own_id, email=email, name=name, roles=wanted, active=True, created_at=at)


def create_operator(
    tx: Tx, *, email: str, name: str, password_hash: str, demo: bool = False, user_id: str | None = None
) -> str:
    """Make an operator of the platform, for seeds and commands: no address does this. Their id.

    Raises Conflict `already_exists` when somebody has the address.
    """
    email = checked_email(email)
    if tx.rows(select(users.c.id).where(users.c.email == email)):
        raise Conflict(f"{email} exists already", code="already_exists")
    return _add_user(tx, email, checked_name(name), password_hash, demo=demo, user_id=user_id, operator=True)


def _add_user(
    tx: Tx,
    email: str,
    name: str,
    password_hash: str | None,
    *,
    demo: bool,
    user_id: str | None,
    operator: bool = False,
) -> str:
    row = {"id": user_id or uuid7(), "email": email, "name": name, "password_hash": password_hash}
    flags = {"operator": operator, "active": True, "demo": demo, "created_at": now_text()}
    tx.run(insert(users).values(**row, **flags))
    return cast("str", row["id"])


def change_person(tx: Tx, org: str, user_id: str, change: PersonChange, *, actor: str) -> Person:
    """Change a member of an org, in an unbound transaction; `active` opens and closes them in this org.

    Raises Rejected: `not_found` when there is no such member, `forbidden` for an admin who would close
    or demote themselves, and for the name of a person who is in other orgs too.
    """
    before = _person(tx, org, user_id)
    roles = sorted(set(change.roles)) if change.roles is not None else before.roles
    active = before.active if change.active is None else change.active
    if (
        user_id == actor
        and before.active
        and (not active or ("admin" in before.roles and "admin" not in roles))
    ):
        raise Rejected(
            "you can't close or demote yourself", code="forbidden", hint="Let another admin of the org do it."
        )
    if change.name is not None and (name := checked_name(change.name)) != before.name:
        if user_id not in only_here(tx, org, [user_id]):
            raise Rejected("this person's name is not this org's to change", code="forbidden")
        tx.run(update(users).where(users.c.id == user_id).values(name=name))
    mine = (memberships.c.org_id == org, memberships.c.user_id == user_id)
    if roles != before.roles:
        tx.run(delete(memberships).where(*mine, memberships.c.role.not_in(roles)))
        missing = [role for role in roles if role not in before.roles]
        _add_roles(tx, org, user_id, missing, active=active, at=before.created_at)
    if active != before.active:
        tx.run(update(memberships).where(*mine).values(active=active))
    return _person(tx, org, user_id)


def set_password(tx: Tx, org: str, user_id: str, password_hash: str) -> None:
    """Give a member a new password, in an unbound transaction.

    Raises Rejected `forbidden` for a person who is in other orgs too: their account is not one org's.
    """
    if user_id not in only_here(tx, org, [user_id]):
        raise Rejected(
            "this person's password is not this org's to set",
            code="forbidden",
            hint="They are in another org too, and change it themselves.",
        )
    tx.run(update(users).where(users.c.id == user_id).values(password_hash=password_hash))


def list_people(
    tx: Tx,
    org: str,
    *,
    limit: int,
    search: str | None = None,
    role: OrgRole | None = None,
    active: bool | None = None,
    without_course: str | None = None,
    after: str | None = None,
) -> PeoplePage:
    """Members of an org by e-mail address, in a transaction scoped to it.

    `search` is found anywhere in name or address, whatever its case; `without_course`: only whom that
    course is not assigned to; `after` is a page's `next`.
    """
    member = exists().where(memberships.c.org_id == org, memberships.c.user_id == users.c.id)
    if role is not None:
        member = member.where(memberships.c.role == role)
    if active is not None:
        member = member.where(memberships.c.active == active)
    asked = select(users.c.id, users.c.email, users.c.name).where(member)
    if search:
        asked = asked.where(named_like(search))
    if without_course is not None:
        has = (assignments.c.org_id == org, assignments.c.user_id == users.c.id, assignments.c.active)
        asked = asked.where(~exists().where(*has, assignments.c.course_id == without_course))
    total = tx.rows(select(func.count()).select_from(asked.subquery()))[0][0]
    if after is not None:
        asked = asked.where(users.c.email > after)
    found = tx.rows(asked.order_by(users.c.email).limit(limit + 1))
    roles = _roles(tx, org, [row.id for row in found[:limit]])
    items = [_worded(row, roles[row.id]) for row in found[:limit]]
    return PeoplePage(items=items, next=items[-1].email if len(found) > limit else None, total=total)


def named_like(search: str) -> ColumnElement[bool]:
    """The condition that a text is found anywhere in a user's name or address, whatever its case."""
    wanted = search.strip()
    # The engine's lower() may know ASCII only, so the text as it was typed counts too.
    return or_(
        users.c.email.contains(wanted.lower(), autoescape=True),
        func.lower(users.c.name).contains(wanted.lower(), autoescape=True),
        users.c.name.contains(wanted, autoescape=True),
    )


def find_people(tx: Tx, org: str, asked: Sequence[str]) -> PeopleFound:
    """Who of the org has these e-mail addresses or ids, in a transaction scoped to it.

    A word with an @ is an address. What another org's people are called is not told: they are unknown.
    """
    words = list(dict.fromkeys(word.strip() for word in asked if word.strip()))
    keys = {word: normal_email(word) if "@" in word else word for word in words}
    rows: dict[str, Any] = {}
    for some in in_lists(list(dict.fromkeys(keys.values()))):
        member = exists().where(memberships.c.org_id == org, memberships.c.user_id == users.c.id)
        mine = select(users.c.id, users.c.email, users.c.name, users.c.active).where(member)
        for found in tx.rows(mine.where(or_(users.c.email.in_(some), users.c.id.in_(some)))):
            rows[found.email] = rows[found.id] = found
    roles = _roles(tx, org, list({row.id: None for row in rows.values()}))
    items = [
        KnownPerson(
            asked=word,
            id=row.id,
            name=row.name,
            email=row.email,
            active=row.active and any(each.active for each in roles[row.id]),
        )
        for word in words
        if (row := rows.get(keys[word])) is not None
    ]
    return PeopleFound(items=items, unknown=[word for word in words if keys[word] not in rows])


def only_here(tx: Tx, org: str, user_ids: Iterable[str]) -> set[str]:
    """Which of these people are this org's alone: in no other, and no operators. Unbound."""
    wanted = list(user_ids)
    elsewhere: set[str] = set()
    for some in in_lists(wanted):
        rows = tx.rows(
            select(users.c.id)
            .join(memberships, memberships.c.user_id == users.c.id, isouter=True)
            .where(users.c.id.in_(some), or_(memberships.c.org_id != org, users.c.operator))
        )
        elsewhere.update(row.id for row in rows)
    return set(wanted) - elsewhere


def _person(tx: Tx, org: str, user_id: str) -> Person:
    rows = tx.rows(select(users.c.id, users.c.email, users.c.name).where(users.c.id == user_id))
    roles = _roles(tx, org, [user_id])
    if not rows or not roles:
        raise Rejected("there is no such person in this org", code="not_found")
    return _worded(rows[0], roles[user_id])


def _worded(row: Any, roles: list[Any]) -> Person:  # noqa: ANN401 - rows of memberships
    return Person(
        id=row.id,
        email=row.email,
        name=row.name,
        roles=sorted(each.role for each in roles),
        active=any(each.active for each in roles),
        created_at=min(each.created_at for each in roles),
    )


def _roles(tx: Tx, org: str, user_ids: Sequence[str]) -> dict[str, list[Any]]:
    """User -> their rows of membership in the org."""
    found: dict[str, list[Any]] = {}
    for some in in_lists(user_ids):
        rows = tx.rows(
            select(memberships).where(memberships.c.org_id == org, memberships.c.user_id.in_(some))
        )
        for row in rows:
            found.setdefault(row.user_id, []).append(row)
    return found


def _add_roles(tx: Tx, org: str, user_id: str, roles: Sequence[OrgRole], *, active: bool, at: str) -> None:
    row = {"org_id": org, "user_id": user_id, "active": active, "created_at": at}
    for role in roles:
        tx.run(insert(memberships).values(**row, role=role))
