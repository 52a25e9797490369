"""Make the ledger: owners, batches, jobs, submissions, attempts, results."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OUTCOME_IS_KNOWN = (
    "outcome IN ("
    "'system_failure', 'agent_failure', 'billing_failure', 'unknown', 'goal_failure', "
    "'blocked', 'invalid_result', 'timed_out', 'run_cancelled', 'rejected', "
    "'unauthorized', 'throttled', 'unreachable', 'unanswered', 'lost', "
    "'succeeded')"
)


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=True),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("name", name=op.f("uq_batches_name")),
    )
    op.create_table(
        "owners",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("machine", sa.String(length=200), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.String(length=40), nullable=False),
        sa.Column("started_at", sa.String(length=27), nullable=False),
        sa.Column("lease_until", sa.String(length=27), nullable=False),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owners")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("goal", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("shape", sa.String(length=32), nullable=False),
        sa.Column("together", sa.Integer(), server_default=sa.text("100"), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("available_at", sa.String(length=27), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "cancel_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("finished_at", sa.String(length=27), nullable=True),
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
            "together BETWEEN 1 AND 100", name=op.f("ck_jobs_together_fits_a_request")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_jobs_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("batch_id", "key", name=op.f("uq_jobs_batch_id_key")),
    )
    op.create_index("ix_jobs_batch_id_state", "jobs", ["batch_id", "state"], unique=False)
    op.create_index(
        "ix_jobs_due",
        "jobs",
        ["batch_id", "available_at"],
        unique=False,
        sqlite_where=sa.text("state = 'available'"),
        postgresql_where=sa.text("state = 'available'"),
    )
    op.create_table(
        "submissions",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("marked", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("intended_at", sa.String(length=27), nullable=False),
        sa.Column("answered_at", sa.String(length=27), nullable=True),
        sa.Column("search_at", sa.String(length=27), nullable=True),
        sa.Column("watch_at", sa.String(length=27), nullable=True),
        sa.Column("searched", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'unanswered') = (search_at IS NOT NULL)",
            name=op.f("ck_submissions_unanswered_means_being_searched"),
        ),
        sa.CheckConstraint(
            "watch_at IS NULL OR state = 'absent'",
            name=op.f("ck_submissions_only_the_absent_are_watched_for"),
        ),
        sa.CheckConstraint(
            "state IN ('intended', 'created', 'refused', 'unanswered', 'absent', 'undecided')",
            name=op.f("ck_submissions_state_is_known"),
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_submissions_batch_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_submissions_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
        sa.UniqueConstraint("token", name=op.f("uq_submissions_token")),
    )
    op.create_index(
        "ix_submissions_unsettled",
        "submissions",
        ["batch_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('intended', 'unanswered')"),
        postgresql_where=sa.text("state IN ('intended', 'unanswered')"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("submission_id", ID, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("opened_at", sa.String(length=27), nullable=False),
        sa.Column("closed_at", sa.String(length=27), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("retry_at", sa.String(length=27), nullable=True),
        sa.Column("cancelling", sa.String(length=20), nullable=True),
        sa.Column("missing_since", sa.String(length=27), nullable=True),
        sa.Column("run_id", sa.String(length=200), nullable=True),
        sa.Column("run_status", sa.String(length=10), nullable=True),
        sa.Column("seen_running_at", sa.String(length=27), nullable=True),
        sa.Column("run_started_at", sa.String(length=27), nullable=True),
        sa.Column("run_finished_at", sa.String(length=27), nullable=True),
        sa.Column("steps", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "outcome <> 'succeeded' OR run_id IS NOT NULL",
            name=op.f("ck_attempts_success_has_a_run"),
        ),
        sa.CheckConstraint(
            OUTCOME_IS_KNOWN,
            name=op.f("ck_attempts_outcome_is_known"),
        ),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (counted IS NULL)",
            name=op.f("ck_attempts_closed_means_counted_or_not"),
        ),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (outcome IS NULL)", name=op.f("ck_attempts_closed_means_outcome")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_attempts_batch_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_attempts_owner_id")),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name=op.f("fk_attempts_submission_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_attempts_job_id_number")),
        sa.UniqueConstraint("run_id", name=op.f("uq_attempts_run_id")),
        sa.UniqueConstraint("submission_id", "place", name=op.f("uq_attempts_submission_id_place")),
    )
    op.create_index(
        "ix_attempts_open",
        "attempts",
        ["batch_id", "owner_id"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index(
        "uq_attempts_one_open_per_job",
        "attempts",
        ["job_id"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index(
        "uq_attempts_one_success_per_job",
        "attempts",
        ["job_id"],
        unique=True,
        sqlite_where=sa.text("outcome = 'succeeded'"),
        postgresql_where=sa.text("outcome = 'succeeded'"),
    )
    op.create_table(
        "orphans",
        sa.Column("run_id", sa.String(length=200), nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("submission_id", ID, nullable=False),
        sa.Column("found_at", sa.String(length=27), nullable=False),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.Column("run_status", sa.String(length=10), nullable=True),
        sa.Column("steps", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_orphans_batch_id")),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name=op.f("fk_orphans_submission_id")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_orphans")),
    )
    op.create_index("ix_orphans_batch_id", "orphans", ["batch_id"], unique=False)
    op.create_table(
        "results",
        sa.Column("attempt_id", ID, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_results_attempt_id")
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_results")),
    )
