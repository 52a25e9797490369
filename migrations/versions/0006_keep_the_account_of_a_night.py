"""Keep the account of a night: when jobs came, and what kept a batch from being submitted."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WHY = (
    "why IN ('system_failure', 'agent_failure', 'billing_failure', 'unknown', 'goal_failure', "
    "'blocked', 'invalid_result', 'timed_out', 'run_cancelled', 'rejected', 'unauthorized', "
    "'throttled', 'unreachable', 'unanswered', 'lost', 'paused')"
)
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("loaded_at", sa.String(length=27), nullable=True))
    op.create_table(
        "halts",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=True),
        sa.Column("why", sa.String(length=20), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("since", sa.String(length=27), nullable=False),
        sa.Column("check_at", sa.String(length=27), nullable=True),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.CheckConstraint(WHY, name=op.f("ck_halts_why_is_known")),
        sa.CheckConstraint(
            "owner_id IS NOT NULL OR ended_at IS NOT NULL", name=op.f("ck_halts_a_pause_is_over")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_halts_batch_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_halts_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_halts")),
    )
    op.create_index(op.f("ix_halts_batch_id"), "halts", ["batch_id"])
