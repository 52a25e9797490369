"""Know which runs are cancelled because they showed their result and did not end."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "attempts",
        sa.Column("lingered", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
