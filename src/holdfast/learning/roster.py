"""Import people from a CSV file: each bad row is named with its line and why, the good ones are kept.

Header `email,name,role` and, if wanted, `password`; commas or semicolons; UTF-8. A row is a line:
a quote that is never closed spoils its own line and no other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec
from sqlalchemy import insert, select, update

from holdfast.access.passwords import check_new_password
from holdfast.core.errors import Rejected
from holdfast.core.ids import uuid7
from holdfast.learning.orgs import in_lists, now_text
from holdfast.learning.people import OrgRole, checked_email, checked_name, only_here
from holdfast.store.port import Tx
from holdfast.store.schema import memberships, users

MAX_ROWS: Final = 10_000
MAX_PASSWORDS: Final = 500
"""Most passwords in one file: each costs about 20 ms of a core to hash."""

_REQUIRED: Final = ("email", "name", "role")
_COLUMNS: Final = frozenset((*_REQUIRED, "password"))
_HINT: Final = "Begin the file with the line email,name,role or email,name,role,password."


class RosterRow(NamedTuple):
    """One good row, checked; `line` counts from 1, the header's line included."""

    line: int
    email: str
    name: str
    role: OrgRole
    password: str | None


class FailedRow(msgspec.Struct, rename="camel"):
    """One row that was left out."""

    line: int
    email: str
    reason: str


class RosterReport(msgspec.Struct, rename="camel", kw_only=True):
    """What an import did. `updated` people got a name, a role or a first password they did not have."""

    created: int
    updated: int
    unchanged: int
    failed: list[FailedRow]


class Roster(NamedTuple):
    """A file, read."""

    rows: list[RosterRow]
    failed: list[FailedRow]


def read_roster(data: bytes, *, demo: bool) -> Roster:
    """The file's rows, good and bad. `demo`: whether the demo's published password may be set.

    Raises Rejected `import_refused`, with nothing imported, for a file that is not UTF-8, whose header
    is wrong, or that holds more than 10,000 rows or 500 passwords.
    """
    lines = re.split("\r\n|\r|\n", _text(data))
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise Rejected("the file is empty", code="import_refused", hint=_HINT)
    separator = ";" if lines[first].count(";") > lines[first].count(",") else ","
    columns = _header(lines[first], separator)
    body = [(number, line) for number, line in enumerate(lines[first + 1 :], first + 2) if line.strip()]
    if len(body) > MAX_ROWS:
        raise Rejected(
            f"the file holds {len(body)} rows, {MAX_ROWS} are allowed",
            code="import_refused",
            hint="Send it in several files.",
        )
    found = Roster([], [])
    seen: dict[str, int] = {}
    for number, line in body:
        cells: dict[str, str] = {}
        try:
            cells = _cells(line, separator, columns)
            row = _row(number, cells, seen, demo=demo)
        except Rejected as fault:
            found.failed.append(FailedRow(number, cells.get("email", "")[:254], fault.message))
        else:
            seen[row.email] = number
            found.rows.append(row)
    if sum(row.password is not None for row in found.rows) > MAX_PASSWORDS:
        raise Rejected(
            f"the file sets more than {MAX_PASSWORDS} passwords",
            code="import_refused",
            hint="Send it in several files.",
        )
    return found


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = len(re.findall(rb"\r\n|\r|\n", data[: fault.start])) + 1
        raise Rejected(
            f"line {line} is not UTF-8", code="import_refused", hint="Save the file as CSV in UTF-8."
        ) from None


def _header(line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as fault:
        raise Rejected(f"the header can't be read: {fault}", code="import_refused", hint=_HINT) from None
    names = [cell.strip().lower() for cell in cells]
    missing = [name for name in _REQUIRED if name not in names]
    unknown = [name for name in names if name not in _COLUMNS]
    if missing or unknown or len(set(names)) < len(names):
        what = (
            f"lacks {', '.join(missing)}"
            if missing
            else f"names {unknown[0][:64]!r}, which is not known"
            if unknown
            else "names a column twice"
        )
        raise Rejected(f"the header {what}", code="import_refused", hint=_HINT)
    return names


def _cells(line: str, separator: str, columns: list[str]) -> dict[str, str]:
    try:
        cells = next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as fault:
        raise Rejected(f"the line can't be read: {fault}") from None
    if len(cells) != len(columns):
        raise Rejected(f"the line has {len(cells)} cells, the header has {len(columns)}")
    return dict(zip(columns, cells, strict=True))


def _row(line: int, cells: Mapping[str, str], seen: Mapping[str, int], *, demo: bool) -> RosterRow:
    email, name = checked_email(cells["email"]), checked_name(cells["name"])
    if email in seen:
        raise Rejected(f"the address stands in line {seen[email]} already")
    role = cells["role"].strip().lower()
    if role not in ("learner", "admin"):
        raise Rejected("role must be learner or admin")
    password = cells.get("password") or None
    if password is not None:
        check_new_password(password, demo=demo)
    return RosterRow(line, email, name, cast("OrgRole", role), password)


def with_password(tx: Tx, org: str, rows: Iterable[RosterRow]) -> list[RosterRow]:
    """The rows whose password must be hashed: of all but the org's members who have one. Unbound.

    Strangers are hashed for too, or the answer's time would tell who has an account elsewhere.
    """
    asking = [row for row in rows if row.password is not None]
    known = _known(tx, [row.email for row in asking])
    settled = {email for email, user in known.items() if user.has_password and org in user.orgs}
    return [row for row in asking if row.email not in settled]


class _User(NamedTuple):
    id: str
    name: str
    has_password: bool
    orgs: dict[str, dict[str, bool]]
    """Org -> role -> whether it is active."""


def import_roster(tx: Tx, org: str, roster: Roster, hashes: Mapping[str, str]) -> RosterReport:
    """Write a roster, in an unbound transaction; `hashes` is address -> password hash.

    A role is added, never taken away. A name and a first password are set only for people who are in
    no other org. Who was closed in this org is not opened by a list: that row fails.
    """
    report = RosterReport(created=0, updated=0, unchanged=0, failed=list(roster.failed))
    known = _known(tx, [row.email for row in roster.rows])
    own = only_here(tx, org, [user.id for user in known.values()])
    at = now_text()
    new_users: list[dict[str, Any]] = []
    new_roles: list[dict[str, Any]] = []
    for row in roster.rows:
        user = known.get(row.email)
        mine = user.orgs.get(org, {}) if user else {}
        if mine and not any(mine.values()):
            reason = "this person was closed in this org: open them again first"
            report.failed.append(FailedRow(row.line, row.email, reason))
            continue
        user_id = user.id if user else uuid7()
        if row.role not in mine:
            role = {"org_id": org, "user_id": user_id, "role": row.role, "active": True, "created_at": at}
            new_roles.append(role)
        if user is None:
            new_users.append(_new_user(user_id, row, hashes.get(row.email), at))
        changes = _changes(user, row, hashes) if user and mine and user_id in own else {}
        if changes:
            tx.run(update(users).where(users.c.id == user_id).values(**changes))
        if not mine:
            report.created += 1
        elif changes or row.role not in mine:
            report.updated += 1
        else:
            report.unchanged += 1
    for table, rows in ((users, new_users), (memberships, new_roles)):
        if rows:
            tx.run(insert(table), rows)
    report.failed.sort(key=lambda failed: failed.line)
    return report


def _new_user(user_id: str, row: RosterRow, password_hash: str | None, at: str) -> dict[str, Any]:
    flags = {"operator": False, "active": True, "demo": False, "created_at": at}
    return {"id": user_id, "email": row.email, "name": row.name, "password_hash": password_hash, **flags}


def _changes(user: _User, row: RosterRow, hashes: Mapping[str, str]) -> dict[str, str]:
    changes: dict[str, str] = {}
    if user.name != row.name:
        changes["name"] = row.name
    if not user.has_password and row.email in hashes:
        changes["password_hash"] = hashes[row.email]
    return changes


def _known(tx: Tx, emails: Sequence[str]) -> dict[str, _User]:
    """Address -> the person who has it."""
    found: dict[str, _User] = {}
    for some in in_lists(emails):
        has = users.c.password_hash.is_not(None).label("has_password")
        by_id: dict[str, _User] = {}
        for row in tx.rows(
            select(users.c.id, users.c.email, users.c.name, has).where(users.c.email.in_(some))
        ):
            found[row.email] = by_id[row.id] = _User(row.id, row.name, bool(row.has_password), {})
        for row in tx.rows(select(memberships).where(memberships.c.user_id.in_(list(by_id)))):
            by_id[row.user_id].orgs.setdefault(row.org_id, {})[row.role] = row.active
    return found
