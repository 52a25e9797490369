"""Keep what was captured of runs: which artifacts there are, and where they were put."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WANTED = sa.text("state = 'wanted'")


def upgrade() -> None:
    op.add_column(
        "batches",
        sa.Column("artifacts", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    _make_artifacts()
    op.create_index(op.f("ix_artifacts_batch_id"), "artifacts", ["batch_id"])
    op.create_index(
        "ix_artifacts_wanted",
        "artifacts",
        ["batch_id", "attempt_id"],
        sqlite_where=WANTED,
        postgresql_where=WANTED,
    )


def _make_artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("attempt_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=11), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=7), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("media", sa.String(length=100), nullable=True),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('screenshots', 'html', 'video', 'listing')",
            name=op.f("ck_artifacts_kind_is_known"),
        ),
        sa.CheckConstraint(
            "state IN ('wanted', 'stored', 'gone', 'refused')",
            name=op.f("ck_artifacts_state_is_known"),
        ),
        sa.CheckConstraint(
            "(state = 'stored' AND kind <> 'listing') = (path IS NOT NULL)",
            name=op.f("ck_artifacts_stored_means_path"),
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_artifacts_attempt_id")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_artifacts_batch_id")),
        sa.PrimaryKeyConstraint("attempt_id", "kind", "step", name=op.f("pk_artifacts")),
    )
