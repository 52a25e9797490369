"""Writes what became of a submission, and wakes the loops that this concerns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from batchrunner.model import AttemptDecision, Submission
from batchrunner.policy.create_outcome import slots_held_until
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import AttemptsClosed, RunsSubmitted
from batchrunner.store import orphans, submissions
from batchrunner.store.schema import SubmissionState


async def record_runs(
    context: RunnerContext, submission: Submission, runs: Mapping[int, str]
) -> frozenset[int]:
    """Write run ids by attempt id; return the submission's open attempts that have none yet."""
    without_run = await context.offload(
        lambda: context.store.write(
            submissions.record_runs, context.owner.id, submission, runs, context.now()
        )
    )
    if recorded := len(runs.keys() - without_run):
        context.notify(RunsSubmitted(runs=recorded))
        context.work_changed.notify()
        context.runs_recorded_at = context.now()
        context.unanswered_added.notify()  # searches may be tested by these runs
    return without_run


async def add_orphans(
    context: RunnerContext, submission: Submission, run_ids: Collection[str]
) -> None:
    """List runs that no attempt needs as orphans, which are cancelled soon."""
    if run_ids:
        await context.offload(
            lambda: context.store.write(
                orphans.add_orphans, context.batch.id, submission, run_ids, context.now()
            )
        )


async def mark_unanswered(
    context: RunnerContext, submission: Submission, search_at: datetime, reason: str
) -> None:
    """Note that a submission's runs may exist, and when to search for them."""
    now = context.now()
    held_until = slots_held_until(now, context.durations.typical)
    await context.offload(
        lambda: context.store.write(
            submissions.mark_unanswered,
            context.owner.id,
            submission,
            search_at,
            reason,
            now,
            held_until,
        )
    )
    context.unanswered_added.notify()


async def settle_submission(
    context: RunnerContext,
    submission: Submission,
    state: SubmissionState,
    decisions: Sequence[AttemptDecision],
    message: str,
    next_late_check_at: datetime | None = None,
    *,
    certain: bool = False,
) -> None:
    """
    Close a submission that has no (more) runs, and the attempts that it carried.

    A refusal that is not *certain* is confirmed by a search before its jobs are sent again.
    """
    now = context.now
    refused = state is SubmissionState.REFUSED and submission.marked
    unconfirmed = refused and not certain
    applied = await context.offload(
        lambda: context.store.write(
            submissions.settle_submission,
            context.owner.id,
            submission,
            state,
            decisions,
            now(),
            message,
            next_late_check_at,
            unconfirmed=unconfirmed,
        )
    )
    report_closed(context, applied)
    context.work_changed.notify()


def report_closed(context: RunnerContext, applied: Sequence[AttemptDecision]) -> None:
    """Report which attempts were closed, if any; their slots are free."""
    if not applied:
        return
    context.notify(AttemptsClosed(decisions=tuple(applied)))
    context.closed_attempts += len(applied)
    context.results_added.notify()
    context.work_changed.notify()
