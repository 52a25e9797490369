"""Builders of what the store takes, and the first steps of most tests of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from batchrunner.model import (
    AttemptDecision,
    Batch,
    Failed,
    FailureCategory,
    Finding,
    Finish,
    JobFile,
    JobSpec,
    JobState,
    OpenAttempt,
    Owner,
    Retry,
    Run,
    RunStatus,
    Settings,
    Snooze,
    Submission,
    SubmittedAttempt,
    Transition,
    Verdict,
)
from batchrunner.store.attempts import runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.leases import register_owner
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs, settle_submission

NOW = datetime(2026, 9, 2, 21, 0, tzinfo=UTC)
#: Id of the first batch of a database.
FIRST = 1


def after(seconds: float) -> datetime:
    """Return the time this many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


# ---- job files ----


def spec(key: str = "a", **fields: Any) -> JobSpec:
    """Build a job spec that differs from others by its key."""
    given = {"url": f"https://shop.example/{key}", "goal": "Get the price", **fields}
    return JobSpec(key=key, **given)


def keys(count: int) -> list[str]:
    """Return this many keys, which sort by their numbers."""
    return [f"job-{number:04}" for number in range(1, count + 1)]


def job_file(jobs: int | Iterable[JobSpec] = 1, name: str = "prices", **settings: Any) -> JobFile:
    """Build a job file of these specs, or of this many plain ones."""
    specs = [spec(key) for key in keys(jobs)] if isinstance(jobs, int) else jobs
    return JobFile(name=name, settings=Settings(**settings), specs=tuple(specs))


def owner(id: str = "alice") -> Owner:
    """Build an owner."""
    return Owner(id=id, machine="here", pid=4711, process_started_at="1")


# ---- runs and decisions ----


def run(run_id: str = "run-1", status: RunStatus = RunStatus.COMPLETED, **fields: Any) -> Run:
    """Build a run of the API."""
    return Run(run_id=run_id, status=status, **fields)


def failed(
    category: FailureCategory = FailureCategory.SYSTEM_FAILURE, message: str = "It broke"
) -> Failed:
    """Build a failure."""
    return Failed(category=category, message=message)


def success(
    attempt: OpenAttempt | SubmittedAttempt, result: str | None = "{}", **fields: Any
) -> AttemptDecision:
    """Decide that an attempt succeeded."""
    seen = run(f"run-{attempt.attempt_id}", result=result, **fields)
    return AttemptDecision(attempt=attempt, transition=Finish(state=JobState.SUCCEEDED), run=seen)


def suspect(
    attempt: OpenAttempt | SubmittedAttempt,
    result: str = "[]",
    finding: Finding = Finding(rule="empty", path=".", seen="[]"),  # noqa: B008
    **fields: Any,
) -> AttemptDecision:
    """Decide that an attempt succeeded with a result that looks wrong."""
    transition = Finish(state=JobState.SUCCEEDED, verdict=Verdict.SUSPECT, findings=(finding,))
    seen = run(f"run-{attempt.attempt_id}", result=result, **fields)
    return AttemptDecision(attempt=attempt, transition=transition, run=seen)


def failure(
    attempt: OpenAttempt | SubmittedAttempt,
    category: FailureCategory = FailureCategory.AGENT_FAILURE,
    state: JobState = JobState.FAILED,
    **fields: Any,
) -> AttemptDecision:
    """Decide that an attempt failed, and its job with it."""
    return _decision(attempt, Finish(state=state, failure=failed(category)), **fields)


def retry(
    attempt: OpenAttempt | SubmittedAttempt,
    at: datetime = NOW,
    category: FailureCategory = FailureCategory.SYSTEM_FAILURE,
    **fields: Any,
) -> AttemptDecision:
    """Decide that an attempt failed, counts, and is followed by another."""
    return _decision(attempt, Retry(at=at, failure=failed(category)), **fields)


def postpone(
    attempt: OpenAttempt | SubmittedAttempt,
    at: datetime = NOW,
    category: FailureCategory = FailureCategory.THROTTLED,
    together: int | None = None,
    **fields: Any,
) -> AttemptDecision:
    """Decide that an attempt failed, does not count, and is followed by another."""
    transition = Snooze(at=at, failure=failed(category), max_batch_size=together)
    return _decision(attempt, transition, **fields)


def _decision(
    attempt: OpenAttempt | SubmittedAttempt, transition: Transition, **fields: Any
) -> AttemptDecision:
    seen = run(f"run-{attempt.attempt_id}", RunStatus.FAILED, **fields) if fields else None
    return AttemptDecision(attempt=attempt, transition=transition, run=seen)


# ---- the first steps of a test ----


def enlist(store: Store, *ids: str, now: datetime = NOW) -> None:
    """Register owners, whose leases begin now."""
    for id in ids:
        store.write(register_owner, owner(id), now)


def begin(store: Store, jobs: int | Iterable[JobSpec] = 1, **settings: Any) -> Batch:
    """Load a batch, and register the owner alice."""
    enlist(store, "alice")
    return store.write(load_jobs, job_file(jobs, **settings), NOW).batch


def claim(
    store: Store, batch: Batch, owner_id: str = "alice", most: int = 100, now: datetime = NOW
) -> list[Submission]:
    """Claim due jobs."""
    return store.write(claim_jobs, owner_id, batch.id, most, now, new_token=store.new_token)


def close_as_absent(
    store: Store,
    submission: Submission,
    decisions: Sequence[AttemptDecision],
    now: datetime = NOW,
    late_check_at: datetime | None = None,
) -> list[AttemptDecision]:
    """Close a submission whose runs were not found."""
    state = SubmissionState.ABSENT
    how = ("alice", submission, state, decisions, now, "no run", late_check_at)
    return store.write(settle_submission, *how)


def rides(submissions: Iterable[Submission]) -> list[SubmittedAttempt]:
    """Return all attempts of these submissions."""
    return [ride for submission in submissions for ride in submission.attempts]


def run_ids(submission: Submission) -> dict[int, str]:
    """Return a run id for each attempt of a submission."""
    return {ride.attempt_id: f"run-{ride.attempt_id}" for ride in submission.attempts}


def start(
    store: Store, batch: Batch, owner_id: str = "alice", now: datetime = NOW
) -> list[OpenAttempt]:
    """Claim due jobs, record their runs, and return the runs in flight."""
    for submission in claim(store, batch, owner_id, now=now):
        store.write(record_runs, owner_id, submission, run_ids(submission), now)
    return store.read(runs_in_flight, owner_id, batch.id)
