"""Whatever is done to a database, in whatever order, it agrees with a small model of itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from batchrunner.model import (
    AttemptDecision,
    Batch,
    FailureCategory,
    Finish,
    JobState,
    Retry,
    Snooze,
    Submission,
    SubmittedAttempt,
    Transition,
)
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.controls import cancel_jobs, retry_jobs
from batchrunner.store.count_reads import read_counts
from batchrunner.store.counters import drift
from batchrunner.store.database import Database
from batchrunner.store.errors import LeaseLost
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.leases import end_owner, register_owner, renew_lease, rescue_attempts
from batchrunner.store.reports import batch_counts, finished_jobs, work_left
from batchrunner.store.schema import SubmissionState, attempts, jobs, metadata, results
from batchrunner.store.store import Store
from batchrunner.store.store_time import LEASE
from batchrunner.store.submissions import (
    mark_unanswered,
    record_runs,
    settle_submission,
    unanswered_submissions,
)
from tests.fakes import after, failed, job_file, keys, owner, run
from tests.sweeps import examples

BOUND = 4
OWNERS = ["alice", "bob", "carol", "dave"]
CATEGORIES = [FailureCategory.GOAL_FAILURE, FailureCategory.LOST, FailureCategory.RUN_CANCELLED]

owners = st.sampled_from(OWNERS)
picks = st.lists(st.integers(0, 30), max_size=4, unique=True)


@dataclass
class ModelAttempt:
    owner: str
    submission: Submission
    ride: SubmittedAttempt
    known: bool = False
    open: bool = True
    outcome: str | None = None
    counted: bool = False
    went_on: bool = False
    steps: int = 0


@dataclass
class ModelJob:
    key: str
    due: datetime
    state: JobState = JobState.AVAILABLE
    failures: int = 0
    asked: bool = False
    tries: list[ModelAttempt] = field(default_factory=list)

    @property
    def last(self) -> ModelAttempt | None:
        return self.tries[-1] if self.tries else None

    @property
    def final_failure(self) -> str | None:
        last = self.last
        ended = last is not None and not last.open and not last.went_on
        return last.outcome if last and ended and last.outcome != "succeeded" else None


def transition_of(kind: str, category: FailureCategory, at: datetime) -> Transition:
    failure = failed(category)
    return {
        "success": Finish(state=JobState.SUCCEEDED),
        "failure": Finish(state=JobState.FAILED, failure=failure),
        "cancelled": Finish(state=JobState.CANCELLED, failure=failure),
        "retry": Retry(at=at, failure=failure),
        "postpone": Snooze(at=at, failure=failure),
    }[kind]


class Ledger(RuleBasedStateMachine):
    database: Database

    @initialize()
    def empty(self) -> None:
        with self.database.write() as tx:
            for table in reversed(metadata.sorted_tables):
                tx.execute(table.delete())
        self.store = Store(self.database)
        self.seconds = 0
        self.jobs: list[ModelJob] = []
        self.submissions: list[Submission] = []
        self.leases: dict[str, datetime] = {}
        self.ended: set[str] = set()
        self.grown: tuple[int, ...] = ()
        self.batch: Batch = self.store.write(
            load_jobs, job_file(0, concurrency=BOUND), self.now
        ).batch

    @property
    def now(self) -> datetime:
        return after(self.seconds)

    @property
    def tries(self) -> list[ModelAttempt]:
        return [attempt for job in self.jobs for attempt in job.tries]

    def job_of(self, attempt: ModelAttempt) -> ModelJob:
        return next(job for job in self.jobs if attempt in job.tries)

    def held(self, attempt: ModelAttempt, owner_id: str) -> bool:
        return attempt.open and attempt.owner == owner_id

    # ---- what may happen ----

    @rule(more=st.integers(0, 4))
    def load(self, more: int) -> None:
        file = job_file(len(self.jobs) + more, concurrency=BOUND)
        loaded = self.store.write(load_jobs, file, self.now)
        assert (loaded.added, loaded.known) == (more, len(self.jobs))
        known = len(self.jobs)
        self.jobs += [ModelJob(key=key, due=self.now) for key in keys(known + more)[known:]]

    @rule(seconds=st.sampled_from([1, 7, 61]))
    def time_passes(self, seconds: int) -> None:
        self.seconds += seconds

    @rule(owner_id=owners)
    def begin_or_renew(self, owner_id: str) -> None:
        if owner_id not in self.leases:
            self.store.write(register_owner, owner(owner_id), self.now)
        elif owner_id in self.ended:
            with pytest.raises(LeaseLost):
                self.store.write(renew_lease, owner_id, self.now)
            return
        else:
            self.store.write(renew_lease, owner_id, self.now)
        self.leases[owner_id] = self.now + LEASE

    @rule(owner_id=owners)
    def retire(self, owner_id: str) -> None:
        self.store.write(end_owner, owner_id, self.now)
        self.ended |= {owner_id} & set(self.leases)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), exited=st.sets(owners, max_size=1))
    def rescue(self, data: st.DataObject, exited: set[str]) -> None:
        owner_id = data.draw(st.sampled_from(sorted(self.leases)))
        if owner_id in self.ended:
            with pytest.raises(LeaseLost):
                self.store.write(rescue_attempts, owner_id, self.batch.id, self.now, exited)
            return
        out = {id for id, until in self.leases.items() if until <= self.now}
        self.ended |= ((out | exited) & set(self.leases)) - {owner_id}
        left = [attempt for attempt in self.tries if attempt.open and attempt.owner in self.ended]
        taken = self.store.write(rescue_attempts, owner_id, self.batch.id, self.now, exited)
        assert len(taken) == len(left)
        for attempt in left:
            attempt.owner = owner_id

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), most=st.integers(1, 3))
    def claim(self, data: st.DataObject, most: int) -> None:
        owner_id = data.draw(st.sampled_from(sorted(self.leases)))
        if owner_id in self.ended:
            with pytest.raises(LeaseLost):
                self.store.write(claim_jobs, owner_id, self.batch.id, most, self.now)
            return
        room = BOUND - sum(attempt.open for attempt in self.tries)
        due = [j for j in self.jobs if j.state is JobState.AVAILABLE and j.due <= self.now]
        expected = due[: max(room, 0)]
        submissions = self.store.write(claim_jobs, owner_id, self.batch.id, most, self.now)
        carried = [(submission, ride) for submission in submissions for ride in submission.attempts]
        assert [ride.job.key for _, ride in carried] == [job.key for job in expected]
        assert all(len(submission.attempts) <= most for submission in submissions)
        for job, (submission, ride) in zip(expected, carried, strict=True):
            job.tries.append(ModelAttempt(owner=owner_id, submission=submission, ride=ride))
            job.state = JobState.RUNNING
            assert (ride.job.attempt, ride.job.failures) == (len(job.tries), job.failures)
        self.submissions += submissions

    @precondition(lambda self: self.submissions)
    @rule(data=st.data(), owner_id=owners, places=st.sets(st.integers(1, 3)))
    def record(self, data: st.DataObject, owner_id: str, places: set[int]) -> None:
        submission = data.draw(st.sampled_from(self.submissions))
        mine = [attempt for attempt in self.tries if attempt.submission is submission]
        found = {a.ride.attempt_id: f"run-{a.ride.attempt_id}" for a in mine}
        chosen = {a.ride.attempt_id for a in mine if a.ride.batch_index in places}
        runs = {id: run_id for id, run_id in found.items() if id in chosen}
        left = self.store.write(record_runs, owner_id, submission, runs, self.now)
        for attempt in mine:
            if attempt.ride.attempt_id in runs and self.held(attempt, owner_id):
                attempt.known = True
        assert left == {a.ride.attempt_id for a in mine if a.open and not a.known}

    @precondition(lambda self: self.submissions)
    @rule(data=st.data(), owner_id=owners)
    def doubt(self, data: st.DataObject, owner_id: str) -> None:
        submission = data.draw(st.sampled_from(self.submissions))
        self.store.write(mark_unanswered, owner_id, submission, self.now, "ReadTimeout")

    @precondition(lambda self: self.submissions)
    @rule(data=st.data(), owner_id=owners)
    def settle_what_is_absent(self, data: st.DataObject, owner_id: str) -> None:
        submission = data.draw(st.sampled_from(self.submissions))
        mine = [a for a in self.tries if a.submission is submission and not a.known]
        transition = transition_of("postpone", FailureCategory.UNREACHABLE, self.now)
        decisions = [
            AttemptDecision(attempt=attempt.ride, transition=transition) for attempt in mine
        ]
        state = SubmissionState.ABSENT
        applied = self.store.write(
            settle_submission, owner_id, submission, state, decisions, self.now, "no run"
        )
        self.expect(owner_id, mine, decisions, applied)

    @precondition(lambda self: self.submissions)
    @rule(
        owner_id=owners,
        chosen=picks,
        kind=st.sampled_from(["success", "failure", "cancelled", "retry", "postpone"]),
        category=st.sampled_from(CATEGORIES),
        wait=st.sampled_from([0, 5, 50]),
    )
    def apply(
        self, owner_id: str, chosen: list[int], kind: str, category: FailureCategory, wait: int
    ) -> None:
        tries = [a for at, a in enumerate(reversed(self.tries)) if at in chosen and a.known]
        transition = transition_of(kind, category, after(self.seconds + wait))
        decisions = [
            AttemptDecision(
                attempt=attempt.ride,
                transition=transition,
                run=run(f"run-{attempt.ride.attempt_id}", result="{}", steps=2),
            )
            for attempt in tries
        ]
        applied = apply_poll(self.store, owner_id, decisions, [], self.now)
        self.expect(owner_id, tries, decisions, applied)

    def expect(
        self,
        owner_id: str,
        tries: list[ModelAttempt],
        decisions: list[AttemptDecision],
        applied: list[AttemptDecision],
    ) -> None:
        """Do in the model what the database should have done."""
        both = list(zip(tries, decisions, strict=True))
        assert applied == [decision for attempt, decision in both if self.held(attempt, owner_id)]
        for attempt, decision in both:
            if not self.held(attempt, owner_id):
                continue
            job, transition = self.job_of(attempt), decision.transition
            failure = transition.failure
            attempt.open = False
            attempt.outcome = failure.category.value if failure else "succeeded"
            attempt.counted = not isinstance(transition, Snooze)
            attempt.steps = (decision.run.steps or 0) if decision.run else 0
            job.failures += attempt.counted and failure is not None
            if isinstance(transition, Finish):
                job.state = transition.state
            elif job.asked:
                job.state = JobState.CANCELLED
            else:
                job.state, job.due, attempt.went_on = JobState.AVAILABLE, transition.at, True

    @rule(chosen=picks)
    def cancel(self, chosen: list[int]) -> None:
        named = [job for at, job in enumerate(self.jobs) if at in chosen]
        if not named:
            return
        at_once = [job for job in named if job.state is JobState.AVAILABLE]
        asked = [job for job in named if job.state is JobState.RUNNING]
        counts = self.store.write(cancel_jobs, self.batch.id, [job.key for job in named], self.now)
        assert counts == (len(at_once), len(asked))
        for job in at_once:
            job.state = JobState.CANCELLED
        for job in at_once + asked:
            job.asked = True

    @rule(categories=st.lists(st.sampled_from(CATEGORIES), max_size=2), chosen=picks)
    def retry(self, categories: list[FailureCategory], chosen: list[int]) -> None:
        named = [job.key for at, job in enumerate(self.jobs) if at in chosen]
        back = [
            job
            for job in self.jobs
            if (not named or job.key in named) and self.is_meant(job, categories, bool(named))
        ]
        assert self.store.write(retry_jobs, self.batch.id, categories, named, self.now) == len(back)
        for job in back:
            job.state, job.due, job.failures, job.asked = JobState.AVAILABLE, self.now, 0, False
            if job.last:
                job.last.went_on = True

    def is_meant(self, job: ModelJob, categories: list[FailureCategory], named: bool) -> bool:
        outcome = job.last.outcome if job.last else None
        if job.state is JobState.CANCELLED:
            return FailureCategory.RUN_CANCELLED in categories or (named and not categories)
        if job.state is not JobState.FAILED:
            return False
        if categories:
            return outcome in categories
        return named or outcome not in (FailureCategory.UNANSWERED, FailureCategory.LOST)

    # ---- what must always be true ----

    @invariant()
    def every_job_is_where_the_model_has_it(self) -> None:
        with self.database.read() as tx:
            columns = (jobs.c.key, jobs.c.state, jobs.c.attempt, jobs.c.failures)
            rows = tx.execute(select(*columns).order_by(jobs.c.position)).all()
        expected = [(j.key, j.state.value, len(j.tries), j.failures) for j in self.jobs]
        assert [tuple(row) for row in rows] == expected

    @invariant()
    def every_attempt_has_its_owner_and_its_outcome(self) -> None:
        columns = (attempts.c.id, attempts.c.owner_id, attempts.c.outcome, attempts.c.counted)
        with self.database.read() as tx:
            rows = {row.id: row for row in tx.execute(select(*columns))}
        assert len(rows) == len(self.tries)
        for attempt in self.tries:
            row = rows[attempt.ride.attempt_id]
            assert (row.owner_id, row.outcome) == (attempt.owner, attempt.outcome)
            assert (row.counted or False) == attempt.counted

    @invariant()
    def the_tally_is_what_a_recount_brings(self) -> None:
        totals = self.store.read(batch_counts, self.batch.id)
        assert self.store.read(read_counts, self.batch.id) == totals
        assert totals.total == len(self.jobs) == totals.open + totals.done
        assert +Counter(totals.jobs) == Counter(job.state for job in self.jobs)
        available = [job for job in self.jobs if job.state is JobState.AVAILABLE]
        assert totals.retrying == sum(bool(job.tries) for job in available)
        assert totals.due_at == min((job.due for job in available), default=None)
        assert totals.unsettled <= sum(a.open and not a.known for a in self.tries)
        assert totals.queued == sum(a.open and a.known for a in self.tries)
        assert (totals.attempts, totals.steps) == (
            len(self.tries),
            sum(attempt.steps for attempt in self.tries),
        )
        ended = [job.final_failure for job in self.jobs if job.state is JobState.FAILED]
        assert totals.failed == Counter(ended)
        assert totals.retried == Counter(a.outcome for a in self.tries if a.went_on)
        assert not self.store.read(drift, self.batch.id)

    @invariant()
    def the_lists_are_what_a_recount_brings(self) -> None:
        final = self.store.read(failed_attempts, self.batch.id, final=True, most=999)
        expected = [(job.key, job.final_failure) for job in self.jobs if job.final_failure]
        assert [(f.key, f.category) for f in final] == expected
        before = self.store.read(failed_attempts, self.batch.id, final=False, most=999)
        assert len(before) == sum(attempt.went_on for attempt in self.tries)
        finished = [(f.key, f.state, f.attempts) for f in finished_jobs(self.store, self.batch.id)]
        assert finished == [(j.key, j.state, len(j.tries)) for j in self.jobs if j.state.is_final]

    @invariant()
    def each_owner_sees_its_own(self) -> None:
        for owner_id in OWNERS:
            mine = [attempt for attempt in self.tries if self.held(attempt, owner_id)]
            standing = self.store.read(work_left, owner_id, self.batch.id)
            assert standing.in_flight_here == len(mine)
            opened = sum(attempt.open for attempt in self.tries)
            assert standing.in_flight_elsewhere == opened - len(mine)
            unknown_runs = sum(attempt.open and not attempt.known for attempt in self.tries)
            assert standing.unanswered <= unknown_runs
            # What is in doubt may have given up its slot; only a claim knows, and it is exact.
            assert standing.free_slots == BOUND - opened + standing.unanswered
            watched = {
                a.attempt_id for a in self.store.read(runs_in_flight, owner_id, self.batch.id)
            }
            assert watched == {attempt.ride.attempt_id for attempt in mine if attempt.known}
            doubts = self.store.read(unanswered_submissions, owner_id, self.batch.id)
            unknown = {attempt.ride.attempt_id for attempt in mine if not attempt.known}
            assert {r.attempt_id for s, _, _ in doubts for r in s.attempts} <= unknown

    @invariant()
    def numbers_only_grow_and_no_bound_is_exceeded(self) -> None:
        with self.database.read() as tx:
            kept = tx.execute(select(func.count()).select_from(results)).scalar_one()
        closed = sum(not attempt.open for attempt in self.tries)
        grown = (len(self.jobs), len(self.tries), closed, kept)
        assert all(new >= old for new, old in zip(grown, self.grown, strict=False))
        self.grown = grown
        for job in self.jobs:
            assert sum(attempt.open for attempt in job.tries) == (job.state is JobState.RUNNING)
            assert sum(attempt.outcome == "succeeded" for attempt in job.tries) <= 1
        assert sum(attempt.open for attempt in self.tries) <= BOUND


def test_the_database_agrees_with_its_model(database: Database) -> None:
    machine = type("Ledger", (Ledger,), {"database": database})
    quick = database._engine.dialect.name == "sqlite"
    machine.TestCase.settings = settings(
        max_examples=examples(5 if quick else 20),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    machine.TestCase("runTest").runTest()
