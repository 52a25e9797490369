"""Tell hosts apart: what each has shown, which are parked, and which jobs go first."""

from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CHUNK = 1000


def upgrade() -> None:
    op.add_column("batches", sa.Column("slots", sa.Integer(), nullable=True))
    op.add_column("batches", sa.Column("gate", sa.String(length=6), nullable=True))
    op.add_column("jobs", sa.Column("limits", sa.Text(), nullable=True))
    op.add_column(
        "jobs",
        sa.Column("host", sa.String(length=300), server_default=sa.text("''"), nullable=False),
    )
    op.add_column(
        "jobs", sa.Column("canary", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_index(
        "ix_jobs_canary",
        "jobs",
        ["batch_id"],
        sqlite_where=sa.text("canary = 1"),
        postgresql_where=sa.text("canary"),
    )
    op.create_index("ix_attempts_opened_at", "attempts", ["opened_at"])
    _make_parking()
    _name_hosts(op.get_bind())


def _make_parking() -> None:
    op.create_table(
        "parking",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("host", sa.String(length=300), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("in_row", sa.Integer(), nullable=False),
        sa.Column("parked_at", sa.String(length=27), nullable=True),
        sa.Column("probe_at", sa.String(length=27), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "in_row BETWEEN 0 AND failed AND passed >= 0", name=op.f("ck_parking_counts_agree")
        ),
        sa.CheckConstraint(
            "(parked_at IS NULL) = (probe_at IS NULL)", name=op.f("ck_parking_parked_means_probed")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_parking_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", "host", name=op.f("pk_parking")),
    )


def _name_hosts(tx: sa.Connection) -> None:
    """Write the host of each job beside it."""
    newer = sa.text("SELECT id, url FROM jobs WHERE id > :last ORDER BY id LIMIT :most")
    name = sa.text("UPDATE jobs SET host = :host WHERE id = :id")
    last = 0
    while rows := tx.execute(newer, {"last": last, "most": CHUNK}).all():
        tx.execute(name, [{"id": row.id, "host": _host(row.url)} for row in rows])
        last = rows[-1].id


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname or url}{port}"[:300]
    except ValueError:
        return url[:300]
