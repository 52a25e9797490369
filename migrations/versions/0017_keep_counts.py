"""Keep the numbers of batches, and find unbilled attempts and submissions without runs."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: In a database with more jobs, indexes are built after the migration, each in its own transaction.
FEW_JOBS = 10_000
#: Name of a partial index → its table, its columns, and the rows that it holds.
INDEXES = {
    "ix_attempts_unbilled": (
        "attempts",
        ["batch_id"],
        "steps IS NULL AND run_id IS NOT NULL AND closed_at IS NOT NULL",
    ),
    "ix_attempts_exceeded": ("attempts", ["batch_id", "steps"], "steps > reserved_steps"),
    "ix_submissions_without_runs": (
        "submissions",
        ["batch_id", "state", "intended_at"],
        "state IN ('absent', 'undecided')",
    ),
}


def upgrade() -> None:
    op.create_table(
        "batch_counters",
        sa.Column("batch_id", ID, nullable=False, autoincrement=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.String(length=100), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_id", "name", "detail", "owner_id", name=op.f("pk_batch_counters")
        ),
    )
    # Batches that are there are counted later, by the first runner: that may take a second.
    for table, name in (("batches", "counted"), ("owners", "counts")):
        no = sa.text("false")
        op.add_column(table, sa.Column(name, sa.Boolean(), server_default=no, nullable=False))
    many = op.get_bind().execute(sa.text(f"SELECT 1 FROM jobs LIMIT 1 OFFSET {FEW_JOBS}")).first()
    for name, (table, columns, rows) in INDEXES.items() if not many else ():
        where = sa.text(rows)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
