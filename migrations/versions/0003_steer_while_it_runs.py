"""Steer a batch while it runs: pause it, change its bound, call runs back for a deadline."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("concurrency", sa.Integer(), nullable=True))
    op.add_column("batches", sa.Column("paused_at", sa.String(length=27), nullable=True))
    op.add_column("batches", sa.Column("pause_reason", sa.Text(), nullable=True))
    op.add_column(
        "attempts",
        sa.Column("recalled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
