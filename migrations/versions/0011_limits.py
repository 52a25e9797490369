"""Know how many runs at once the account accepts, as answers of 429 have shown."""

import sqlalchemy as sa
from alembic import op

revision = "0011_limits"
down_revision = "0011_marker"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("account_limit", sa.Text(), nullable=True))
