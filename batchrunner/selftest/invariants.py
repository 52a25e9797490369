"""The promises of the design as checks; every harness that runs a batch uses them."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from batchrunner.api_facts.run_options import RUN_OPTIONS
from batchrunner.model import (
    Batch,
    FailureCategory,
    Job,
    JobState,
    Settings,
    TimeLimits,
    marker,
    marker_in,
)
from batchrunner.model.categories import CATEGORIES
from batchrunner.outputs import FORMATS
from batchrunner.policy.retry_rules import MIN_TIME_LIMIT, Policy
from batchrunner.policy.slots import MAX_CONCURRENCY, concurrency_limit
from batchrunner.sandbox.journal import CreateReceived, SandboxRun
from batchrunner.store.schema import SubmissionState, attempts, jobs, orphans, results, submissions
from batchrunner.store.serialization import counts_of, limits_of, options_of, rules_of
from batchrunner.store.store import Store

#: How long an unanswered create is looked for before its jobs may be sent again.
GRACE = timedelta(seconds=60)
#: How long the API must not know a run before it counts as lost.
LOST_AFTER = timedelta(seconds=30)
#: What happens to jobs and is not their fault.
BLAMELESS = frozenset(each for each, row in CATEGORIES.items() if row.never_counted)


class InvariantViolated(AssertionError):
    """A promise did not hold; the message names it."""


def invariant(held: bool, words: str, about: object = None) -> None:
    """Raise Broken with what is wrong in *words*, and *about* what, unless the promise *held*."""
    if not held:
        raise InvariantViolated(words if about is None else f"{words}: {about}")


@dataclass(frozen=True)
class StoreSnapshot:
    """Everything that the store holds of a batch, read with plain statements of our own."""

    jobs: list[Any]
    attempts: list[Any]
    results: dict[int, str]
    orphans: dict[str, Any]
    submissions: dict[int, Any]

    @classmethod
    def of(cls, store: Store, batch_id: int) -> StoreSnapshot:
        """Read them."""
        with store._database.read() as tx:
            return cls(
                jobs=list(tx.execute(select(jobs).where(jobs.c.batch_id == batch_id))),
                attempts=list(tx.execute(select(attempts).where(attempts.c.batch_id == batch_id))),
                results={row.attempt_id: row.body for row in tx.execute(select(results))},
                orphans={row.run_id: row for row in tx.execute(select(orphans))},
                submissions={row.id: row for row in tx.execute(select(submissions))},
            )

    def by_marker(self) -> dict[str, Any]:
        """Return the attempts by the text that marks the goals of their runs."""
        tokens = {row.id: row.marker_token for row in self.submissions.values()}
        return {marker(tokens[a.submission_id], a.batch_index): a for a in self.attempts}


def check_always(store: Store, batch_id: int, loaded: int) -> None:
    """Check what holds at every instant, whatever happened."""
    books = StoreSnapshot.of(store, batch_id)
    invariant(len(books.jobs) == loaded, "a job was lost")
    tally = store.tally(batch_id)
    invariant(sum(tally.jobs.values()) == loaded, "the tally does not add up")
    opened = Counter(a.job_id for a in books.attempts if a.closed_at is None)
    succeeded = Counter(a.job_id for a in books.attempts if a.outcome == "succeeded")
    invariant(max(opened.values(), default=0) <= 1, "two open attempts for one job")
    invariant(max(succeeded.values(), default=0) <= 1, "a job succeeded twice")
    failed = [a for a in books.attempts if a.counted and a.outcome != "succeeded"]
    counted = Counter(a.job_id for a in failed)
    of = Counter((a.job_id, a.outcome) for a in failed)
    newest: dict[int, int] = {}
    for attempt in books.attempts:
        newest[attempt.job_id] = max(newest.get(attempt.job_id, 0), attempt.number)
    for job in books.jobs:
        running, done = opened[job.id] == 1, succeeded[job.id] == 1
        invariant((job.state == JobState.RUNNING) == running, "a job belies its attempts", job)
        invariant((job.state == JobState.SUCCEEDED) == done, "a job belies its attempts", job)
        # Fewer where the user put the job back: then they are counted anew.
        invariant(job.failures <= counted[job.id], "a job has more failures than attempts", job)
        met = json.loads(job.failures_by_category)
        invariant(sum(met.values()) == job.failures, "a job does not know what it failed of", job)
        known = all(count <= of[job.id, category] for category, count in met.items())
        invariant(known, "a job has more failures of a category than attempts", job)
        invariant(job.attempt == newest.get(job.id, 0), "a job has another number of attempts", job)
    _check_attempts(books)


def _check_attempts(books: StoreSnapshot) -> None:
    unsettled = {SubmissionState.INTENDED, SubmissionState.UNANSWERED}
    for attempt in books.attempts:
        submission = books.submissions[attempt.submission_id]
        if attempt.closed_at is None:
            found = attempt.run_id is not None or submission.state in unsettled
            invariant(found, "the run ids of a submission were lost")
        if attempt.outcome in BLAMELESS:
            invariant(not attempt.counted, "waiting used up an attempt")
        if attempt.outcome == FailureCategory.LOST:
            since = attempt.missing_since
            patient = since is not None and attempt.closed_at - since >= LOST_AFTER
            invariant(patient, "a run was called lost at the first look")


def hidden(
    ledger: Iterable[SandboxRun], late: float = 0.0, ended: datetime | None = None
) -> set[str]:
    """
    Return the ids of runs of which no client could know, had it not heard of them at once.

    A run with the fate "lost" is shown to nobody, and costs nothing. One that is listed *late*, by
    so many seconds, is not to be found by a batch that *ended* before.
    """
    return {
        run.run_id
        for run in ledger
        if run.fault == "lost" or (ended and run.created_at + timedelta(seconds=late) > ended)
    }


def undecided(store: Store, batch_id: int, ledger: Iterable[SandboxRun]) -> set[str]:
    """
    Return the ids of runs of which nothing could tell, and which their jobs were failed for.

    Whether they exist and are paid for is the user's to find out, who is told.
    """
    books = StoreSnapshot.of(store, batch_id)
    return _undecided(books, ledger)


def _undecided(books: StoreSnapshot, ledger: Iterable[SandboxRun]) -> set[str]:
    open_to_doubt = {
        text
        for text, attempt in books.by_marker().items()
        if attempt.outcome == FailureCategory.UNANSWERED and attempt.run_id is None
    }
    found = {run.run_id for run in ledger if marker_in(run.goal) in open_to_doubt}
    return found - set(books.orphans)


def check_decided(store: Store, batch_id: int) -> None:
    """Check that nothing was left undecided where the list of runs can be relied on."""
    books = StoreSnapshot.of(store, batch_id)
    for attempt in books.attempts:
        if attempt.outcome == FailureCategory.UNANSWERED and attempt.run_id is None:
            given_up = any(_gave_back(books, other, attempt) for other in books.attempts)
            invariant(given_up, "a job was left undecided although its run could be searched for")


def _gave_back(books: StoreSnapshot, attempt: Any, later: Any) -> bool:
    """Whether a job went again because a run of an attempt before was believed to be absent."""
    if attempt.job_id != later.job_id or attempt.number >= later.number:
        return False
    state = books.submissions[attempt.submission_id].state
    return attempt.run_id is None and state == SubmissionState.ABSENT


def check_end(
    store: Store,
    batch_id: int,
    loaded: int,
    ledger: Collection[SandboxRun],
    unseen: Collection[str] | None = None,
) -> None:
    """
    Check what holds when a batch has come to its end: the books balance with the API's.

    *unseen* are the runs that are hidden; where it is not given, those that nothing delays.
    """
    check_always(store, batch_id, loaded)
    books = StoreSnapshot.of(store, batch_id)
    invariant(all(JobState(job.state).is_final for job in books.jobs), "a job is not final")
    known = Counter(a.run_id for a in books.attempts if a.run_id is not None)
    invariant(max(known.values(), default=1) == 1, "a run belongs to two attempts")
    created = {run.run_id for run in ledger}
    invariant(set(known) <= created, "an attempt has a run that the API never created")
    invariant(not set(known) & set(books.orphans), "a run that an attempt has is called an orphan")
    strays = created - set(hidden(ledger) if unseen is None else unseen) - set(known)
    invariant(strays <= set(books.orphans), "a run was created that belongs to nobody")
    invariant(all(row.ended_at for row in books.orphans.values()), "an orphan was left alive")
    bill = {run.run_id: run.steps for run in ledger}
    for attempt in books.attempts:
        if attempt.outcome == "succeeded":
            invariant(attempt.id in books.results, "a success without a result on disk")
        if attempt.steps is not None:
            invariant(attempt.steps == bill[attempt.run_id], "another bill than the API's")
    exported = Counter(json.loads(line)["id"] for line in _export(store, batch_id))
    invariant(exported == Counter(job.key for job in books.jobs), "a job is not in the export once")


def _export(store: Store, batch_id: int) -> Iterable[str]:
    file = io.BytesIO()
    FORMATS["jsonl"].write(lambda: store.finished(batch_id), file)
    return file.getvalue().decode().splitlines()


# ---- what only a sandbox in this process can tell ----


def check_creates(
    store: Store,
    batch: Batch,
    ledger: Collection[SandboxRun],
    late: float | None,
    *,
    blind: bool = False,
) -> None:
    """
    Check, at any instant, that no create was sent that should not have been.

    *late* is after how many seconds a run is listed; None: the two clocks cannot be compared.
    *blind* says that searches may have found nothing at all: without a run that was known, that
    could not be noticed.
    """
    books = StoreSnapshot.of(store, batch.id)
    by_marker = books.by_marker()
    marked = [(text, run) for run in ledger if (text := marker_in(run.goal))]
    invariant(
        {text for text, _ in marked} <= set(by_marker),
        "a run was created before its intent was on disk",
    )
    invariant(
        max(Counter(text for text, _ in marked).values(), default=0) <= 1,
        "a create was sent again: two runs have one marker",
    )
    given_up = [
        (by_marker[text], run)
        for text, run in marked
        if by_marker[text].outcome == FailureCategory.UNREACHABLE and run.fault != "lost"
    ]
    for attempt, run in given_up if late is not None else ():
        if not blind or _could_be_tried(books, attempt):
            listed_at = run.created_at + timedelta(seconds=late or 0)
            invariant(attempt.closed_at < listed_at, "a run on the list was given up")
    _check_grace(books)
    own = {job.id: limits_of(job.limits) for job in books.jobs}
    for text, run in marked:
        timed_out = by_marker[text].outcome == FailureCategory.TIMED_OUT
        if run.fault == "cancelled":
            continue  # by somebody else, though looks may not have shown it
        if timed_out and not by_marker[text].cancelled_for_deadline and run.finished_at:
            _check_patience(batch.settings, own[by_marker[text].job_id], run)
    # What was given up and turned up late was alive beside the bound; it is cancelled.
    unwanted = {run.run_id for _, run in given_up} | set(books.orphans) | hidden(ledger)
    unwanted |= _undecided(books, ledger)
    _check_limits(books, batch.settings, [run for run in ledger if run.run_id not in unwanted])


def _check_grace(books: StoreSnapshot) -> None:
    for submission in books.submissions.values():
        if submission.state == SubmissionState.ABSENT:
            took = submission.answered_at - submission.intended_at
            invariant(took >= GRACE, "a create was given up before the grace was over")


def _could_be_tried(books: StoreSnapshot, attempt: Any) -> bool:
    """Whether a run was known well, when this attempt was opened, by which to try searches."""
    for other in books.attempts:
        answered_at = books.submissions[other.submission_id].answered_at
        seen_at = other.seen_running_at or (other.run_status and other.closed_at)
        if not (other.run_id and answered_at and seen_at):
            continue
        if max(seen_at, answered_at + GRACE) <= attempt.opened_at:
            return True
    return False


def _check_patience(settings: Settings, own: TimeLimits, run: SandboxRun) -> None:
    """Check when a run was cancelled; a status that nobody knows may hide which limit counts."""
    least = min(own.queued or settings.queued_limit, own.running or settings.running_limit)
    if settings.stuck_after is not None:
        least = min(least, MIN_TIME_LIMIT)
    lasted = (run.finished_at or run.created_at) - run.created_at
    invariant(lasted >= least, "a run was given up before its limit")


def _check_limits(books: StoreSnapshot, settings: Settings, wanted: Collection[SandboxRun]) -> None:
    for job in books.jobs:
        _check_failures(settings, job)
    most = concurrency_limit(settings.concurrency, MAX_CONCURRENCY)
    invariant(most_at_once(wanted) <= most, "more in flight than the bound")


def _check_failures(settings: Settings, job: Any) -> None:
    """Check that a job failed no more often than it may, of each category and in all."""
    policy, rules = Policy.of(settings), rules_of(job.policy)
    about = Job(id=job.id, key=job.key, attempt=job.attempt, failures=job.failures, policy=rules)
    invariant(job.failures <= policy.bound(about), "more failures than the policy allows")
    for category, count in counts_of(job.failures_by_category).items():
        most = policy.tries(policy.rule(about, category))
        invariant(count <= most, f"more {category} than the policy allows")


def most_at_once(ledger: Iterable[SandboxRun]) -> int:
    """Return how many runs were alive at once, at most."""
    runs = list(ledger)
    changes = [(run.created_at, 1) for run in runs]
    changes += [(run.finished_at, -1) for run in runs if run.finished_at]
    most = alive = 0
    for _, change in sorted(changes):  # at one instant ends go before beginnings
        alive += change
        most = max(most, alive)
    return most


def check_waits(requests: Collection[CreateReceived], retry_after: float) -> None:
    """Check that a url whose create was throttled is sent again only when it was allowed."""
    until: dict[str, datetime] = {}
    for request in requests:
        for url in request.urls:
            invariant(request.at >= until.get(url, request.at), "sent before Retry-After was over")
            if request.status == 429:
                until[url] = request.at + timedelta(seconds=retry_after)


def check_account(
    store: Store,
    batch_id: int,
    ledger: Collection[SandboxRun],
    unseen: Collection[str],
    served: Mapping[str, bytes],
    *,
    one_clock: bool,
    webhook: str | None = None,
) -> None:
    """
    Check, at the end of a batch, every row against the run that it tells of.

    *unseen* are runs that are hidden; *served* is what was shown in the place of a run's result, by
    run id; *one_clock* says that times here and there can be compared; *webhook* is what runners
    name where a job names none, which no row tells.
    """
    books = StoreSnapshot.of(store, batch_id)
    theirs = set(unseen) - {attempt.run_id for attempt in books.attempts}
    runs = {run.run_id: run for run in ledger if run.fault != "lost" and run.run_id not in theirs}
    invariant(all(run.finished_at for run in runs.values()), "a run was left alive")
    urls = {job.id: job.url for job in books.jobs}
    options = {job.id: job.options for job in books.jobs}
    for attempt in books.attempts:
        run = runs.get(attempt.run_id)
        if run is None:
            continue
        invariant(run.url == urls[attempt.job_id], "a run is in another job's row")
        early = one_clock and run.finished_at > attempt.closed_at
        invariant(not early, "an attempt was closed while its run went on")
        ran_with = _options(options_of(options[attempt.job_id], attempt.option_overrides))
        ours = {} if webhook is None or "webhook_url" in ran_with else {"webhook_url": webhook}
        invariant(
            _options(run.body) in (ran_with, ran_with | ours),
            "a run had other options than its row tells",
        )
        _check_result(attempt, run, books.results.get(attempt.id), served.get(run.run_id))
    charged = sum(run.steps for run in runs.values())
    invariant(
        store.tally(batch_id).steps == charged, "the batch's cost is not what the API charged"
    )


def _options(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that each run has of its own; output_schema is shared by a request."""
    return {name: asked[name] for name in RUN_OPTIONS if name in asked and name != "output_schema"}


def _check_result(attempt: Any, run: SandboxRun, kept: str | None, strange: bytes | None) -> None:
    if strange is not None:
        invariant(bool(kept), "a strange result was not kept")
        invariant(_same_text(kept or "", strange), "a strange result was changed")
        believed = attempt.outcome == "succeeded" or bool(run.schema_errors)
        invariant(believed, "a strange result was taken for a failure")
    elif kept is not None:
        invariant(json.loads(kept) == run.result, "a stored result is not what the API served")


def _same_text(stored: str, served: bytes) -> bool:
    """Say whether JSON in ASCII is what was served; a byte that is no UTF-8 is half a character."""
    text = served.decode("utf-8", "surrogateescape")
    return stored.isascii() and _unescaped(stored) == _unescaped(text)


def _unescaped(text: str) -> str:
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
