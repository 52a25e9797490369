"""Let jobs have revisions and carried columns, and batches be editions of a series."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: The columns that the table of jobs had before.
KEPT = (
    "id, batch_id, position, key, url, host, goal, options, limits, expect, output_schema_digest,"
    " max_batch_size, state, available_at, attempt, failures, failures_by_category, policy,"
    " escalation_steps, canary, cancel_requested, finished_at, loaded_at"
)
NOT_CURRENT_NEVER_RUNS = "state <> 'available' OR NOT (superseded OR withdrawn)"
SERIES_MEANS_EDITION = "(series IS NULL) = (edition IS NULL)"


def upgrade() -> None:
    _editions()
    _exports()
    if op.get_bind().dialect.name == "sqlite":
        _make_jobs_anew()
    else:
        for column in _new_columns(from_file="true"):
            op.add_column("jobs", column)
        _take_adopted_jobs_out()
        op.drop_constraint("uq_jobs_batch_id_key", "jobs")
        op.create_unique_constraint(
            op.f("uq_jobs_batch_id_key_revision"), "jobs", ["batch_id", "key", "revision"]
        )
        op.create_check_constraint(
            op.f("ck_jobs_not_current_never_runs"), "jobs", NOT_CURRENT_NEVER_RUNS
        )
    op.create_index(
        "uq_jobs_newest_revision",
        "jobs",
        ["batch_id", "key"],
        unique=True,
        sqlite_where=sa.text("superseded = 0"),
        postgresql_where=sa.text("NOT superseded"),
    )
    op.create_index(
        "ix_jobs_part",
        "jobs",
        ["batch_id", "state"],
        sqlite_where=sa.text("part = 1"),
        postgresql_where=sa.text("part"),
    )


def _take_adopted_jobs_out() -> None:
    """
    Say that no file named the jobs of adopted runs, which have no url.

    That all others are from a file is the column's first default, which rewrites no row.
    """
    op.execute("UPDATE jobs SET from_file = false WHERE url = ''")
    op.alter_column("jobs", "from_file", server_default=sa.text("false"))


def _editions() -> None:
    op.add_column("batches", sa.Column("series", sa.String(length=100), nullable=True))
    op.add_column("batches", sa.Column("pruned_at", sa.String(length=27), nullable=True))
    op.add_column("batches", sa.Column("columns", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("sources", sa.Text(), nullable=True))
    # SQLite adds a check to a table only together with a column.
    check = f"CONSTRAINT ck_batches_series_means_edition CHECK ({SERIES_MEANS_EDITION})"
    op.execute(f"ALTER TABLE batches ADD COLUMN edition VARCHAR(40) {check}")
    op.create_index(op.f("ix_batches_series"), "batches", ["series"])


def _new_columns(from_file: str = "false") -> list[sa.Column[object]]:
    return [
        sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("superseded", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=True),
        sa.Column("kept_digest", sa.String(length=32), nullable=True),
        sa.Column("columns", sa.Text(), nullable=True),
        sa.Column("from_file", sa.Boolean(), server_default=sa.text(from_file), nullable=False),
        sa.Column("part", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    ]


def _make_jobs_anew() -> None:
    """
    Make the table of jobs again, because SQLite cannot drop a constraint.

    Attempts refer to jobs. Until their rows are back, these references lead nowhere: SQLite counts
    such references, and the count must be 0 again when the transaction ends.
    """
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute(f"CREATE TEMP TABLE kept_jobs AS SELECT {KEPT} FROM jobs")
    op.drop_table("jobs")
    _create_jobs()
    op.execute(
        f"INSERT INTO jobs ({KEPT}, from_file)"
        f" SELECT {KEPT}, url <> '' FROM temp.kept_jobs ORDER BY id"
    )
    op.execute("DROP TABLE temp.kept_jobs")
    op.create_index("ix_jobs_batch_id_state", "jobs", ["batch_id", "state"])
    op.create_index(
        "ix_jobs_due",
        "jobs",
        ["batch_id", "available_at"],
        sqlite_where=sa.text("state = 'available'"),
    )
    op.create_index("ix_jobs_canary", "jobs", ["batch_id"], sqlite_where=sa.text("canary = 1"))


def _create_jobs() -> None:
    stamp = sa.String(length=27)
    no = sa.text("false")
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=300), server_default=sa.text("''"), nullable=False),
        sa.Column("goal", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("limits", sa.Text(), nullable=True),
        sa.Column("expect", sa.Text(), nullable=True),
        sa.Column("output_schema_digest", sa.String(length=32), nullable=False),
        sa.Column("max_batch_size", sa.Integer(), server_default=sa.text("100"), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("available_at", stamp, nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures_by_category", sa.Text(), server_default="{}", nullable=False),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("escalation_steps", sa.Text(), server_default="{}", nullable=False),
        sa.Column("canary", sa.Boolean(), server_default=no, nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), server_default=no, nullable=False),
        sa.Column("finished_at", stamp, nullable=True),
        sa.Column("loaded_at", stamp, nullable=True),
        *_new_columns(),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_final_means_finished"),
        ),
        sa.CheckConstraint(
            "state IN ('available', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("ck_jobs_state_is_known"),
        ),
        sa.CheckConstraint(
            "failures >= 0 AND failures <= attempt", name=op.f("ck_jobs_failures_are_attempts")
        ),
        sa.CheckConstraint(
            "max_batch_size BETWEEN 1 AND 100", name=op.f("ck_jobs_together_fits_a_request")
        ),
        sa.CheckConstraint(NOT_CURRENT_NEVER_RUNS, name=op.f("ck_jobs_not_current_never_runs")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_jobs_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint(
            "batch_id", "key", "revision", name=op.f("uq_jobs_batch_id_key_revision")
        ),
    )


def _exports() -> None:
    """Remember which files a batch wrote."""
    op.create_table(
        "exports",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("format", sa.String(length=20), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("written_at", sa.String(length=27), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_exports_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
    )
    op.create_index(op.f("ix_exports_batch_id"), "exports", ["batch_id"])
    op.create_index(op.f("ix_exports_path"), "exports", ["path"])
