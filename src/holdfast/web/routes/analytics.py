"""How the school is doing, as JSON or as CSV."""

from __future__ import annotations

from typing import Final

from holdfast.core.errors import Rejected
from holdfast.learning.insight import CourseInsight, Overview, course_insight, overview
from holdfast.learning.insight_tables import CourseTable, OverviewTable, course_csv, overview_csv
from holdfast.web.calls import Answer, Ask, Call, Wire

JSON: Final = "application/json"
CSV: Final = "text/csv"


class OverviewQuery(Wire):
    """Which of its tables, as CSV; JSON has all of them."""

    table: OverviewTable = "courses"


class CourseQuery(Wire):
    """Which of its tables, as CSV; JSON has all of them."""

    table: CourseTable = "lessons"


async def show_overview(ask: Ask) -> Answer:
    """The org at a glance; as CSV one of its tables."""
    media, org = chosen_media(ask.headers.get("accept", "")), ask.my_org
    now_s, fresh = ask.portal.clock.now_s(), ask.portal.data_as_of(org)
    found = await ask.portal.store.read(org, lambda tx: overview(tx, org, now_s=now_s, fresh_as_of=fresh))
    if media == JSON:
        return _json(found)
    table = ask.query.table
    return _csv(overview_csv(found, table), f"{table}.csv")


async def show_course(ask: Ask) -> Answer:
    """One course in detail; as CSV one of its tables."""
    media, org = chosen_media(ask.headers.get("accept", "")), ask.my_org
    course_id = ask.path["course_id"]
    now_s, fresh = ask.portal.clock.now_s(), ask.portal.data_as_of(org)
    found = await ask.portal.store.read(
        org, lambda tx: course_insight(tx, org, course_id, now_s=now_s, fresh_as_of=fresh)
    )
    if media == JSON:
        return _json(found)
    table = ask.query.table
    return _csv(course_csv(found, table), f"{table}-of-course.csv")


def chosen_media(accept: str) -> str:
    """JSON or CSV, whichever the Accept header likes better; JSON when it likes both alike.

    Raises Rejected `not_acceptable` when it takes neither.
    """
    liked = {JSON: _quality(accept, JSON), CSV: _quality(accept, CSV)}
    if not any(liked.values()):
        raise Rejected(
            "this address gives application/json or text/csv",
            code="not_acceptable",
            hint="Accept one of them.",
        )
    return CSV if liked[CSV] > liked[JSON] else JSON


def _quality(accept: str, media: str) -> float:
    """How much the header likes a media type (RFC 9110, 12.5.1): the most specific range decides."""
    best = (-1, 0.0)
    for each in (accept or "*/*").split(","):
        name, *parameters = (part.strip().lower() for part in each.split(";"))
        ranges = ("*/*", f"{media.partition('/')[0]}/*", media)
        if name not in ranges:
            continue
        best = max(best, (ranges.index(name), _weight(parameters)))
    return best[1]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _json(found: Overview | CourseInsight) -> Answer:
    return Answer(found, headers={"Vary": "Accept"})


def _csv(data: bytes, file_name: str) -> Answer:
    headers = {"Vary": "Accept", "Content-Disposition": f'attachment; filename="{file_name}"'}
    return Answer(data, media_type=f"{CSV}; charset=utf-8", headers=headers)


CALLS: Final[tuple[Call, ...]] = (
    Call(
        "GET",
        "/api/admin/analytics/overview",
        show_overview,
        action="analytics.read",
        returns=Overview,
        query=OverviewQuery,
        gives=(JSON, CSV),
        summary="Learners, courses and the last days' events.",
    ),
    Call(
        "GET",
        "/api/admin/analytics/courses/{course_id}",
        show_course,
        action="analytics.read",
        returns=CourseInsight,
        query=CourseQuery,
        gives=(JSON, CSV),
        summary="One course: who started and completed each lesson, and where they stop.",
    ),
)
