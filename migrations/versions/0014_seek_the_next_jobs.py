"""Let the next jobs, and what is still watched, be found without reading what is passed over."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

#: In a database with more jobs, indexes are built after the migration, each in its own transaction.
FEW_JOBS = 10_000
#: Name of a partial index → its table, its columns, and the rows that it holds.
INDEXES = {
    "ix_jobs_queue": ("jobs", ["batch_id", "position", "id"], "{waiting}"),
    "ix_jobs_ready": ("jobs", ["batch_id", "available_at", "position", "id"], "{waiting}"),
    "ix_jobs_host_queue": (
        "jobs",
        ["batch_id", "host", "available_at", "position", "id"],
        "{waiting}",
    ),
    "ix_jobs_part_queue": ("jobs", ["batch_id", "part", "position", "id"], "{waiting} AND {part}"),
    "ix_jobs_part_ready": (
        "jobs",
        ["batch_id", "part", "available_at", "position", "id"],
        "{waiting} AND {part}",
    ),
    "ix_jobs_part_host_queue": (
        "jobs",
        ["batch_id", "part", "host", "available_at", "position", "id"],
        "{waiting} AND {part}",
    ),
    "ix_jobs_canary_queue": (
        "jobs",
        ["batch_id", "canary", "position", "id"],
        "{waiting} AND {canary}",
    ),
    "ix_jobs_unconfirmed": (
        "jobs",
        ["batch_id", "available_at"],
        "state = 'available' AND {unconfirmed}",
    ),
    "ix_submissions_intended_at": ("submissions", ["batch_id", "intended_at", "id"], ""),
    "ix_submissions_watched": (
        "submissions",
        ["batch_id", "owner_id", "next_late_check_at"],
        "next_late_check_at IS NOT NULL",
    ),
    "ix_orphans_open": ("orphans", ["batch_id"], "ended_at IS NULL"),
}


def upgrade() -> None:
    no = sa.text("false")
    op.add_column("jobs", sa.Column("unconfirmed", sa.Boolean(), server_default=no, nullable=False))
    op.execute(
        "UPDATE jobs SET unconfirmed = true WHERE id IN (SELECT a.job_id FROM attempts AS a"
        " JOIN submissions AS s ON s.id = a.submission_id WHERE s.unconfirmed)"
    )
    op.drop_index("ix_jobs_due", "jobs")
    many = op.get_bind().execute(sa.text(f"SELECT 1 FROM jobs LIMIT 1 OFFSET {FEW_JOBS}")).first()
    for name, (table, columns, rows) in INDEXES.items() if not many else ():
        file, server = sa.text(_rows(rows, on_file=True)), sa.text(_rows(rows, on_file=False))
        where = {"sqlite_where": file, "postgresql_where": server} if rows else {}
        op.create_index(name, table, columns, **where)


def _rows(condition: str, *, on_file: bool) -> str:
    """Spell a condition as each database does: SQLite has no type for truth."""
    yes, no = ("{} = 1", "{} = 0") if on_file else ("{}", "NOT {}")
    return condition.format(
        waiting=f"state = 'available' AND {no.format('unconfirmed')}",
        unconfirmed=yes.format("unconfirmed"),
        canary=yes.format("canary"),
        part=yes.format("part"),
    )
