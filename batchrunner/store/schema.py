"""The tables, and what the database itself refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
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
from sqlalchemy.types import TypeDecorator

from batchrunner.model import MAX_RUNS_PER_REQUEST, FailureCategory, JobState
from batchrunner.model.artifacts import ArtifactKind, ArtifactState

#: Revision of the newest migration; a test holds it to the migrations' own head.
HEAD = "0009"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: The kind of the row that asks which artifacts a run has.
LISTING = "listing"


class SubmissionState(StrEnum):
    """What became of a create request."""

    INTENDED = "intended"  #: written down; it may be on its way
    CREATED = "created"  #: its runs exist and are known
    REFUSED = "refused"  #: nothing was created
    UNANSWERED = "unanswered"  #: its runs may exist, and are being looked for
    ABSENT = "absent"  #: looked for long enough: nothing was created
    UNDECIDED = "undecided"  #: nothing can tell


class CanaryGate(StrEnum):
    """What a batch's canary has brought."""

    OPEN = "open"  #: the rest may be submitted
    CLOSED = "closed"  #: only once the user says so


class UtcDateTime(TypeDecorator[datetime]):
    """A moment as ISO 8601 text in UTC, which sorts as time and reads the same everywhere."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Turn an aware moment into text with microseconds."""
        if value is None:
            return None
        # Not strftime: it writes the year 1, in which some servers begin, as "1".
        naive = value.astimezone(UTC).replace(tzinfo=None)
        return naive.isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Turn stored text into an aware moment."""
        return None if value is None else datetime.fromisoformat(value)


class JsonText(TypeDecorator[str]):
    """Text that others wrote; neither database takes all that JSON can spell."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL and lone surrogates."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


#: SQLite numbers rows by itself only where the key is spelled INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, values: type[StrEnum], *more: str) -> str:
    listed = ", ".join(f"'{value}'" for value in (*values, *more))
    return f"{column} IN ({listed})"


_FINAL = ", ".join(f"'{state}'" for state in JobState if state.is_final)

owners = Table(
    "owners",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("machine", String(200), nullable=False),  # where its pid means something
    Column("pid", Integer, nullable=False),
    Column("born", String(40), nullable=False),  # tells two processes of one pid apart
    Column("started_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("settings", Text, nullable=False),  # JSON
    Column("origin", String(300)),  # the API that its runs are on; NULL before the first
    Column("created_at", UtcDateTime, nullable=False),
    Column("concurrency", Integer),  # set in place of the settings'; NULL: theirs hold; 0: auto
    Column("paused_at", UtcDateTime),  # NULL: it is not paused
    Column("pause_reason", JsonText),
    Column("budget", String(100)),  # set in the place of the settings'; NULL: theirs holds
    Column("rate", String(40)),  # what a step costs, by the account's wallet; NULL: unsaid
    Column("known_keys", Text),  # digests of the keys that open its runs; NULL before the first
    Column("artifacts", Boolean, nullable=False, server_default=text("false")),  # are wanted
    Column("slots", Integer),  # runs in flight at most, as the queue has taught; NULL: not yet
    Column("gate", String(6)),  # what the canary has brought; NULL: nothing yet, or there is none
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
    Column("limits", Text),  # JSON: how long its runs may take; NULL: as the batch says
    Column("expect", Text),  # JSON: what its result must be; NULL where the job file says nothing
    Column(
        "shape", String(32), nullable=False
    ),  # digest of output_schema: jobs that may ride as one
    Column("together", Integer, nullable=False, server_default=text(str(MAX_RUNS_PER_REQUEST))),
    Column("state", String(9), nullable=False),
    Column("available_at", UtcDateTime, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("met", Text, nullable=False, server_default="{}"),  # JSON: the same by category
    Column("policy", Text),  # JSON: its own rules; NULL where it has none
    Column("rungs", Text, nullable=False, server_default="{}"),  # JSON: to go on from, by category
    Column("canary", Boolean, nullable=False, server_default=text("false")),  # goes first
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("finished_at", UtcDateTime),
    Column("loaded_at", UtcDateTime),  # NULL: by an older program, when its batch was made
    UniqueConstraint("batch_id", "key"),
    CheckConstraint(_one_of("state", JobState), "state_is_known"),
    CheckConstraint(f"(state IN ({_FINAL})) = (finished_at IS NOT NULL)", "final_means_finished"),
    CheckConstraint("failures >= 0 AND failures <= attempt", "failures_are_attempts"),
    CheckConstraint(f"together BETWEEN 1 AND {MAX_RUNS_PER_REQUEST}", "together_fits_a_request"),
    Index("ix_jobs_batch_id_state", "batch_id", "state"),
    Index(
        "ix_jobs_due",
        "batch_id",
        "available_at",
        sqlite_where=text("state = 'available'"),
        postgresql_where=text("state = 'available'"),
    ),
    Index(
        "ix_jobs_canary",
        "batch_id",
        sqlite_where=text("canary = 1"),
        postgresql_where=text("canary"),
    ),
)

submissions = Table(
    "submissions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False),
    Column("owner_id", String(36), ForeignKey("owners.id"), nullable=False),
    Column("token", String(32), nullable=False, unique=True),
    Column("marked", Boolean, nullable=False),
    Column("state", String(10), nullable=False),
    Column("intended_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("search_at", UtcDateTime),
    Column("watch_at", UtcDateTime),  # when to look whether its runs turn up after all
    Column("searched", Integer, nullable=False, server_default=text("0")),
    Column("message", JsonText),
    CheckConstraint(_one_of("state", SubmissionState), "state_is_known"),
    CheckConstraint(
        "(state = 'unanswered') = (search_at IS NOT NULL)", "unanswered_means_being_searched"
    ),
    CheckConstraint("watch_at IS NULL OR state = 'absent'", "only_the_absent_are_watched_for"),
    Index(
        "ix_submissions_unsettled",
        "batch_id",
        sqlite_where=text("state IN ('intended', 'unanswered')"),
        postgresql_where=text("state IN ('intended', 'unanswered')"),
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
    Column("place", Integer, nullable=False),
    Column("rungs", Text, nullable=False, server_default="{}"),  # JSON: those it runs on
    Column("ladders", Text, nullable=False, server_default="{}"),  # JSON: whose rungs these are
    Column("changes", Text),  # JSON: options that they change; NULL where it runs with the job's
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("outcome", String(20)),
    Column("counted", Boolean),
    Column("code", JsonText),
    Column("message", JsonText),
    Column("evidence", JsonText),  # JSON: what the judge saw in its result
    Column("retry_at", UtcDateTime),
    Column("cancelling", String(20)),
    Column("recalled", Boolean, nullable=False, server_default=text("false")),  # for a deadline
    Column("lingered", Boolean, nullable=False, server_default=text("false")),  # with its result
    Column("missing_since", UtcDateTime),
    Column("run_id", String(200), unique=True),
    Column("run_status", String(10)),
    Column("seen_running_at", UtcDateTime),  # by our clock; its limit counts from here
    Column("run_started_at", UtcDateTime),
    Column("run_finished_at", UtcDateTime),
    Column("steps", Integer),
    Column("reserved", Integer),  # most steps that it may cost; NULL: opened before it was kept
    UniqueConstraint("job_id", "number"),
    UniqueConstraint("submission_id", "place"),
    CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", "closed_means_outcome"),
    CheckConstraint("(closed_at IS NULL) = (counted IS NULL)", "closed_means_counted_or_not"),
    CheckConstraint(_one_of("outcome", FailureCategory, "succeeded"), "outcome_is_known"),
    CheckConstraint("outcome <> 'succeeded' OR run_id IS NOT NULL", "success_has_a_run"),
    Index(
        "uq_attempts_one_open_per_job",
        "job_id",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index(
        "uq_attempts_one_success_per_job",
        "job_id",
        unique=True,
        sqlite_where=text("outcome = 'succeeded'"),
        postgresql_where=text("outcome = 'succeeded'"),
    ),
    Index(
        "ix_attempts_open",
        "batch_id",
        "owner_id",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

Index("ix_attempts_opened_at", attempts.c.opened_at)

orphans = Table(
    "orphans",
    metadata,
    Column("run_id", String(200), primary_key=True),  # of a run that no attempt needs any more
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False, index=True),
    Column("submission_id", Id, ForeignKey("submissions.id"), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),  # NULL until the API has confirmed that it is over
    Column("run_status", String(10)),
    Column("steps", Integer),
)

results = Table(
    "results",
    metadata,
    Column("attempt_id", Id, ForeignKey("attempts.id"), primary_key=True),
    Column("body", Text, nullable=False),  # JSON text as the API sent it, in ASCII
)

#: For how long a batch was kept from being submitted, and by what.
halts = Table(
    "halts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False, index=True),
    Column("owner_id", String(36), ForeignKey("owners.id")),  # NULL: all were, by the user
    Column("why", String(20), nullable=False),  # a failure category, or that it was paused
    Column("message", JsonText),
    Column("since", UtcDateTime, nullable=False),
    Column("check_at", UtcDateTime),  # when its owner tries again; NULL where nobody does
    Column("ended_at", UtcDateTime),  # NULL: it lasts, for as long as its owner lives
    CheckConstraint(_one_of("why", FailureCategory, "paused"), "why_is_known"),
    CheckConstraint("owner_id IS NOT NULL OR ended_at IS NOT NULL", "a_pause_is_over"),
)

#: What attempts have told of the ladders of options that get past the walls of hosts.
hosts = Table(
    "hosts",
    metadata,
    Column("batch_id", Id, ForeignKey("batches.id"), primary_key=True),
    Column("host", String(300), primary_key=True),
    Column("ladder", String(16), primary_key=True),  # digest of a category and its ladder
    Column("rung", Integer, primary_key=True),
    Column("passed", Integer, nullable=False),  # successes
    Column("failed", Integer, nullable=False),  # failures of the ladder's category
    Column("in_row", Integer, nullable=False),  # of them since the newest success
    CheckConstraint("in_row BETWEEN 0 AND failed AND passed >= 0", "counts_agree"),
)

#: What was captured of runs. A row of the kind `listing` asks which artifacts an attempt's run has.
artifacts = Table(
    "artifacts",
    metadata,
    Column("attempt_id", Id, ForeignKey("attempts.id"), primary_key=True),
    Column("kind", String(11), primary_key=True),
    Column("step", Integer, primary_key=True),  # from 1; 0: it is of the whole run
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),  # the API's id of the step
    Column("state", String(7), nullable=False),
    Column("size", BigInteger),
    Column("sha256", String(64)),
    Column("media", String(100)),
    Column("path", JsonText),  # where it was put
    Column("why", JsonText),
    CheckConstraint(_one_of("kind", ArtifactKind, LISTING), "kind_is_known"),
    CheckConstraint(_one_of("state", ArtifactState), "state_is_known"),
    CheckConstraint(
        "(state = 'stored' AND kind <> 'listing') = (path IS NOT NULL)", "stored_means_path"
    ),
    Index(
        "ix_artifacts_wanted",
        "batch_id",
        "attempt_id",
        sqlite_where=text("state = 'wanted'"),
        postgresql_where=text("state = 'wanted'"),
    ),
)

#: What attempts have told of hosts that have failed, and which of them are kept back.
parking = Table(
    "parking",
    metadata,
    Column("batch_id", Id, ForeignKey("batches.id"), primary_key=True),
    Column("host", String(300), primary_key=True),
    Column("passed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("in_row", Integer, nullable=False),
    Column("parked_at", UtcDateTime),
    Column("probe_at", UtcDateTime),
    Column("probes", Integer, nullable=False),
    CheckConstraint("in_row BETWEEN 0 AND failed AND passed >= 0", "counts_agree"),
    CheckConstraint("(parked_at IS NULL) = (probe_at IS NULL)", "parked_means_probed"),
)
