"""Analytics events: kept as they were recorded, and counted per learner and day.

The fastest lane, so each event costs little: `data` stays the bytes it came as, and a batch is one
append and one upsert.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy import Insert, case

from holdfast.core.errors import Rejected
from holdfast.events.kind import Applied
from holdfast.learning.orgs import require_members
from holdfast.learning.progress import SEEN_IDS, SeenId, is_id, not_ids
from holdfast.learning.statements import EngineInsert, append, engine_insert, insert_all
from holdfast.store.port import Tx
from holdfast.store.schema import activity, analytics_events

NAME_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_.-]{0,99}\Z"
_NAME = re.compile(NAME_PATTERN)
_OBJECT: Final = ord("{")


@lru_cache(SEEN_IDS)
def is_name(text: str) -> bool:
    """Whether something can be called so; remembered of the latest, for few are new."""
    return _NAME.match(text) is not None


def _no_data() -> msgspec.Raw:
    return msgspec.Raw(b"{}")


class AnalyticsRecorded(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True, gc=False):
    """`analytics.recorded` v1: something that happened on a page.

    `data` is any JSON object in UTF-8, at most 64 levels deep, of numbers that 64 bits can hold.
    """

    name: Annotated[str, Meta(extra_json_schema={"pattern": NAME_PATTERN})]
    course_id: SeenId | None = None
    lesson_id: SeenId | None = None
    data: msgspec.Raw = msgspec.field(default_factory=_no_data)

    def __post_init__(self) -> None:
        """Refuse names and ids that can't be one, and data that is no object; what is in it stays unread."""
        if not is_name(self.name):
            raise ValueError("name must be 1 to 100 letters, digits and _ . -, and begin with a letter")
        course, lesson = self.course_id, self.lesson_id
        if (course is not None and not is_id(course)) or (lesson is not None and not is_id(lesson)):
            raise ValueError(not_ids("courseId and lessonId"))
        if memoryview(self.data)[0] != _OBJECT:
            raise ValueError("data must be an object")


def apply_recorded(tx: Tx, batch: Sequence[Applied[AnalyticsRecorded]]) -> None:
    """Append the batch, and count it per org, course, lesson, day (UTC, of `occurred_at`), user and name.

    A course nobody knows is no fault here: pages of courses long gone still report. Counts add up, so
    only the applier's marks keep an event from being counted twice. `last_at` is the latest receipt.
    Raises Rejected `not_a_member`, and `invalid` for data that is not UTF-8.
    """
    rows: list[tuple[Any, ...]] = []
    counts: dict[tuple[str, str, str, str, str, str], list[Any]] = {}
    try:
        for event_id, org, user, _, received_at, occurred_at, body in batch:
            course, lesson, name = body.course_id, body.lesson_id, body.name
            rows.append((org, event_id, user, name, course, lesson, occurred_at, str(body.data, "utf-8")))
            key = (org, course or "", lesson or "", occurred_at[:10], user, name)
            known = counts.get(key)
            if known is None:
                counts[key] = [1, received_at]
            else:
                known[0] += 1
                # Not by max(): a call costs more than the whole comparison, and this runs for each event.
                if received_at > known[1]:  # noqa: PLR1730
                    known[1] = received_at
    except UnicodeDecodeError:
        # Refused at the door since; journals from before may hold it.
        raise Rejected("data is not UTF-8") from None
    require_members(tx, [(org, user) for org, _, _, _, user, _ in counts])
    append(tx, analytics_events, rows)
    upsert = _count(engine_insert(tx, activity))
    tx.many(upsert, [(*key, number, last_at) for key, (number, last_at) in counts.items()])


@cache
def _count(insert: EngineInsert) -> Insert:
    """Add to what was counted."""
    statement = insert_all(insert, activity)
    old, new = activity.c, statement.excluded
    made: Insert = statement.on_conflict_do_update(
        index_elements=list(activity.primary_key),
        set_={
            "count": old["count"] + new["count"],
            "last_at": case((new.last_at > old.last_at, new.last_at), else_=old.last_at),
        },
    )
    return made
