"""Each bug that is planted in the store breaks the invariant that is named for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from batchrunner.model import AttemptDecision, FailureCategory, JobState, Submission, WorkLeft
from batchrunner.policy.slots import concurrency_limit
from batchrunner.runner.runner import Runner
from batchrunner.store.attempts import apply_decisions
from batchrunner.store.claims import claim_jobs
from batchrunner.store.controls import cancel_jobs
from batchrunner.store.counter_changes import claimed, closed
from batchrunner.store.counter_names import Number, Numbers
from batchrunner.store.counters import recount
from batchrunner.store.database import Database
from batchrunner.store.leases import other_owners, register_owner, rescue_attempts
from batchrunner.store.reports import finished_jobs, work_left
from batchrunner.store.schema import SubmissionState, attempts, jobs, results
from batchrunner.store.submissions import close_submission, record_runs
from tests.simulation.planting import Bug, Planter, check_caught, each_of
from tests.simulation.short_batches import (
    cancelled,
    faulty_batch,
    killed_after,
    run_twice,
    small_batch,
    suspended_machine,
    suspended_runner,
    two_runners,
)
from tests.simulator.simulated_batch import pages, simulate

Decisions = Sequence[AttemptDecision]


def on_each_kill(planter: Planter, forget: Callable[[], None]) -> None:
    """Forget what is in memory when a process is killed."""
    real = Runner.run

    async def run(runner: Runner) -> Any:
        try:
            return await real(runner)
        except BaseException:
            forget()
            raise

    planter.replace(Runner.run, run)


# ---- claiming ----


def send_before_the_intent(planter: Planter) -> None:
    """Roll a claim back, and send its creates all the same."""

    def claim_unwritten(tx: Connection, *args: Any, **kwargs: Any) -> list[Submission]:
        savepoint = tx.begin_nested()
        found = claim_jobs(tx, *args, **kwargs)
        savepoint.rollback()
        return found

    planter.replace(claim_jobs, claim_unwritten)


def lose_run_ids(planter: Planter) -> None:
    def record(
        tx: Connection, owner_id: str, submission: Submission, runs: object, now: datetime
    ) -> frozenset[int]:
        close_submission(tx, owner_id, submission, SubmissionState.CREATED, now)
        return frozenset()

    planter.replace(record_runs, record)


def bound_each_process(planter: Planter) -> None:
    elsewhere = 0

    def unbounded_claim(
        tx: Connection, owner_id: str, batch_id: int, *args: Any, **kwargs: Any
    ) -> Any:
        nonlocal elsewhere
        elsewhere = work_left(tx, owner_id, batch_id).in_flight_elsewhere
        try:
            return claim_jobs(tx, owner_id, batch_id, *args, **kwargs)
        finally:
            elsewhere = 0

    def without_others(*args: Any) -> WorkLeft:
        found = work_left(*args)
        return replace(found, free_slots=found.free_slots + found.in_flight_elsewhere)

    planter.replace(claim_jobs, unbounded_claim)
    planter.replace(concurrency_limit, lambda *args: concurrency_limit(*args) + elsewhere)
    planter.replace(work_left, without_others)


def run_without_the_options_in_the_row(planter: Planter) -> None:
    def plain(*args: Any, **kwargs: Any) -> list[Submission]:
        return [
            replace(submission, attempts=tuple(map(without_overrides, submission.attempts)))
            for submission in claim_jobs(*args, **kwargs)
        ]

    def without_overrides(attempt: Any) -> Any:
        kept = attempt.options.keys() - attempt.option_overrides.keys()
        return replace(attempt, options={name: attempt.options[name] for name in kept})

    planter.replace(claim_jobs, plain)


def take_over_from_the_living(planter: Planter) -> None:
    def take_over(
        tx: Connection, owner_id: str, batch_id: int, now: datetime, exited: object, *args: Any
    ) -> list[int]:
        everybody = [owner.id for owner, _ in other_owners(tx, owner_id)]
        return rescue_attempts(tx, owner_id, batch_id, now, everybody, *args)

    planter.replace(rescue_attempts, take_over)


def take_over_from_those_who_slept_too(planter: Planter) -> None:
    """Treat leases that ended in a sleep of the machine as expired."""

    def take_over(
        tx: Connection,
        owner_id: str,
        batch_id: int,
        now: datetime,
        exited: Any,
        lease_cutoff: datetime,
        *args: Any,
    ) -> list[int]:
        return rescue_attempts(tx, owner_id, batch_id, now, exited, now, *args)

    planter.replace(rescue_attempts, take_over)


# ---- applying decisions ----


def apply_changed(planter: Planter, change: Callable[[Decisions], Decisions]) -> None:
    """Change decisions before they are written."""

    def apply(tx: Connection, owner_id: str, decisions: Decisions, now: datetime) -> Any:
        return apply_decisions(tx, owner_id, change(decisions), now)

    planter.replace(apply_decisions, apply)


def let_zombies_write(planter: Planter) -> None:
    """Move the jobs of attempts that are closed, or that another owner has."""

    def apply(tx: Connection, owner_id: str, decisions: Decisions, now: datetime) -> Any:
        applied = apply_decisions(tx, owner_id, decisions, now)
        refused = [each.attempt.job.id for each in decisions if each not in applied]
        again = {"state": JobState.AVAILABLE, "available_at": now}
        tx.execute(update(jobs).where(jobs.c.id.in_(refused)).values(again))
        return applied

    planter.replace(apply_decisions, apply)


def forget_earlier_categories(planter: Planter) -> None:
    def forgetful(decision: AttemptDecision) -> AttemptDecision:
        job = replace(decision.attempt.job, failures_by_category={})
        return replace(decision, attempt=replace(decision.attempt, job=job))

    apply_changed(planter, lambda decisions: [forgetful(each) for each in decisions])


def count_before_the_result(planter: Planter) -> None:
    """Write results in the transaction after the one that counts their jobs."""
    unwritten: list[dict[str, Any]] = []
    read, write = Database.read, Database.write

    def without_results(decisions: Decisions) -> Decisions:
        for each in decisions:
            if each.run and each.run.result is not None:
                row = {"attempt_id": each.attempt.attempt_id, "body": each.run.result}
                unwritten.append(row)
        return [
            replace(each, run=each.run and replace(each.run, result=None)) for each in decisions
        ]

    def written_first(transaction: Any) -> Any:
        @contextmanager
        def begin(database: Database) -> Iterator[Connection]:
            if unwritten:
                with write(database) as tx:
                    tx.execute(insert(results), unwritten)
                unwritten.clear()
            with transaction(database) as tx:
                yield tx

        return begin

    apply_changed(planter, without_results)
    planter.replace(read, written_first(read))
    planter.replace(write, written_first(write))
    on_each_kill(planter, unwritten.clear)


def mix_up_results(planter: Planter) -> None:
    def mixed(decisions: Decisions) -> Decisions:
        bodies = [each.run and each.run.result for each in decisions]
        shifted = chain(bodies[1:], bodies[:1])
        return [
            replace(each, run=each.run and replace(each.run, result=body))
            for each, body in zip(decisions, shifted, strict=True)
        ]

    apply_changed(planter, mixed)


def forget_the_cost_of_failures(planter: Planter) -> None:
    def unpaid(decision: AttemptDecision) -> AttemptDecision:
        run, failure = decision.run, decision.transition.failure
        return replace(decision, run=replace(run, steps=None)) if run and failure else decision

    apply_changed(planter, lambda decisions: [unpaid(each) for each in decisions])


def forget_steps_in_the_numbers(planter: Planter) -> None:
    """Leave what attempts cost out of the numbers that are kept, from which budgets read it."""

    def without_steps(*args: Any, **kwargs: Any) -> Numbers:
        changes = closed(*args, **kwargs)
        del changes[Number.STEPS, ""]
        return changes

    planter.replace(closed, without_steps)


def forget_claims_in_the_numbers(planter: Planter) -> None:
    planter.replace(claimed, lambda earlier_attempts: Numbers())


# ---- commands ----


def cancel_only_here(planter: Planter) -> None:
    def cancel(tx: Connection, batch_id: int, keys: object, now: datetime, *_: Any) -> Any:
        ends = {"closed_at": now, "outcome": FailureCategory.RUN_CANCELLED, "counted": True}
        over = {"state": JobState.CANCELLED, "finished_at": now}
        tx.execute(update(attempts).where(attempts.c.closed_at.is_(None)).values(ends))
        tx.execute(update(jobs).where(jobs.c.finished_at.is_(None)).values(over))
        recount(tx, batch_id)
        return 0, 0

    planter.replace(cancel_jobs, cancel)


def start_all_over(planter: Planter) -> None:
    def register(tx: Connection, *args: Any) -> None:
        register_owner(tx, *args)
        tx.execute(update(jobs).values(state=JobState.AVAILABLE, finished_at=None))

    planter.replace(register_owner, register)


def export_only_results(planter: Planter) -> None:
    planter.replace(
        finished_jobs,
        lambda *args: [job for job in finished_jobs(*args) if job.result is not None],
    )


BUGS = [
    Bug(
        send_before_the_intent,
        partial(killed_after, b'"run_ids"'),
        "created before its intent was on disk",
    ),
    Bug(lose_run_ids, faulty_batch("system_failure/1"), "the run ids of a submission were lost"),
    Bug(bound_each_process, two_runners, "more runs in flight than the limit"),
    Bug(
        run_without_the_options_in_the_row,
        faulty_batch("blocked-unless-stealth"),
        "other options than its row says",
    ),
    Bug(take_over_from_the_living, two_runners, "a living owner was treated as dead"),
    Bug(
        take_over_from_those_who_slept_too, suspended_machine, "a living owner was treated as dead"
    ),
    Bug(let_zombies_write, suspended_runner, "UNIQUE constraint failed: attempts.job_id"),
    Bug(
        forget_earlier_categories,
        faulty_batch("system_failure/2"),
        "failures by category do not add up",
    ),
    Bug(
        count_before_the_result,
        partial(killed_after, b'"COMPLETED"'),
        "a job succeeded without a result on disk",
    ),
    Bug(
        mix_up_results,
        partial(small_batch, pages(3), durations=(5, 5)),
        "not what the API returned",
    ),
    Bug(
        forget_the_cost_of_failures,
        faulty_batch("system_failure/1"),
        "not what the API charged",
    ),
    Bug(forget_steps_in_the_numbers, faulty_batch("system_failure/1"), "differ from a recount"),
    Bug(forget_claims_in_the_numbers, partial(small_batch, pages(1)), "differ from a recount"),
    Bug(cancel_only_here, cancelled, "a run was left alive"),
    Bug(start_all_over, run_twice, "UNIQUE constraint failed: attempts.job_id"),
    Bug(export_only_results, faulty_batch("agent_failure"), "not in the export exactly once"),
]

#: Bugs that only a longer batch shows.
SLOW = frozenset({"lose_run_ids", "count_before_the_result"})

every_bug = each_of(BUGS, slow=SLOW)


@pytest.mark.sweep
@every_bug
def test_the_batch_passes_without_the_bug(bug: Bug) -> None:
    simulate(bug.scenario)


@every_bug
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)
