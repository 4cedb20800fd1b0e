"""The table of calls: every route of the portal, in the order the router tries them."""

from __future__ import annotations

from typing import Final

from holdfast.web.calls import Call
from holdfast.web.routes import (
    analytics,
    assignments,
    auth,
    courses,
    erasing,
    events,
    flags,
    health,
    learner,
    letters,
    operator,
    people,
    rebuild,
    replay,
    tokens,
)

CALLS: Final[tuple[Call, ...]] = (
    *events.CALLS,
    *auth.CALLS,
    *tokens.CALLS,
    *learner.CALLS,
    *letters.CALLS,
    *courses.CALLS,
    *people.CALLS,
    *assignments.CALLS,
    *analytics.CALLS,
    *flags.CALLS,
    *operator.CALLS,
    *replay.CALLS,
    *rebuild.CALLS,
    *erasing.CALLS,
    *health.CALLS,
)
