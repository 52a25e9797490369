"""Share a batch's slots between its runners, and cancel runs that have not started at a stop."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # No database reads or rewrites a row for these columns.
    op.add_column("owners", sa.Column("batch_id", ID, nullable=True))
    op.add_column("owners", sa.Column("wants_until", sa.String(length=27), nullable=True))
    op.add_column(
        "attempts",
        sa.Column(
            "cancelled_at_stop", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
    )
    alive = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_owners_batch_id", "owners", ["batch_id"], sqlite_where=alive, postgresql_where=alive
    )
