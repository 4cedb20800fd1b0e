"""what was ended before its time: sessions, people's and tokens; and the list of service tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Take the step; sessions that were ended stay so."""
    op.create_table(
        "endings",
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.Column("kept_session", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("what", name=op.f("pk_endings")),
    )
    op.execute(
        "insert into endings (what, ended_at, expires_at) "
        "select 'session ' || session_id, expires_at, expires_at from revoked_sessions"
    )
    op.drop_table("revoked_sessions")
    op.create_table(
        "service_tokens",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Text(), nullable=False),
        sa.Column("last_used_at", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_service_tokens")),
    )
