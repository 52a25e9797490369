"""Keep the judge's verdict of each result, what a person accepted, and the API's own advice."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Columns without a default and without a check: no database rewrites or reads a row for them.
    op.add_column("attempts", sa.Column("verdict", sa.String(length=7), nullable=True))
    op.add_column("attempts", sa.Column("verdict_rule", sa.String(length=100), nullable=True))
    op.add_column("attempts", sa.Column("help", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("run_error", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("review", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("accepted", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("quality_stop", sa.Text(), nullable=True))
    op.create_index(
        "ix_attempts_suspect",
        "attempts",
        ["batch_id"],
        sqlite_where=sa.text("verdict = 'suspect'"),
        postgresql_where=sa.text("verdict = 'suspect'"),
    )
