"""What must hold in every database, whatever happened: each promise as a check."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from batchrunner.model import (
    Batch,
    FailureCategory,
    Job,
    JobState,
    Run,
    RunStatus,
    Settings,
    TimeLimits,
    Verdict,
    marker_in,
)
from batchrunner.model.categories import CATEGORIES
from batchrunner.model.job_file import MAX_CONCURRENCY
from batchrunner.outputs import FORMATS, ExportTable
from batchrunner.policy.audit import compare, shown_marker
from batchrunner.policy.control_runs import MAX_RUNNING_TIME
from batchrunner.policy.retry_rules import MIN_TIME_LIMIT, Policy
from batchrunner.policy.slots import concurrency_limit
from batchrunner.sandbox.faults import SUSPECT
from batchrunner.sandbox.journal import CreateReceived, SandboxRun
from batchrunner.store.audit import audit_records
from batchrunner.store.counters import drift
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.schema import SubmissionState, attempts, jobs, orphans, results, submissions
from batchrunner.store.serialization import counts_of, limits_of, rules_of
from batchrunner.store.store import Store

#: How long an unanswered create is searched for before its jobs may be sent again.
GRACE_PERIOD = timedelta(seconds=60)
#: An unanswered create whose runs are found sooner holds its slots without a gap.
SHORT_SEARCH = timedelta(seconds=2)
#: How long the API must not know a run before the run counts as lost.
LOST_AFTER = timedelta(minutes=10)
#: Failures that are not the job's fault: they use up no attempt.
NOT_THE_JOBS_FAULT = frozenset(each for each, row in CATEGORIES.items() if row.never_counted)
SUCCEEDED = "succeeded"


class InvariantViolated(AssertionError):
    """A promise was broken; the message says which one."""


def invariant(holds: bool, message: str, about: object = None) -> None:
    """
    Raise an error that says what is wrong, unless the invariant *holds*.

    Raises:
        InvariantViolated: It does not hold.
    """
    if not holds:
        raise InvariantViolated(message if about is None else f"{message}: {about}")


@dataclass(frozen=True)
class StoreSnapshot:
    """
    What is stored of a batch, read with statements that the program itself does not use.

    Results, orphans and submissions are those of all batches in the database.
    """

    jobs: list[Any]
    attempts: list[Any]
    results: dict[int, str]  #: by attempt id
    orphans: dict[str, Any]  #: by run id
    submissions: dict[int, Any]

    @classmethod
    def of(cls, store: Store, batch_id: int) -> StoreSnapshot:
        """Read a batch's jobs and attempts, and the rest of the database, in one transaction."""
        with store._database.read() as tx:
            return cls(
                jobs=list(tx.execute(select(jobs).where(jobs.c.batch_id == batch_id))),
                attempts=list(tx.execute(select(attempts).where(attempts.c.batch_id == batch_id))),
                results={row.attempt_id: row.body for row in tx.execute(select(results))},
                orphans={row.run_id: row for row in tx.execute(select(orphans))},
                submissions={row.id: row for row in tx.execute(select(submissions))},
            )

    def current_jobs(self) -> list[Any]:
        """Return the newest revision of each job that is in its file."""
        return [job for job in self.jobs if not job.superseded and not job.withdrawn]

    def by_marker(self) -> dict[str, Any]:
        """Return each attempt by the marker in the goal of its run."""
        sent = {row.id for row in self.submissions.values() if row.marked}
        return {each.marker: each for each in self.attempts if each.submission_id in sent}


# ---- at every moment ----


def check_always(store: Store, batch_id: int, loaded: int) -> None:
    """Check what holds at every moment: after each step, crash and restart."""
    snapshot = StoreSnapshot.of(store, batch_id)
    kept = len(snapshot.current_jobs())
    invariant(kept == loaded, f"a job was lost: {loaded} were loaded, and {kept} are left")
    counted = sum(store.read(batch_counts, batch_id).jobs.values())
    invariant(counted == loaded, f"the counts by state add up to {counted} of {loaded} jobs")
    wrong = store.read(drift, batch_id)
    invariant(not wrong, f"the numbers that are kept differ from a recount: {dict(wrong)}")
    _check_jobs_match_attempts(snapshot)
    _check_failure_counts(snapshot)
    _check_verdicts(snapshot)
    for attempt in snapshot.attempts:
        _check_attempt(attempt, snapshot.submissions[attempt.submission_id])


def _check_jobs_match_attempts(snapshot: StoreSnapshot) -> None:
    """Check that a job has at most one open attempt and one success, and a state that fits."""
    opened = Counter(a.job_id for a in snapshot.attempts if a.closed_at is None)
    succeeded = Counter(a.job_id for a in snapshot.attempts if a.outcome == SUCCEEDED)
    newest: Counter[int] = Counter()
    for attempt in snapshot.attempts:
        newest[attempt.job_id] = max(newest[attempt.job_id], attempt.number)
    for job in snapshot.jobs:
        invariant(opened[job.id] <= 1, "a job has two open attempts", f"job {job.key}")
        invariant(succeeded[job.id] <= 1, "a job succeeded twice", f"job {job.key}")
        running = job.state == JobState.RUNNING
        invariant(
            running == bool(opened[job.id]),
            "a job's state does not fit its attempts",
            f"job {job.key}",
        )
        done = job.state == JobState.SUCCEEDED
        invariant(
            done == bool(succeeded[job.id]),
            "a job's state does not fit its attempts",
            f"job {job.key}",
        )
        invariant(
            job.attempt == newest[job.id], "a job's number of attempts is wrong", f"job {job.key}"
        )


def _check_failure_counts(snapshot: StoreSnapshot) -> None:
    """Check that each job counts its failures right, by category and in all."""
    failed = [a for a in snapshot.attempts if a.counted and a.outcome != SUCCEEDED]
    of_job = Counter(a.job_id for a in failed)
    of_category = Counter((a.job_id, a.outcome) for a in failed)
    for job in snapshot.jobs:
        # They may be fewer than the attempts: counting starts anew when the user retries a job.
        invariant(
            job.failures <= of_job[job.id],
            "a job has more failures than attempts",
            f"job {job.key}",
        )
        by_category = json.loads(job.failures_by_category)
        complete = sum(by_category.values()) == job.failures
        invariant(complete, "a job's failures by category do not add up", f"job {job.key}")
        for category, count in by_category.items():
            known = count <= of_category[job.id, category]
            invariant(
                known, f"a job has more {category} failures than such attempts", f"job {job.key}"
            )


def _check_verdicts(snapshot: StoreSnapshot) -> None:
    """Check that a suspect result is a success that no attempt follows, and a bad one is none."""
    newest = {job.id: job.attempt for job in snapshot.jobs}
    for job in snapshot.current_jobs():
        ended = JobState(job.state) in (JobState.FAILED, JobState.CANCELLED)
        lost = ended and job.replaces is not None
        invariant(not lost, "a suspect result was lost to a worse one", f"job {job.key}")
    for attempt in snapshot.attempts:
        about, succeeded = f"attempt {attempt.id}", attempt.outcome == SUCCEEDED
        if attempt.verdict == Verdict.BAD:
            invariant(not succeeded, "a bad result was delivered", about)
        elif attempt.verdict is not None:
            invariant(succeeded, f"a {attempt.verdict} result was not delivered", about)
            last = attempt.number == newest[attempt.job_id]
            invariant(last, f"a job with a {attempt.verdict} result was tried again", about)


def _check_attempt(attempt: Any, submission: Any) -> None:
    """Check that an open attempt can still be matched, and that a closed one was closed rightly."""
    if attempt.closed_at is None:
        searched = submission.state in (SubmissionState.INTENDED, SubmissionState.UNANSWERED)
        known = attempt.run_id is not None or searched
        invariant(known, "the run ids of a submission were lost", f"attempt {attempt.id}")
    if attempt.outcome in NOT_THE_JOBS_FAULT:
        invariant(not attempt.counted, "waiting used up an attempt", f"attempt {attempt.id}")
    if attempt.outcome == FailureCategory.LOST:
        since = attempt.missing_since
        waited = since is not None and attempt.closed_at - since >= LOST_AFTER
        invariant(
            waited,
            "a run was reported lost at the first poll that missed it",
            f"attempt {attempt.id}",
        )


# ---- runs that the program cannot know about ----


def hidden_runs(
    runs: Iterable[SandboxRun], late: float = 0.0, ended: datetime | None = None
) -> set[str]:
    """
    Return the ids of runs that no client can find if it got no answer to the create.

    A run with the fault "lost" is shown to nobody, and costs nothing. If runs are listed *late*, by
    this many seconds, a batch that *ended* earlier cannot find them.
    """
    return {
        run.run_id
        for run in runs
        if run.fault == "lost" or (ended and run.created_at + timedelta(seconds=late) > ended)
    }


def undecided(store: Store, batch_id: int, runs: Iterable[SandboxRun]) -> set[str]:
    """
    Return the ids of runs that nothing can match, and whose jobs failed as unanswered.

    The user must find out whether they exist and are paid for.
    """
    return _undecided(StoreSnapshot.of(store, batch_id), runs)


def _undecided(snapshot: StoreSnapshot, runs: Iterable[SandboxRun]) -> set[str]:
    unanswered = {
        text
        for text, attempt in snapshot.by_marker().items()
        if attempt.outcome == FailureCategory.UNANSWERED and attempt.run_id is None
    }
    found = {run.run_id for run in runs if marker_in(run.goal) in unanswered}
    return found - set(snapshot.orphans)


def check_decided(store: Store, batch_id: int) -> None:
    """Check that no job is left to the user if the API's list of runs can be relied on."""
    snapshot = StoreSnapshot.of(store, batch_id)
    for attempt in snapshot.attempts:
        if attempt.outcome == FailureCategory.UNANSWERED and attempt.run_id is None:
            proof = any(_shows_searches(snapshot, each, attempt) for each in snapshot.attempts)
            message = "a job was left undecided although a later run shows that searches work"
            invariant(not proof, message, f"attempt {attempt.id}")


def _shows_searches(snapshot: StoreSnapshot, other: Any, undecided: Any) -> bool:
    """Return whether a later run was completed long before an attempt was left undecided."""
    since = snapshot.submissions[undecided.submission_id].unanswered_at
    later = snapshot.submissions[other.submission_id].intended_at
    completed = other.run_status == "COMPLETED" and other.closed_at is not None
    if not (completed and other.marker and since and later >= since):
        return False
    return bool(undecided.closed_at - other.closed_at > MAX_RUNNING_TIME)


# ---- at the end of a batch ----


def check_end(
    store: Store,
    batch_id: int,
    loaded: int,
    runs: Collection[SandboxRun],
    unseen: Collection[str] | None = None,
) -> None:
    """
    Check what holds when a batch has ended: the database and the API agree about every run.

    *unseen* are the ids of hidden runs. Without it these are the ones that are shown to nobody.
    """
    check_always(store, batch_id, loaded)
    snapshot = StoreSnapshot.of(store, batch_id)
    for job in snapshot.jobs:
        invariant(
            JobState(job.state).is_final, "the batch ended before a job was final", f"job {job.key}"
        )
    _check_each_run_has_one_place(snapshot, runs, hidden_runs(runs) if unseen is None else unseen)
    _check_suspect_runs(snapshot, runs)
    bill = {run.run_id: run.steps for run in runs}
    for attempt in snapshot.attempts:
        if attempt.outcome == SUCCEEDED:
            stored = attempt.id in snapshot.results
            invariant(stored, "a job succeeded without a result on disk", f"attempt {attempt.id}")
        if attempt.steps is not None:
            same = attempt.steps == bill[attempt.run_id]
            invariant(
                same, "the steps of a run are not what the API charged", f"attempt {attempt.id}"
            )
    exported = Counter(json.loads(line)["id"] for line in _export(store, batch_id))
    once = exported == Counter(job.key for job in snapshot.current_jobs())
    invariant(once, "a job is not in the export exactly once")


def _check_suspect_runs(snapshot: StoreSnapshot, runs: Iterable[SandboxRun]) -> None:
    """Check that each run whose result looks wrong was delivered and flagged, and not failed."""
    suspect = {run.run_id for run in runs if run.fault == SUSPECT and run.status == "COMPLETED"}
    for attempt in snapshot.attempts:
        if attempt.run_id in suspect and attempt.run_status == "COMPLETED":
            flagged = (attempt.outcome, attempt.verdict) == (SUCCEEDED, Verdict.SUSPECT)
            message = "a result that looks wrong was not delivered and flagged"
            invariant(flagged, message, f"attempt {attempt.id}")


def _check_each_run_has_one_place(
    snapshot: StoreSnapshot, runs: Iterable[SandboxRun], unseen: Collection[str]
) -> None:
    """Check that every run belongs to exactly one attempt, or is a cancelled orphan."""
    created = {run.run_id for run in runs}
    known = Counter(a.run_id for a in snapshot.attempts if a.run_id is not None)
    twice = [run_id for run_id, times in known.items() if times > 1]
    invariant(not twice, "a run belongs to two attempts", twice)
    invented = set(known) - created
    invariant(not invented, "an attempt has a run that the API never created", invented)
    both = set(known) & set(snapshot.orphans)
    invariant(not both, "a run belongs to an attempt and is listed as an orphan", both)
    forgotten = created - set(unseen) - set(known) - set(snapshot.orphans)
    invariant(not forgotten, "a run was created that belongs to no attempt", forgotten)
    alive = [run_id for run_id, row in snapshot.orphans.items() if not row.ended_at]
    invariant(not alive, "an orphan was left alive", alive)


def check_audit(
    store: Store, runs: Iterable[SandboxRun], unseen: Collection[str], now: datetime
) -> None:
    """
    Check, at the end of a batch, that an audit finds no difference.

    *unseen* are the ids of hidden runs, and of those that nothing can match.
    """
    shown = [_as_listed(run) for run in runs if run.run_id not in unseen]
    tokens = {marker.token for run in shown if (marker := shown_marker(run))}
    records = store.read(audit_records, [run.run_id for run in shown], tokens)
    for token in {token.partition("-")[0] for token in records.submissions}:
        found = compare(shown, records, token, now).differences
        invariant(not found, "the audit found a difference", found)


def _as_listed(run: SandboxRun) -> Run:
    return Run(run_id=run.run_id, status=RunStatus(run.status), goal=run.goal, steps=run.steps)


def _export(store: Store, batch_id: int) -> Iterable[str]:
    file = io.BytesIO()
    FORMATS["jsonl"].write(ExportTable(jobs=lambda: finished_jobs(store, batch_id)), file)
    return file.getvalue().decode().splitlines()


# ---- creates; only a sandbox in the same process knows these ----


def check_creates(
    store: Store, batch: Batch, runs: Collection[SandboxRun], *, certain: bool = True
) -> None:
    """
    Check, at any moment, that no create was sent that must not be sent.

    *certain* means that every absence can be proved: no run is listed much later than others.
    """
    snapshot = StoreSnapshot.of(store, batch.id)
    # A middlebox that repeats a request is nothing that the program sends.
    sent = [run for run in runs if not run.replayed]
    marked = [(text, run) for run in sent if (text := marker_in(run.goal))]
    intended = {text for text, _ in marked} <= set(snapshot.by_marker())
    invariant(intended, "a run was created before its intent was on disk")
    twice = [text for text, times in Counter(text for text, _ in marked).items() if times > 1]
    invariant(not twice, "a create was sent twice: two runs have the same marker", twice)
    absent = _absent_markers(snapshot)
    given_up = {run.run_id for text, run in marked if text in absent and run.fault != "lost"}
    message = "a create was given up although its run existed"
    invariant(not (given_up and certain), message, given_up)
    _check_grace_period(snapshot)
    _check_time_limits(snapshot, batch.settings, marked)
    # A run that is given up and appears late runs beside the limit until it is cancelled.
    unwanted = given_up | set(snapshot.orphans) | hidden_runs(runs)
    unwanted |= _undecided(snapshot, runs) | _without_slots(snapshot, marked)
    unwanted |= {run.run_id for run in runs if run.replayed}
    _check_limits(snapshot, batch.settings, [run for run in runs if run.run_id not in unwanted])


def _absent_markers(snapshot: StoreSnapshot) -> set[str]:
    """Return the markers of attempts that were closed because they have no run."""
    states = {row.id: row.state for row in snapshot.submissions.values()}
    return {
        attempt.marker
        for attempt in snapshot.attempts
        if states[attempt.submission_id] == SubmissionState.ABSENT and attempt.run_id is None
    }


def _check_grace_period(snapshot: StoreSnapshot) -> None:
    """Check that an unanswered create is searched for long enough before it counts as absent."""
    for submission in snapshot.submissions.values():
        if submission.state == SubmissionState.ABSENT:
            searched = submission.answered_at - submission.intended_at
            message = "a create was given up before the grace period was over"
            invariant(searched >= GRACE_PERIOD, message, f"submission {submission.id}")


def _without_slots(snapshot: StoreSnapshot, marked: Iterable[tuple[str, SandboxRun]]) -> set[str]:
    """Return the runs that held no slots for a while: unanswered, refused or lost ones."""
    texts = set()
    for attempt in snapshot.attempts:
        submission = snapshot.submissions[attempt.submission_id]
        since, answered_at = submission.unanswered_at, submission.answered_at
        searched = since and (answered_at is None or answered_at - since > SHORT_SEARCH)
        hidden = submission.state == SubmissionState.REFUSED
        if searched or hidden or attempt.outcome == FailureCategory.LOST:
            texts.add(attempt.marker)
    return {run.run_id for text, run in marked if text in texts}


def _check_time_limits(
    snapshot: StoreSnapshot, settings: Settings, marked: Iterable[tuple[str, SandboxRun]]
) -> None:
    """Check that no run was cancelled for its time before its limit."""
    by_marker = snapshot.by_marker()
    own = {job.id: limits_of(job.limits) for job in snapshot.jobs}
    for text, run in marked:
        attempt = by_marker[text]
        if run.fault == "cancelled":
            continue  # by somebody else, although polls may not have shown it
        timed_out = (
            attempt.outcome == FailureCategory.TIMED_OUT
            and not attempt.cancelled_for_deadline
            and not attempt.cancelled_at_stop
        )
        if timed_out and run.finished_at:
            _check_time_limit(settings, own[attempt.job_id], run)


def _check_time_limit(settings: Settings, own: TimeLimits, run: SandboxRun) -> None:
    # An unknown status may hide which of the two limits applies.
    least = min(own.queued or settings.queued_limit, own.running or settings.running_limit)
    if settings.stuck_after is not None:
        least = min(least, MIN_TIME_LIMIT)
    lasted = (run.finished_at or run.created_at) - run.created_at
    invariant(lasted >= least, "a run was cancelled before its limit", f"run {run.run_id}")


def _check_limits(
    snapshot: StoreSnapshot, settings: Settings, runs: Collection[SandboxRun]
) -> None:
    """Check that jobs fail no more often, and runs are no more at once, than the settings allow."""
    for job in snapshot.jobs:
        _check_failures(settings, job)
        _check_suspects(settings, job)
    limit = concurrency_limit(settings.concurrency, MAX_CONCURRENCY)
    most = most_at_once(runs)
    invariant(most <= limit, f"more runs in flight than the limit: {most}, not {limit}")


def _check_failures(settings: Settings, job: Any) -> None:
    policy, rules = Policy.of(settings), rules_of(job.policy)
    about = Job(id=job.id, key=job.key, attempt=job.attempt, failures=job.failures, policy=rules)
    most = policy.max_failures(about)
    invariant(
        job.failures <= most, "a job failed more often than its policy allows", f"job {job.key}"
    )
    for category, count in counts_of(job.failures_by_category).items():
        allowed = count <= policy.allowed_failures(policy.rule(about, category))
        invariant(
            allowed, f"a job met {category} more often than its policy allows", f"job {job.key}"
        )


def _check_suspects(settings: Settings, job: Any) -> None:
    """Check that a suspect result is bought again by itself only as often as a rule says."""
    about = Job(id=job.id, key=job.key, attempt=0, failures=0, policy=rules_of(job.policy))
    rule = Policy.of(settings).rule(about, Verdict.SUSPECT)
    allowed = (job.suspects or 0) < (rule.attempts or 1)
    invariant(allowed, "a suspect result was bought again without a policy", f"job {job.key}")


def most_at_once(runs: Iterable[SandboxRun]) -> int:
    """Return how many runs were alive at the same time, at most."""
    every = list(runs)
    changes = [(run.created_at, 1) for run in every]
    changes += [(run.finished_at, -1) for run in every if run.finished_at]
    most = alive = 0
    for _, change in sorted(changes):  # at the same moment, ends come before beginnings
        alive += change
        most = max(most, alive)
    return most


def check_waits(requests: Collection[CreateReceived], retry_after: float) -> None:
    """Check that no throttled create is sent again before Retry-After is over."""
    until: dict[str, datetime] = {}
    for request in requests:
        for url in request.urls:
            allowed = request.at >= until.get(url, request.at)
            invariant(allowed, "a create was sent again before Retry-After was over", url)
            if request.status == 429:
                until[url] = request.at + timedelta(seconds=retry_after)
