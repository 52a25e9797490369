"""How steps of jobs change the counters of their batch; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from batchrunner.classify import verdict_of_transition
from batchrunner.model import AttemptDecision, Finish, JobState, Verdict
from batchrunner.model.outcomes import findings_of_transition
from batchrunner.store.counter_names import Number, Numbers


def loaded(jobs: int) -> Numbers:
    """Return what new jobs change."""
    return Counter({(Number.JOBS, JobState.AVAILABLE): jobs})


def claimed(earlier_attempts: Iterable[int]) -> Numbers:
    """Return what a claim changes of jobs with so many earlier attempts each."""
    counts = [*earlier_attempts]
    return Counter(
        {
            (Number.JOBS, JobState.AVAILABLE): -len(counts),
            (Number.JOBS, JobState.RUNNING): len(counts),
            (Number.RETRYING, ""): -sum(map(bool, counts)),
            (Number.ATTEMPTS, ""): len(counts),
        }
    )


def closed(
    applied: Iterable[AttemptDecision], cancelled: Collection[int], left: Collection[int]
) -> Numbers:
    """
    Return what the ends of attempts change.

    The jobs *cancelled* are not tried again, whatever was decided. Those that *left* are not
    current any more.
    """
    changes: Numbers = Counter()
    for decision in applied:
        transition, job_id = decision.transition, decision.attempt.job.id
        changes[Number.STEPS, ""] += (decision.run and decision.run.steps) or 0
        is_final = isinstance(transition, Finish)
        goes_on = not is_final and job_id not in cancelled
        if goes_on and transition.failure is not None:
            changes[Number.RETRIED, transition.failure.category] += 1
        if job_id in left:
            changes[Number.LEAVING, ""] -= 1
            continue
        state = JobState.AVAILABLE if goes_on else JobState.CANCELLED
        state = transition.state if isinstance(transition, Finish) else state
        changes[Number.JOBS, JobState.RUNNING] -= 1
        changes[Number.JOBS, state] += 1
        changes[Number.RETRYING, ""] += goes_on
        if state is JobState.FAILED and transition.failure is not None:
            changes[Number.FAILED, transition.failure.category] += 1
        elif verdict_of_transition(transition) is Verdict.SUSPECT:
            changes[Number.SUSPECT, findings_of_transition(transition)[0].rule] += 1
    return changes
