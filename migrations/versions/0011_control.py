"""Note which submissions are in doubt and since when, and find runs that were lost."""

import sqlalchemy as sa
from alembic import op

revision = "0011_control"
down_revision = "0011_limits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    stamp = sa.String(length=27)
    op.add_column("submissions", sa.Column("unanswered_at", stamp, nullable=True))
    op.add_column("submissions", sa.Column("holds_slots_until", stamp, nullable=True))
    op.add_column(
        "submissions",
        sa.Column("unconfirmed", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    op.create_index(
        "ix_submissions_unconfirmed",
        "submissions",
        ["batch_id"],
        sqlite_where=sa.text("unconfirmed = 1"),
        postgresql_where=sa.text("unconfirmed"),
    )
    op.create_index(
        "ix_attempts_lost",
        "attempts",
        ["batch_id"],
        sqlite_where=sa.text("outcome = 'lost'"),
        postgresql_where=sa.text("outcome = 'lost'"),
    )
