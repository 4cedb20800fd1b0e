"""What `insight` found, as CSV: one table a file, each line with how fresh its numbers are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from holdfast.learning.insight import CourseInsight, Overview

OverviewTable = Literal["courses", "events", "completed", "heard"]
CourseTable = Literal["lessons", "events", "completed"]

_COURSES: Final = ("id", "title", "assigned", "started", "completed", "completionRate")
_LESSONS: Final = ("id", "title", "position", "started", "completed", "dropOff")
_EVENTS: Final = ("day", "events", "learners")
_COMPLETED: Final = ("day", "lessonsCompleted", "learners")
_HEARD: Final = ("lastDay", "lastWeek", "lastMonth", "earlier", "never")


def overview_csv(found: Overview, table: OverviewTable = "courses") -> bytes:
    """One table of the overview."""
    tables: dict[OverviewTable, tuple[tuple[str, ...], Iterable[msgspec.Struct]]] = {
        "courses": (_COURSES, found.courses),
        "events": (_EVENTS, found.events),
        "completed": (_COMPLETED, found.completed),
        "heard": (_HEARD, [found.heard]),
    }
    return _table(*tables[table], found.data_fresh_as_of)


def course_csv(found: CourseInsight, table: CourseTable = "lessons") -> bytes:
    """One table of a course."""
    tables: dict[CourseTable, tuple[tuple[str, ...], Iterable[msgspec.Struct]]] = {
        "lessons": (_LESSONS, found.lessons),
        "events": (_EVENTS, found.by_day),
        "completed": (_COMPLETED, found.completed_by_day),
    }
    return _table(*tables[table], found.data_fresh_as_of)


def _table(head: tuple[str, ...], rows: Iterable[msgspec.Struct], fresh_as_of: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow((*head, "dataFreshAsOf"))
    for row in rows:
        writer.writerow([_inert(cell) for cell in (*msgspec.structs.astuple(row), fresh_as_of)])
    return out.getvalue().encode()


def _inert(cell: Any) -> Any:  # noqa: ANN401 - a cell of any kind
    """Keep a spreadsheet from running a text as a formula (OWASP: CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
