"""Keep verdicts, reviews and grounding of results, how good batches are, and the API's advice."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


#: Column by table: without a default and without a check, so that no database rewrites or reads a
#: row for them.
COLUMNS = (
    ("attempts", "verdict", sa.String(length=7)),
    ("attempts", "verdict_rule", sa.String(length=100)),
    ("attempts", "help", sa.Text()),
    ("attempts", "run_error", sa.Text()),
    ("attempts", "review", sa.Text()),
    ("attempts", "grounding", sa.Text()),
    ("jobs", "accepted", sa.Text()),
    ("jobs", "replaces", ID),
    ("jobs", "suspects", sa.Integer()),
    ("batches", "quality_stop", sa.Text()),
    ("batches", "quality_since", sa.String(length=27)),
    ("batches", "quality_word", sa.String(length=4)),
)
#: Name of a partial index → its table, its columns, and the rows that it holds.
INDEXES = {
    "ix_jobs_replaces": ("jobs", ["replaces"], "replaces IS NOT NULL"),
    "ix_attempts_closed_at": ("attempts", ["batch_id", "closed_at"], "closed_at IS NOT NULL"),
    "ix_attempts_to_ground": ("attempts", ["batch_id"], "grounding = 'wanted'"),
    "ix_attempts_suspect": ("attempts", ["batch_id"], "verdict = 'suspect'"),
}


def upgrade() -> None:
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=True))
    for name, (table, columns, rows) in INDEXES.items():
        where = sa.text(rows)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
