"""Keep a batch to a budget: what replaces the file's, a step's price, what runs may cost."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("budget", sa.String(length=100), nullable=True))
    op.add_column("batches", sa.Column("rate", sa.String(length=40), nullable=True))
    op.add_column("attempts", sa.Column("reserved", sa.Integer(), nullable=True))
