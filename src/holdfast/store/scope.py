"""Narrowing a statement to one org, so that a forgotten condition cannot show another org's rows.

Row-level security does this in PostgreSQL; SQLite has none, so it happens here, for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Delete, Executable, Insert, Select, Table, Update
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.sql.selectable import CTE, Alias, Join, Subquery


class OrgEscape(RuntimeError):
    """A statement in a scoped transaction could reach beyond its org: a fault in the code."""


def narrow(statement: Executable, org: str) -> Executable:
    """The statement, with the org's condition on each tenant table it names.

    Raises OrgEscape for what can't be narrowed: raw text, a subquery on a tenant table that does
    not name the org column itself, an outer join whose condition does not tie the orgs together, an
    update that looks at a second table or moves a row, and whatever is none of the four.
    """
    if not isinstance(statement, Select | Update | Delete | Insert):
        raise OrgEscape(f"a scoped transaction runs no {type(statement).__name__}")
    _refuse_what_hides(statement)
    if isinstance(statement, Select):
        for source in statement.get_final_froms():
            for condition in _conditions(source, org):
                statement = statement.where(condition)
        return statement
    column = _org_column(statement.table)
    if isinstance(statement, Insert):
        return _inserting(statement, org) if column is not None else statement
    _refuse_second_table(statement)
    if isinstance(statement, Update):
        _refuse_other_org([statement._values or {}], org)  # noqa: SLF001 - SQLAlchemy offers no public word for it
    return statement if column is None else statement.where(column == org)


def check_rows(statement: Executable, params: Any, org: str) -> None:  # noqa: ANN401 - rows of any shape
    """Refuse parameter sets that state another org."""
    if not isinstance(statement, Insert | Update | Delete) or params is None:
        return
    for row in params if isinstance(params, list | tuple) else [params]:
        if row.get("org_id", org) != org:
            raise OrgEscape("a row states another org than its transaction's")


def _org_column(source: Any) -> ColumnElement[Any] | None:  # noqa: ANN401 - sources have no one class
    """A table's org; None where it has none, or where what is inside a subquery speaks for itself."""
    if isinstance(source, Subquery | CTE):
        return None
    if isinstance(source, Table) or (isinstance(source, Alias) and isinstance(source.element, Table)):
        found: ColumnElement[Any] | None = source.c.get("org_id")
        return found
    raise OrgEscape(f"a scoped transaction reads from no {type(source).__name__}")


def _conditions(source: Any, org: str) -> list[ColumnElement[bool]]:  # noqa: ANN401
    if isinstance(source, Join):
        found = _conditions(source.left, org)
        if not source.isouter and not source.full:
            return found + _conditions(source.right, org)
        for right in _tables(source.right):
            column = _org_column(right)
            if source.full or (column is not None and not _names(source.onclause, column)):
                raise OrgEscape("an outer join to a tenant table must tie org_id in its condition")
        return found
    column = _org_column(source)
    return [] if column is None else [column == org]


def _tables(source: Any) -> Iterator[Any]:  # noqa: ANN401
    """What a source is joined of."""
    if isinstance(source, Join):
        yield from _tables(source.left)
        yield from _tables(source.right)
    else:
        yield source


def _ties(source: Any) -> Iterator[Any]:  # noqa: ANN401
    """The conditions of a source's joins."""
    if isinstance(source, Join):
        yield source.onclause
        yield from _ties(source.left)
        yield from _ties(source.right)


def _names(clause: Any, column: ColumnElement[Any]) -> bool:  # noqa: ANN401
    return clause is not None and any(each is column for each in visitors.iterate(clause))


def _refuse_what_hides(statement: Any) -> None:  # noqa: ANN401
    """Refuse raw text, and subqueries that do not name the org themselves, wherever they stand."""
    for part in (statement, *_set_on_conflict(statement).values()):
        for inner in visitors.iterate(part) if hasattr(part, "get_children") else ():
            if isinstance(inner, TextClause):
                raise OrgEscape("a scoped transaction runs no raw text")
            if isinstance(inner, Select) and inner is not statement:
                _refuse_open(inner)


def _refuse_open(inner: Select[Any]) -> None:
    for source in inner.get_final_froms():
        columns = [column for each in _tables(source) if (column := _org_column(each)) is not None]
        anchored = any(_names(inner.whereclause, column) for column in columns)
        tied = all(
            any(_names(clause, column) for clause in (inner.whereclause, *_ties(source)))
            for column in columns
        )
        if columns and not (anchored and tied):
            raise OrgEscape("a subquery on a tenant table must name org_id in its own condition")


def _refuse_second_table(statement: Update | Delete) -> None:
    """Refuse `update … from`: no condition would narrow what it reads."""
    clauses: list[Any] = [*statement._where_criteria]  # noqa: SLF001 - no public word for it
    if isinstance(statement, Update):
        clauses += (statement._values or {}).values()  # noqa: SLF001
    for clause in clauses:
        for source in clause._from_objects:  # noqa: SLF001
            if source is not statement.table and _org_column(source) is not None:
                raise OrgEscape("an update or delete reads a second tenant table in a subquery only")


def _inserting(statement: Insert, org: str) -> Insert:
    if statement.select is not None:
        raise OrgEscape("insert from select runs in an unbound transaction only")
    many: list[Any] = [row for rows in statement._multi_values for row in rows]  # noqa: SLF001
    _refuse_other_org([*many, statement._values or {}, _set_on_conflict(statement)], org)  # noqa: SLF001
    return statement if many else statement.values(org_id=org)


def _set_on_conflict(statement: Any) -> dict[Any, Any]:  # noqa: ANN401
    """What an insert writes over the row it collides with."""
    clause = getattr(statement, "_post_values_clause", None)
    return dict(getattr(clause, "update_values_to_set", ()))


def _refuse_other_org(rows: Iterable[Any], org: str) -> None:
    for row in rows:
        for column, value in row.items():
            stated = getattr(value, "value", value)
            if getattr(column, "key", column) == "org_id" and stated != org:
                raise OrgEscape("a row states another org than its transaction's")
