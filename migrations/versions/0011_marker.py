"""Name batches in markers, and store the marker of each attempt as it was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0011_marker"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("marker_token", sa.String(length=7), nullable=True))
    op.add_column("attempts", sa.Column("marker", sa.String(length=60), nullable=True))
    op.add_column(
        "submissions",
        sa.Column("recovered", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    op.execute(
        "UPDATE attempts SET marker = '[ref br-' || (SELECT marker_token FROM submissions"
        " WHERE submissions.id = attempts.submission_id) || '-' || attempts.batch_index || ']'"
        " WHERE submission_id IN (SELECT id FROM submissions WHERE marked)"
    )
