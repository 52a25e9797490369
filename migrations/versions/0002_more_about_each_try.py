"""Tell more about each try: what a result must be, what was seen in it, which options it had."""

import json
from collections import Counter

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("expect", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("evidence", sa.Text(), nullable=True))
    for column in (
        sa.Column("met", sa.Text(), server_default="{}", nullable=False),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("rungs", sa.Text(), server_default="{}", nullable=False),
    ):
        op.add_column("jobs", column)
    for column in (
        sa.Column("rungs", sa.Text(), server_default="{}", nullable=False),
        sa.Column("ladders", sa.Text(), server_default="{}", nullable=False),
        sa.Column("changes", sa.Text(), nullable=True),
    ):
        op.add_column("attempts", column)
    _make_hosts()
    _count_by_category(op.get_bind())


def _make_hosts() -> None:
    op.create_table(
        "hosts",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("host", sa.String(length=300), nullable=False),
        sa.Column("ladder", sa.String(length=16), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("in_row", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "in_row BETWEEN 0 AND failed AND passed >= 0", name=op.f("ck_hosts_counts_agree")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_hosts_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", "host", "ladder", "rung", name=op.f("pk_hosts")),
    )


def _count_by_category(tx: sa.Connection) -> None:
    """Tell the failures of each job apart: its newest ones, as many as count since a retry."""
    rows = tx.execute(
        sa.text(
            "SELECT jobs.id, jobs.failures, attempts.outcome FROM jobs"
            " JOIN attempts ON attempts.job_id = jobs.id"
            " WHERE jobs.failures > 0 AND attempts.counted AND attempts.outcome <> 'succeeded'"
            " ORDER BY jobs.id, attempts.number DESC"
        )
    )
    met: dict[int, Counter[str]] = {}
    for job_id, failures, outcome in rows:
        counts = met.setdefault(job_id, Counter())
        if counts.total() < failures:
            counts[outcome] += 1
    if met:
        tx.execute(
            sa.text("UPDATE jobs SET met = :met WHERE id = :job"),
            [{"job": job_id, "met": json.dumps(counts)} for job_id, counts in met.items()],
        )
