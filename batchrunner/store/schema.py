"""The tables, their indexes, and the constraints that the database itself enforces."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import FailureCategory, JobState
from batchrunner.model.artifacts import LISTING, ArtifactKind, ArtifactState
from batchrunner.store.column_types import JsonText, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class SubmissionState(StrEnum):
    """The state of a create request."""

    INTENDED = "intended"  #: written down, and perhaps sent
    CREATED = "created"  #: its runs exist and are known
    REFUSED = "refused"  #: it created nothing
    UNANSWERED = "unanswered"  #: its runs may exist, and are being searched for
    ABSENT = "absent"  #: the search ended without a run
    UNDECIDED = "undecided"  #: no search can decide


class CanaryGate(StrEnum):
    """What follows from a batch's canary."""

    OPEN = "open"  #: the other jobs may be submitted
    CLOSED = "closed"  #: the other jobs wait until the user resumes the batch


#: SQLite numbers rows by itself only if the key's type is INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, values: type[StrEnum], *more: str) -> str:
    listed = ", ".join(f"'{value}'" for value in (*values, *more))
    return f"{column} IN ({listed})"


def _rows(file: str, server: str | None = None) -> dict[str, Any]:
    """Return the rows that a partial index holds; SQLite has no type for truth."""
    return {"sqlite_where": text(file), "postgresql_where": text(server or file)}


_FINAL = ", ".join(f"'{state}'" for state in JobState if state.is_final)

# SQLite cannot rename a constraint without copying its table. So three constraints of large tables
# keep names from before their columns were renamed: uq_submissions_token,
# uq_attempts_submission_id_place and ck_jobs_together_fits_a_request.

#: The processes that work, or worked, on this database.
owners = Table(
    "owners",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("machine", String(200), nullable=False),  # the pid is one of this machine
    Column("pid", Integer, nullable=False),
    # Distinguishes two processes that had the same pid.
    Column("process_started_at", String(40), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    # It keeps the numbers of batches; false: a process of an older version.
    Column("counts", Boolean, nullable=False, server_default=text("false")),
    # The batch whose slots it wants, and until when at least; NULL: it submits nothing.
    Column("batch_id", Id),
    Column("wants_until", UtcDateTime),
    Index(
        "ix_owners_batch_id",
        "batch_id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("settings", Text, nullable=False),  # JSON
    Column("api_origin", String(300)),  # the API that has its runs; NULL before the first run
    Column("created_at", UtcDateTime, nullable=False),
    Column("concurrency", Integer),  # replaces the one in settings, unless NULL; 0: auto
    Column("paused_at", UtcDateTime),  # NULL: not paused
    Column("pause_reason", JsonText),
    Column("budget", String(100)),  # JSON; replaces the one in settings, unless NULL; {}: none
    Column("step_price", String(40)),  # dollars per step by the account's wallet; NULL: unknown
    Column("known_keys", Text),  # digests of the API keys of its account; NULL before the first run
    # Its newest submission when the key was replaced: up to it, runs may be on another account.
    Column("former_submission", Id),
    Column("artifacts", Boolean, nullable=False, server_default=text("false")),  # are wanted
    # The most runs in flight, learned from the account's queue; NULL: not learned yet.
    Column("learned_concurrency", Integer),
    Column("account_limit", Text),  # JSON: what 429 answers have shown; NULL: nothing was refused
    Column("canary_gate", String(6)),  # NULL: no canary, or it is not finished
    Column("marker_token", String(7)),  # names it in markers; NULL before its first claim
    Column("series", String(100), index=True),  # NULL: it is no edition of a series
    Column("edition", String(40)),  # its slot, such as 2026-12-01
    # An edition that was removed, or is being removed: only its row stays, and nobody sees it.
    Column("pruned_at", UtcDateTime),
    Column("columns", Text),  # JSON: the carried columns of its file, in their order
    Column("sources", Text),  # JSON: the files it was loaded from
    # JSON: why its data is so bad that nothing more is submitted, and since when; NULL: it is not.
    Column("quality_stop", JsonText),
    # Runs that began earlier do not count in the check while it runs; NULL: all count.
    Column("quality_since", UtcDateTime),
    # How good its rows were at the end of its last run: good, look, bad; NULL: it never ended.
    Column("quality_word", String(4)),
    # Its numbers are kept in `batch_counters`; false: loaded by an older version.
    Column("counted", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("(series IS NULL) = (edition IS NULL)", "series_means_edition"),
)

#: The numbers of batches, by the owner whose transactions changed them: '' is no runner.
#: Without references: each would lock the row of the batch, which claims hold.
batch_counters = Table(
    "batch_counters",
    metadata,
    Column("batch_id", Id, primary_key=True, autoincrement=False),
    Column("name", String(20), primary_key=True),
    Column("detail", String(100), primary_key=True),  # such as a state or a category; '': none
    Column("owner_id", String(36), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

_IN_ORDER = ("position", "id")
#: The rows of jobs that claims choose from: all, those of the canary, those of the chosen part.
_WAITING = _rows(
    "state = 'available' AND unconfirmed = 0", "state = 'available' AND NOT unconfirmed"
)
_WAITING_CANARY, _WAITING_PART = (
    _rows(
        f"state = 'available' AND unconfirmed = 0 AND {column} = 1",
        f"state = 'available' AND NOT unconfirmed AND {column}",
    )
    for column in ("canary", "part")
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("key", String(200), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", String(300), nullable=False, server_default=text("''")),
    Column("goal", Text, nullable=False),
    Column("options", Text, nullable=False),  # JSON
    Column("limits", Text),  # JSON: its own time limits; NULL: those of the batch
    Column("expect", Text),  # JSON: what its result must contain; NULL: the job file says nothing
    # Jobs with the same output_schema may share a create request; '': no schema.
    Column("output_schema_digest", String(32), nullable=False),
    # The most jobs in a create request with this one.
    Column(
        "max_batch_size", Integer, nullable=False, server_default=text(str(MAX_RUNS_PER_REQUEST))
    ),
    Column("state", String(9), nullable=False),
    Column("available_at", UtcDateTime, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),  # the newest number
    Column("failures", Integer, nullable=False, server_default=text("0")),  # that count
    Column("failures_by_category", Text, nullable=False, server_default="{}"),  # JSON
    Column("policy", Text),  # JSON: its own rules; NULL: none
    # JSON, by category: the escalation step that the next attempt begins with.
    Column("escalation_steps", Text, nullable=False, server_default="{}"),
    Column("canary", Boolean, nullable=False, server_default=text("false")),  # is submitted first
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("finished_at", UtcDateTime),
    Column("loaded_at", UtcDateTime),  # NULL: with its batch, by an older version
    # A row is one revision of a job: the form that a file gave it, or a run anew on request.
    Column("revision", Integer, nullable=False, server_default=text("1")),
    # A newer revision took its place: its run in flight ends, and nothing is retried.
    Column("superseded", Boolean, nullable=False, server_default=text("false")),
    # It is no longer in the file. With `superseded`: not current.
    Column("withdrawn", Boolean, nullable=False, server_default=text("false")),
    # Of what is asked (`question_digest`); NULL: loaded by an older version.
    Column("digest", String(32)),
    # Of what its file asks instead, which the user decided not to ask; NULL: nothing else.
    Column("kept_digest", String(32)),
    Column("columns", Text),  # JSON: its carried cells by column; NULL: none
    # Only such a row is withdrawn when a file has it no longer.
    Column("from_file", Boolean, nullable=False, server_default=text("false")),
    # Chosen by `--limit` or `--sample`, which run these jobs and no others.
    Column("part", Boolean, nullable=False, server_default=text("false")),
    Column("accepted", JsonText),  # JSON: findings that a person accepted: [[rule, path], ...]
    # The revision whose suspect result is delivered unless this one delivers a result.
    Column("replaces", Id),
    # How many suspect results of it a policy has bought again already; NULL: none.
    Column("suspects", Integer),
    # Its newest create was refused, and no search has shown yet that nothing was created.
    Column("unconfirmed", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("batch_id", "key", "revision"),
    CheckConstraint(_one_of("state", JobState), "state_is_known"),
    CheckConstraint(f"(state IN ({_FINAL})) = (finished_at IS NOT NULL)", "final_means_finished"),
    CheckConstraint("failures >= 0 AND failures <= attempt", "failures_are_attempts"),
    CheckConstraint(
        f"max_batch_size BETWEEN 1 AND {MAX_RUNS_PER_REQUEST}", "together_fits_a_request"
    ),
    CheckConstraint(
        "state <> 'available' OR NOT (superseded OR withdrawn)", "not_current_never_runs"
    ),
    Index(
        "uq_jobs_newest_revision",
        "batch_id",
        "key",
        unique=True,
        **_rows("superseded = 0", "NOT superseded"),
    ),
    Index("ix_jobs_batch_id_state", "batch_id", "state"),
    Index("ix_jobs_queue", "batch_id", *_IN_ORDER, **_WAITING),
    Index("ix_jobs_ready", "batch_id", "available_at", *_IN_ORDER, **_WAITING),
    Index("ix_jobs_host_queue", "batch_id", "host", "available_at", *_IN_ORDER, **_WAITING),
    Index("ix_jobs_canary_queue", "batch_id", "canary", *_IN_ORDER, **_WAITING_CANARY),
    # They begin with `part`, so that SQLite prefers them to those of all jobs.
    Index("ix_jobs_part_queue", "batch_id", "part", *_IN_ORDER, **_WAITING_PART),
    Index("ix_jobs_part_ready", "batch_id", "part", "available_at", *_IN_ORDER, **_WAITING_PART),
    Index(
        "ix_jobs_part_host_queue",
        "batch_id",
        "part",
        "host",
        "available_at",
        *_IN_ORDER,
        **_WAITING_PART,
    ),
    Index(
        "ix_jobs_unconfirmed",
        "batch_id",
        "available_at",
        **_rows("state = 'available' AND unconfirmed = 1", "state = 'available' AND unconfirmed"),
    ),
    Index("ix_jobs_canary", "batch_id", **_rows("canary = 1", "canary")),
    Index("ix_jobs_replaces", "replaces", **_rows("replaces IS NOT NULL")),
    Index("ix_jobs_part", "batch_id", "state", **_rows("part = 1", "part")),
)

submissions = Table(
    "submissions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False),
    Column("owner_id", String(36), ForeignKey("owners.id"), nullable=False),
    Column("marker_token", String(32), nullable=False),  # what its markers share
    Column("marked", Boolean, nullable=False),  # its goals end with the marker
    Column("state", String(10), nullable=False),
    Column("intended_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("search_at", UtcDateTime),
    # When to check next whether runs of an absent submission appeared late; NULL: never.
    Column("next_late_check_at", UtcDateTime),
    Column("fruitless_searches", Integer, nullable=False, server_default=text("0")),
    # When it was known that no answer names its runs; a control run must be newer. NULL: never.
    Column("unanswered_at", UtcDateTime),
    # Until when its attempts hold their slots while it is unanswered; NULL: as long as it is.
    Column("holds_slots_until", UtcDateTime),
    # It was refused, and no search has shown yet that nothing was created.
    Column("unconfirmed", Boolean, nullable=False, server_default=text("false")),
    Column("message", JsonText),
    # Another database wrote it, and sent it: `recover` found its runs.
    Column("recovered", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("marker_token", name="uq_submissions_token"),
    CheckConstraint(_one_of("state", SubmissionState), "state_is_known"),
    CheckConstraint(
        "(state = 'unanswered') = (search_at IS NOT NULL)", "unanswered_means_being_searched"
    ),
    CheckConstraint(
        "next_late_check_at IS NULL OR state = 'absent'", "only_the_absent_are_watched_for"
    ),
    Index("ix_submissions_unsettled", "batch_id", **_rows("state IN ('intended', 'unanswered')")),
    Index("ix_submissions_unconfirmed", "batch_id", **_rows("unconfirmed = 1", "unconfirmed")),
    Index("ix_submissions_intended_at", "batch_id", "intended_at", "id"),
    Index(
        "ix_submissions_watched",
        "batch_id",
        "owner_id",
        "next_late_check_at",
        **_rows("next_late_check_at IS NOT NULL"),
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("jobs.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False),
    Column("owner_id", String(36), ForeignKey("owners.id"), nullable=False),
    Column("submission_id", Id, ForeignKey("submissions.id"), nullable=False),
    Column("batch_index", Integer, nullable=False),  # in its create request, from 1
    # JSON, by category: the escalation step that it runs with, and the id of that escalation.
    Column("escalation_steps", Text, nullable=False, server_default="{}"),
    Column("escalation_ids", Text, nullable=False, server_default="{}"),
    Column("option_overrides", Text),  # JSON: options that its escalation steps change
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("outcome", String(20)),
    Column("counted", Boolean),
    Column("code", JsonText),
    Column("message", JsonText),
    Column("findings", JsonText),  # JSON: what the judge found in its result
    Column("retry_at", UtcDateTime),
    Column("cancel_reason", String(20)),  # a failure category; NULL: no cancel was requested
    Column("cancelled_for_deadline", Boolean, nullable=False, server_default=text("false")),
    Column("cancelled_after_result", Boolean, nullable=False, server_default=text("false")),
    # We asked to cancel its run when we stopped, as it had not started.
    Column("cancelled_at_stop", Boolean, nullable=False, server_default=text("false")),
    Column("missing_since", UtcDateTime),
    Column("run_id", String(200), unique=True),
    Column("run_status", String(10)),
    Column("seen_running_at", UtcDateTime),  # by our clock; the limit on running time counts on it
    Column("run_started_at", UtcDateTime),
    Column("run_finished_at", UtcDateTime),
    Column("steps", Integer),
    Column("reserved_steps", Integer),  # the most it may cost; NULL: opened by an older version
    Column("marker", String(60)),  # at the end of its run's goal; NULL: the goal has none
    Column("verdict", String(7)),  # NULL: not about a result, or judged by an older version
    Column("verdict_rule", String(100)),  # that of the first finding
    # JSON: which values are in its pages; 'wanted': it is chosen, and not checked yet.
    Column("grounding", JsonText),
    Column("help", JsonText),  # JSON: the API's own advice about its run
    Column("run_error", JsonText),  # JSON: the run's own error beside a result
    Column("review", JsonText),  # JSON: what a person said of its result; NULL: nothing
    UniqueConstraint("job_id", "number"),
    UniqueConstraint("submission_id", "batch_index", name="uq_attempts_submission_id_place"),
    CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", "closed_means_outcome"),
    CheckConstraint("(closed_at IS NULL) = (counted IS NULL)", "closed_means_counted_or_not"),
    CheckConstraint(_one_of("outcome", FailureCategory, "succeeded"), "outcome_is_known"),
    CheckConstraint("outcome <> 'succeeded' OR run_id IS NOT NULL", "success_has_a_run"),
    Index("uq_attempts_one_open_per_job", "job_id", unique=True, **_rows("closed_at IS NULL")),
    Index(
        "uq_attempts_one_success_per_job",
        "job_id",
        unique=True,
        **_rows("outcome = 'succeeded'"),
    ),
    Index("ix_attempts_open", "batch_id", "owner_id", **_rows("closed_at IS NULL")),
)

Index("ix_attempts_opened_at", attempts.c.opened_at)
Index(
    "ix_attempts_closed_at",
    attempts.c.batch_id,
    attempts.c.closed_at,
    **_rows("closed_at IS NOT NULL"),
)
Index("ix_attempts_to_ground", attempts.c.batch_id, **_rows("grounding = 'wanted'"))
Index("ix_attempts_suspect", attempts.c.batch_id, **_rows("verdict = 'suspect'"))
Index("ix_attempts_lost", attempts.c.batch_id, **_rows("outcome = 'lost'"))

#: Runs that ended without a bill: each counts with the most that it may cost.
Index(
    "ix_attempts_unbilled",
    attempts.c.batch_id,
    **_rows("steps IS NULL AND run_id IS NOT NULL AND closed_at IS NOT NULL"),
)
#: Runs that took more steps than were reserved.
Index(
    "ix_attempts_exceeded",
    attempts.c.batch_id,
    attempts.c.steps,
    **_rows("steps > reserved_steps"),
)
Index(
    "ix_submissions_without_runs",
    submissions.c.batch_id,
    submissions.c.state,
    submissions.c.intended_at,
    **_rows("state IN ('absent', 'undecided')"),
)

#: Runs of ours that no attempt needs.
orphans = Table(
    "orphans",
    metadata,
    Column("run_id", String(200), primary_key=True),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False, index=True),
    Column("submission_id", Id, ForeignKey("submissions.id"), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),  # NULL: the API has not confirmed that it ended
    Column("run_status", String(10)),
    Column("steps", Integer),
    Index("ix_orphans_open", "batch_id", **_rows("ended_at IS NULL")),
)

results = Table(
    "results",
    metadata,
    Column("attempt_id", Id, ForeignKey("attempts.id"), primary_key=True),
    Column("body", Text, nullable=False),  # JSON text as the API sent it, in ASCII
)

#: Files that batches wrote: what is there later is replaced only if it is still the same.
exports = Table(
    "exports",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False, index=True),
    Column("path", Text, nullable=False, index=True),  # relative if it is below the database
    Column("format", String(20), nullable=False),
    Column("jobs", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("written_at", UtcDateTime, nullable=False),
)

#: Periods in which a batch's jobs were not submitted, and why.
holds = Table(
    "holds",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False, index=True),
    Column("owner_id", String(36), ForeignKey("owners.id")),  # NULL: the user paused the batch
    Column("reason", String(20), nullable=False),  # a failure category, or 'paused'
    Column("message", JsonText),
    Column("since", UtcDateTime, nullable=False),
    Column("check_at", UtcDateTime),  # when its owner tries again; NULL: never
    Column("ended_at", UtcDateTime),  # NULL: it lasts while its owner lives
    CheckConstraint(_one_of("reason", FailureCategory, "paused"), "reason_is_known"),
    CheckConstraint("owner_id IS NOT NULL OR ended_at IS NOT NULL", "a_pause_is_over"),
)

#: How often each escalation step got past the failures of a host.
host_escalations = Table(
    "host_escalations",
    metadata,
    Column("batch_id", Id, ForeignKey("batches.id"), primary_key=True),
    Column("host", String(300), primary_key=True),
    Column("escalation_id", String(16), primary_key=True),  # digest of a category and its steps
    Column("step", Integer, primary_key=True),
    Column("passed", Integer, nullable=False),  # successes
    Column("failed", Integer, nullable=False),  # failures of the escalation's category
    Column("consecutive_failures", Integer, nullable=False),  # since the newest success
    CheckConstraint("consecutive_failures BETWEEN 0 AND failed AND passed >= 0", "counts_agree"),
)

#: What was captured of runs. A row of the kind `listing` asks for the list of a run's artifacts.
artifacts = Table(
    "artifacts",
    metadata,
    Column("attempt_id", Id, ForeignKey("attempts.id"), primary_key=True),
    Column("kind", String(11), primary_key=True),
    Column("step", Integer, primary_key=True),  # from 1; 0: it belongs to the whole run
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),  # the API's id of the step
    Column("state", String(7), nullable=False),
    Column("size", BigInteger),
    Column("sha256", String(64)),
    Column("media", String(100)),
    Column("path", JsonText),  # the file that holds it
    Column("reason", JsonText),  # why it was refused
    CheckConstraint(_one_of("kind", ArtifactKind, LISTING), "kind_is_known"),
    CheckConstraint(_one_of("state", ArtifactState), "state_is_known"),
    CheckConstraint(
        "(state = 'stored' AND kind <> 'listing') = (path IS NOT NULL)", "stored_means_path"
    ),
    Index("ix_artifacts_wanted", "batch_id", "attempt_id", **_rows("state = 'wanted'")),
)

#: The results of attempts on hosts that failed, and which hosts are parked.
host_breakers = Table(
    "host_breakers",
    metadata,
    Column("batch_id", Id, ForeignKey("batches.id"), primary_key=True),
    Column("host", String(300), primary_key=True),
    Column("passed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("consecutive_failures", Integer, nullable=False),
    Column("parked_at", UtcDateTime),
    Column("probe_at", UtcDateTime),
    Column("failed_probes", Integer, nullable=False),
    CheckConstraint("consecutive_failures BETWEEN 0 AND failed AND passed >= 0", "counts_agree"),
    CheckConstraint("(parked_at IS NULL) = (probe_at IS NULL)", "parked_means_probed"),
)
