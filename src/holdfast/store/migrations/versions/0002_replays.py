"""replays, and what a dead letter was corrected to."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "replay_jobs",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("sample", sa.JSON(), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "status in ('queued','running','done','failed','cancelled')",
            name=op.f("ck_replay_jobs_status"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_replay_jobs")),
    )
    op.create_index(
        op.f("ix_replay_jobs_status_created_at"), "replay_jobs", ["status", "created_at"], unique=False
    )
    op.add_column("dead_letters", sa.Column("corrected", sa.LargeBinary(), nullable=True))
