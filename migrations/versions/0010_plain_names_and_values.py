"""Give tables and columns the field's words, and store budgets as values."""

import json
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import OperationalError

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

#: Both databases rename a column in the catalog only, so this takes no longer for more rows.
COLUMNS = {
    "owners": {"born": "process_started_at"},
    "batches": {
        "origin": "api_origin",
        "rate": "step_price",
        "slots": "learned_concurrency",
        "gate": "canary_gate",
    },
    "jobs": {
        "shape": "output_schema_digest",
        "together": "max_batch_size",
        "met": "failures_by_category",
        "rungs": "escalation_steps",
    },
    "submissions": {
        "token": "marker_token",
        "watch_at": "next_late_check_at",
        "searched": "fruitless_searches",
    },
    "attempts": {
        "place": "batch_index",
        "rungs": "escalation_steps",
        "ladders": "escalation_ids",
        "changes": "option_overrides",
        "evidence": "findings",
        "cancelling": "cancel_reason",
        "recalled": "cancelled_for_deadline",
        "lingered": "cancelled_after_result",
        "reserved": "reserved_steps",
    },
    "artifacts": {"why": "reason"},
    "halts": {"why": "reason"},
    "hosts": {"ladder": "escalation_id", "rung": "step", "in_row": "consecutive_failures"},
    "parking": {"in_row": "consecutive_failures", "probes": "failed_probes"},
}
TABLES = {"halts": "holds", "hosts": "host_escalations", "parking": "host_breakers"}
#: Attempts to lock all tables, LOCK_PAUSE_SECONDS apart.
MAX_LOCK_ATTEMPTS = 1200
#: Of these, the attempts that also wait for the answers of create requests: about half a minute.
MAX_ATTEMPTS_FOR_ANSWERS = 600
LOCK_PAUSE_SECONDS = 0.05
#: For each table. All together take less time than PostgreSQL waits before it looks for a deadlock.
LOCK_TIMEOUT = "50ms"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HOLD_REASON_IS_KNOWN = (
    "reason IN ('system_failure', 'agent_failure', 'billing_failure', 'unknown', 'goal_failure', "
    "'blocked', 'invalid_result', 'timed_out', 'run_cancelled', 'rejected', 'unauthorized', "
    "'throttled', 'unreachable', 'unanswered', 'lost', 'paused')"
)
COUNTS_AGREE = "consecutive_failures BETWEEN 0 AND failed AND passed >= 0"


def upgrade() -> None:
    tx = op.get_bind()
    if tx.dialect.name == "postgresql":
        _lock_all_tables(tx)
    for table, names in COLUMNS.items():
        for old, new in names.items():
            op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    _replace_small_tables(tx)
    _store_budgets_as_values(tx)


def _lock_all_tables(tx: sa.Connection) -> None:
    """
    Lock all tables at a moment in which no create request of an older runner is unanswered.

    That runner then stops at its next statement: the columns that it names are gone. Each attempt
    waits briefly, and gives up all its locks if it fails, so it cannot cause a deadlock.
    """
    tables = ", ".join([*COLUMNS, "orphans", "results"])
    lock = sa.text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
    tx.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    for number in range(MAX_LOCK_ATTEMPTS):
        savepoint = tx.begin_nested()
        try:
            tx.execute(lock)
        except OperationalError:
            savepoint.rollback()
            if number == MAX_LOCK_ATTEMPTS - 1:
                raise
        else:
            if number >= MAX_ATTEMPTS_FOR_ANSWERS or not _has_unanswered_creates(tx):
                savepoint.commit()
                tx.execute(sa.text("SET LOCAL lock_timeout TO DEFAULT"))
                return
            savepoint.rollback()
        tx.execute(sa.text("SELECT pg_sleep(:seconds)"), {"seconds": LOCK_PAUSE_SECONDS})


def _has_unanswered_creates(tx: sa.Connection) -> bool:
    """Return whether a living runner has written a submission whose answer is not recorded."""
    found = tx.execute(
        sa.text(
            "SELECT 1 FROM submissions JOIN owners ON owners.id = submissions.owner_id"
            " WHERE submissions.state = 'intended' AND owners.ended_at IS NULL"
            " AND owners.lease_until > to_char(clock_timestamp() AT TIME ZONE 'UTC',"
            """ 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') LIMIT 1"""
        )
    )
    return found.first() is not None


def _replace_small_tables(tx: sa.Connection) -> None:
    """Move the rows of three tables to tables of the new names, whose constraints fit them."""
    for old, new in TABLES.items():
        _MAKE[new]()
        op.execute(f"INSERT INTO {new} SELECT * FROM {old}")
        op.drop_table(old)
    op.create_index(op.f("ix_holds_batch_id"), "holds", ["batch_id"])
    if tx.dialect.name == "postgresql":
        op.execute(
            "SELECT setval(pg_get_serial_sequence('holds', 'id'),"
            " (SELECT coalesce(max(id), 0) + 1 FROM holds), false)"
        )


def _make_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=True),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("since", sa.String(length=27), nullable=False),
        sa.Column("check_at", sa.String(length=27), nullable=True),
        sa.Column("ended_at", sa.String(length=27), nullable=True),
        sa.CheckConstraint(HOLD_REASON_IS_KNOWN, name=op.f("ck_holds_reason_is_known")),
        sa.CheckConstraint(
            "owner_id IS NOT NULL OR ended_at IS NOT NULL", name=op.f("ck_holds_a_pause_is_over")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_holds_batch_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_holds_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )


def _make_host_escalations() -> None:
    op.create_table(
        "host_escalations",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("host", sa.String(length=300), nullable=False),
        sa.Column("escalation_id", sa.String(length=16), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.CheckConstraint(COUNTS_AGREE, name=op.f("ck_host_escalations_counts_agree")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_host_escalations_batch_id")
        ),
        sa.PrimaryKeyConstraint(
            "batch_id", "host", "escalation_id", "step", name=op.f("pk_host_escalations")
        ),
    )


def _make_host_breakers() -> None:
    op.create_table(
        "host_breakers",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("host", sa.String(length=300), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("parked_at", sa.String(length=27), nullable=True),
        sa.Column("probe_at", sa.String(length=27), nullable=True),
        sa.Column("failed_probes", sa.Integer(), nullable=False),
        sa.CheckConstraint(COUNTS_AGREE, name=op.f("ck_host_breakers_counts_agree")),
        sa.CheckConstraint(
            "(parked_at IS NULL) = (probe_at IS NULL)",
            name=op.f("ck_host_breakers_parked_means_probed"),
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_host_breakers_batch_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", "host", name=op.f("pk_host_breakers")),
    )


_MAKE = {
    "holds": _make_holds,
    "host_escalations": _make_host_escalations,
    "host_breakers": _make_host_breakers,
}


def _store_budgets_as_values(tx: sa.Connection) -> None:
    """Replace `$20` by {"dollars": "20"}, and `500 steps` by {"steps": 500}."""
    update = sa.text("UPDATE batches SET settings = :settings, budget = :budget WHERE id = :id")
    for row in tx.execute(sa.text("SELECT id, settings, budget FROM batches")).all():
        try:
            settings = _json(_converted(json.loads(row.settings)))
            budget = None if row.budget is None else _json(_value(row.budget))
        except (ValueError, TypeError, AttributeError, ArithmeticError):
            continue  # another program wrote it: `doctor` names the place
        tx.execute(update, {"id": row.id, "settings": settings, "budget": budget})


def _converted(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with their budget and the cost limit of their canary as values."""
    if settings.get("budget"):
        settings["budget"] = _value(settings["budget"])
    canary = settings.get("canary")
    if canary and canary.get("row_cost"):
        canary["row_cost"] = _value(canary["row_cost"])
    return settings


def _value(text: str) -> dict[str, Any]:
    if text == "none":
        return {}
    if text.startswith("$"):
        return {"dollars": f"{Decimal(text[1:]):f}"}
    return {"steps": int(text.removesuffix(" steps"))}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
