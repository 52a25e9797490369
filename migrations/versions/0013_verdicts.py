"""Keep verdicts, reviews and grounding of results, how good batches are, and the API's advice."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Columns without a default and without a check: no database rewrites or reads a row for them.
    op.add_column("attempts", sa.Column("verdict", sa.String(length=7), nullable=True))
    op.add_column("attempts", sa.Column("verdict_rule", sa.String(length=100), nullable=True))
    op.add_column("attempts", sa.Column("help", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("run_error", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("review", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("accepted", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("replaces", ID, nullable=True))
    op.add_column("jobs", sa.Column("suspects", sa.Integer(), nullable=True))
    op.create_index(
        "ix_jobs_replaces",
        "jobs",
        ["replaces"],
        sqlite_where=sa.text("replaces IS NOT NULL"),
        postgresql_where=sa.text("replaces IS NOT NULL"),
    )
    op.add_column("batches", sa.Column("quality_stop", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("quality_since", sa.String(length=27), nullable=True))
    op.add_column("batches", sa.Column("quality_word", sa.String(length=4), nullable=True))
    op.add_column("attempts", sa.Column("grounding", sa.Text(), nullable=True))
    op.create_index(
        "ix_attempts_closed_at",
        "attempts",
        ["batch_id", "closed_at"],
        sqlite_where=sa.text("closed_at IS NOT NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )
    op.create_index(
        "ix_attempts_to_ground",
        "attempts",
        ["batch_id"],
        sqlite_where=sa.text("grounding = 'wanted'"),
        postgresql_where=sa.text("grounding = 'wanted'"),
    )
    op.create_index(
        "ix_attempts_suspect",
        "attempts",
        ["batch_id"],
        sqlite_where=sa.text("verdict = 'suspect'"),
        postgresql_where=sa.text("verdict = 'suspect'"),
    )
