"""A few people and orgs for tests."""

from __future__ import annotations

from sqlalchemy import insert, update

from holdfast.access.passwords import hash_password
from holdfast.store.port import Tx
from holdfast.store.schema import memberships, orgs, users

AT = "2026-11-23T14:50:00.000Z"
PASSWORD = "correct horse battery"


def fill(tx: Tx) -> None:
    """Tidewater and Highland; Ada learns in both and administers the second, Olu operates."""
    for org in ("tidewater", "highland"):
        tx.run(insert(orgs).values(id=f"o-{org}", slug=org, name=org.title(), created_at=AT))
    person(tx, "ada", password=PASSWORD)
    person(tx, "olu", password=PASSWORD, operator=True)
    person(tx, "cleo", password=PASSWORD)
    member(tx, "ada", "tidewater", "learner", AT)
    member(tx, "ada", "highland", "learner", AT.replace("14", "15", 1))
    member(tx, "ada", "highland", "admin", AT.replace("14", "16", 1))


def person(
    tx: Tx, name: str, *, password: str | None = None, operator: bool = False, demo: bool = False
) -> None:
    """Somebody whose id is `u-<name>`."""
    row = {
        "id": f"u-{name}",
        "email": f"{name}@tidewater.example",
        "name": name.title(),
        "password_hash": hash_password(password) if password else None,
        "operator": operator,
        "active": True,
        "demo": demo,
        "created_at": AT,
    }
    tx.run(insert(users).values(row))


def member(tx: Tx, name: str, org: str, role: str, at: str = AT) -> None:
    """A membership."""
    row = {"org_id": f"o-{org}", "user_id": f"u-{name}", "role": role, "active": True, "created_at": at}
    tx.run(insert(memberships).values(row))


def close_account(tx: Tx, name: str) -> None:
    """Somebody is no longer active."""
    tx.run(update(users).where(users.c.id == f"u-{name}").values(active=False))


def end_membership(tx: Tx, name: str, org: str) -> None:
    """Somebody is no longer in an org."""
    where = (memberships.c.user_id == f"u-{name}", memberships.c.org_id == f"o-{org}")
    tx.run(update(memberships).where(*where).values(active=False))
