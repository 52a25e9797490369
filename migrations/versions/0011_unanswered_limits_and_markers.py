"""Store markers as sent, the account's limit, and which submissions are unanswered."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _markers()
    op.add_column("batches", sa.Column("account_limit", sa.Text(), nullable=True))
    op.add_column("batches", sa.Column("former_submission", ID, nullable=True))
    _unanswered()


def _markers() -> None:
    """Name batches in markers, and store the marker of each attempt as it was sent."""
    op.add_column("batches", sa.Column("marker_token", sa.String(length=7), nullable=True))
    op.add_column("attempts", sa.Column("marker", sa.String(length=60), nullable=True))
    op.add_column("submissions", _flag("recovered"))
    op.execute(
        "UPDATE attempts SET marker = '[ref br-' || (SELECT marker_token FROM submissions"
        " WHERE submissions.id = attempts.submission_id) || '-' || attempts.batch_index || ']'"
        " WHERE submission_id IN (SELECT id FROM submissions WHERE marked)"
    )


def _unanswered() -> None:
    """Store what is unanswered since when, and which refusals are unconfirmed; find lost runs."""
    stamp = sa.String(length=27)
    op.add_column("submissions", sa.Column("unanswered_at", stamp, nullable=True))
    op.add_column("submissions", sa.Column("holds_slots_until", stamp, nullable=True))
    op.add_column("submissions", _flag("unconfirmed"))
    op.create_index(
        "ix_submissions_unconfirmed",
        "submissions",
        ["batch_id"],
        sqlite_where=sa.text("unconfirmed = 1"),
        postgresql_where=sa.text("unconfirmed"),
    )
    op.create_index(
        "ix_attempts_lost",
        "attempts",
        ["batch_id"],
        sqlite_where=sa.text("outcome = 'lost'"),
        postgresql_where=sa.text("outcome = 'lost'"),
    )


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.text("false"))
