"""Narrowing a statement to one org, so that a forgotten condition cannot show another org's rows.

Row-level security does this in PostgreSQL; SQLite has none, so it happens here, for both.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Delete, Executable, Insert, Select, Update
from sqlalchemy.sql import visitors
from sqlalchemy.sql.dml import ValuesBase
from sqlalchemy.sql.selectable import Alias, FromClause, Join, TableClause


class OrgEscape(RuntimeError):
    """A statement in a scoped transaction could reach beyond its org: a fault in the code."""


def narrow(statement: Executable, org: str) -> Executable:
    """The statement, with the org's condition on each tenant table it names.

    Raises OrgEscape for what can't be narrowed: raw text, a subquery on a tenant table that does
    not name the org column itself, an outer join whose condition does not tie the orgs together.
    """
    if isinstance(statement, Select):
        _refuse_open_subqueries(statement)
        for source in statement.get_final_froms():
            for condition in _conditions(source, org):
                statement = statement.where(condition)
        return statement
    if isinstance(statement, Update | Delete):
        _refuse_open_subqueries(statement)
        column = _org_column(statement.table)
        return statement if column is None else statement.where(column == org)
    if isinstance(statement, Insert):
        if statement.select is not None:
            raise OrgEscape("insert from select runs in an unbound transaction only")
        column = _org_column(statement.table)
        if column is None:
            return statement
        _refuse_other_org(statement, org)
        return statement.values(org_id=org) if not _is_multi(statement) else statement
    raise OrgEscape(f"a scoped transaction runs no {type(statement).__name__}")


def check_rows(statement: Executable, params: Any, org: str) -> None:  # noqa: ANN401 - rows of any shape
    """Refuse parameter sets that state another org."""
    if not isinstance(statement, Insert | Update | Delete) or params is None:
        return
    for row in params if isinstance(params, list | tuple) else [params]:
        if row.get("org_id", org) != org:
            raise OrgEscape("a row states another org than its transaction's")


def _org_column(source: FromClause | Any) -> ColumnElement[Any] | None:  # noqa: ANN401
    return source.c.get("org_id") if isinstance(source, TableClause | Alias) else None


def _conditions(source: Any, org: str) -> list[ColumnElement[bool]]:  # noqa: ANN401
    if isinstance(source, Join):
        found = _conditions(source.left, org)
        right = _org_column(source.right)
        if not source.isouter and not source.full:
            return found + _conditions(source.right, org)
        if source.full or (right is not None and not _names(source.onclause, right)):
            raise OrgEscape("an outer join to a tenant table must tie org_id in its condition")
        return found
    column = _org_column(source)
    return [] if column is None else [column == org]


def _names(clause: Any, column: ColumnElement[Any]) -> bool:  # noqa: ANN401
    return clause is not None and any(each is column for each in visitors.iterate(clause))


def _refuse_open_subqueries(statement: Any) -> None:  # noqa: ANN401
    for inner in visitors.iterate(statement):
        if not isinstance(inner, Select) or inner is statement:
            continue
        for source in inner.get_final_froms():
            column = _org_column(source)
            if column is not None and not _names(inner.whereclause, column):
                raise OrgEscape("a subquery on a tenant table must name org_id in its own condition")


def _is_multi(statement: ValuesBase) -> bool:
    return bool(statement._multi_values)  # noqa: SLF001 - SQLAlchemy offers no public word for it


def _refuse_other_org(statement: Insert, org: str) -> None:
    rows: list[Any] = [row for rows in statement._multi_values for row in rows]  # noqa: SLF001
    if statement._values:  # noqa: SLF001
        rows.append(statement._values)  # noqa: SLF001
    for row in rows:
        for column, value in row.items():
            stated = getattr(value, "value", value)
            if getattr(column, "key", column) == "org_id" and stated != org:
                raise OrgEscape("a row states another org than its transaction's")
