"""Know the account that a batch's runs are on: salted digests of its keys."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("known_keys", sa.Text(), nullable=True))
