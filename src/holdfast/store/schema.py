"""The tables, once, for every engine. Migrations must arrive at exactly these (a test proves it).

Times are RFC 3339 UTC text of 24 characters: they sort as they read, and look the same in every
engine. Tenant tables have `org_id` first in their key; a scoped transaction binds it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# The spine: what proves that each event had one effect

marks: Final = Table(
    "marks",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("digest", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""One row an applied event; written in the same transaction as its effect."""

cursors: Final = Table(
    "cursors",
    metadata,
    Column("lane", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("moved_at", Text, nullable=False),
)
"""The position each lane's applier has finished."""

leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("taken_at", Text, nullable=False),
)
"""A fenced lease: whoever raised the epoch last is the only one whose transactions commit."""

ledger: Final = Table(
    "ledger",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("lane", Text, primary_key=True),
    Column("applied", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("dead", BigInteger, nullable=False),
)
"""What became of the journal's events, per org and lane; `accepted` is the journal's own count."""

dead_letters: Final = Table(
    "dead_letters",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("digest", BigInteger, primary_key=True),
    Column("lane", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("received_at", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    Column("redrives", SmallInteger, nullable=False),
    Column("parked_at", Text, nullable=False),
    Column("settled_at", Text),
    Column("settled_by", Text),
    Column("settled_why", Text),
    Column("corrected", LargeBinary),
    CheckConstraint("status in ('parked','redriven','discarded','exhausted')", name="status"),
    Index(None, "org_id", "status", "parked_at"),
)
"""Records the applier gave up on, each with its reason and its exact bytes; `corrected` is the body that
a person sent through in the place of the record's own."""

replay_jobs: Final = Table(
    "replay_jobs",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("request", JSON, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("progress", Float, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("sample", JSON, nullable=False),
    Column("problems", JSON, nullable=False),
    Column("why", Text),
    Column("created_at", Text, nullable=False),
    Column("ended_at", Text),
    CheckConstraint("status in ('queued','running','done','failed','cancelled')", name="status"),
    Index(None, "status", "created_at"),
)
"""Replays: what was asked, and how far each has come; `place` is written with the rows it changed."""

erasures: Final = Table(
    "erasures",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("user_id", Text),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("receipt", JSON),
)
"""Erasures of a person's data. `user_id` is there until it is done; `subject` is a salted hash of it."""

devices: Final = Table(
    "devices",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("device_id", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("seqs", JSON, nullable=False),
    Column("seen_at", Text, nullable=False),
)
"""Which sequence numbers of a device's outbox arrived: `seqs` is a list of [from, to], both in."""

loss_receipts: Final = Table(
    "loss_receipts",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("missing", JSON, nullable=False),
    Column("cause", Text, nullable=False),
    Column("received_at", Text, nullable=False),
)

# Who

orgs: Final = Table(
    "orgs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)

users: Final = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text),
    Column("operator", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("demo", Boolean, nullable=False),
    Column("created_at", Text, nullable=False),
)
"""People. Platform-wide: what they may see is in `memberships`."""

memberships: Final = Table(
    "memberships",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("active", Boolean, nullable=False),
    Column("created_at", Text, nullable=False),
    ForeignKeyConstraint(["org_id"], ["orgs.id"]),
    ForeignKeyConstraint(["user_id"], ["users.id"]),
    CheckConstraint("role in ('learner','admin')", name="role"),
    Index(None, "user_id"),
)

endings: Final = Table(
    "endings",
    metadata,
    Column("what", Text, primary_key=True),
    Column("ended_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("kept_session", Text),
)
"""What counts no more before its time: a session, a token, all that a person or a membership had then.
People stand here by a keyed hash; a row may go once everything it ends has expired by itself."""

service_tokens: Final = Table(
    "service_tokens",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("made_by", Text, nullable=False),
    Column("made_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("last_used_at", Text),
)
"""Tokens that were made, without the tokens themselves; `last_used_at` is good to a minute."""

audit: Final = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Text, nullable=False),
    Column("org_id", Text),
    Column("actor_id", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Index(None, "org_id", "at"),
)
"""Who did what; `org_id` is empty for acts on the platform."""

# The school

courses: Final = Table(
    "courses",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("licence", Text, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    ForeignKeyConstraint(["org_id"], ["orgs.id"]),
)

lessons: Final = Table(
    "lessons",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("course_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("quiz", JSON, nullable=False),
    ForeignKeyConstraint(["org_id", "course_id"], ["courses.org_id", "courses.id"]),
)
"""`quiz` is a list of questions: {id, prompt, choices: [{id, text}], answer: [choice id]}."""

assets: Final = Table(
    "assets",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("course_id", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("content_type", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    ForeignKeyConstraint(["org_id", "course_id"], ["courses.org_id", "courses.id"]),
)
"""A course's figures, kept with it so that an import is one transaction."""

assignments: Final = Table(
    "assignments",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("course_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("active", Boolean, nullable=False),
    Column("due_at", Text),
    Column("note", Text),
    Column("assigned_by", Text, nullable=False),
    Column("assigned_at", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("event_id", Text, nullable=False),
    Index(None, "org_id", "user_id"),
)
"""Who should do what by when. The event with the highest (position, event id) decides a row."""

assignment_results: Final = Table(
    "assignment_results",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("assigned", Integer, nullable=False),
    Column("already", Integer, nullable=False),
    Column("refused", JSON, nullable=False),
    Column("applied_at", Text, nullable=False),
)
"""What one assigning event did, for whoever asks later: `refused` is [{userId, reason}]."""

progress: Final = Table(
    "progress",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("course_id", Text, primary_key=True),
    Column("lesson_id", Text, primary_key=True),
    Column("percent", Float, nullable=False),
    Column("completed", Boolean, nullable=False),
    Column("completed_at", Text),
    Column("position_s", Float, nullable=False),
    Column("position_key", Text, nullable=False),
    Column("last_at", Text, nullable=False),
    Index(None, "org_id", "course_id", "lesson_id"),
    sqlite_with_rowid=False,
)
"""Progress as state: percent is a maximum, completed only turns on, `position_s` is the one with
the highest `position_key` (received time and event id). Any order of events gives the same row."""

intervals: Final = Table(
    "intervals",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("course_id", Text, primary_key=True),
    Column("lesson_id", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("from_s", Float, primary_key=True),
    Column("to_s", Float, primary_key=True),
    sqlite_with_rowid=False,
)
"""Time spent, as a set of intervals of a session's own clock; time spent is the union's length."""

answers: Final = Table(
    "answers",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("course_id", Text, primary_key=True),
    Column("lesson_id", Text, primary_key=True),
    Column("question_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("choice_ids", JSON, nullable=False),
    Column("correct", Boolean, nullable=False),
    Column("received_at", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Every answer given, as a set; the latest received is the one shown."""

analytics_events: Final = Table(
    "analytics_events",
    metadata,
    Column("org_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("course_id", Text),
    Column("lesson_id", Text),
    Column("occurred_at", Text, nullable=False),
    Column("data", Text, nullable=False),
)
"""What was recorded, scrubbed, `data` as JSON text. Append-only and without an index on purpose:
marks keep it free of duplicates, `activity` answers the questions."""

activity: Final = Table(
    "activity",
    metadata,
    Column("org_id", Text, primary_key=True),
    Column("course_id", Text, primary_key=True),
    Column("lesson_id", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", Text, nullable=False),
    sqlite_with_rowid=False,
)
"""Analytics events counted per learner, day (UTC, of `occurredAt`), course, lesson and name; empty
text where an event named no course or lesson."""
