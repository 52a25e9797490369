"""Adopting runs that something else started: on both databases, and never ones of our own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from batchrunner.model import (
    FailureCategory,
    JobFile,
    JobState,
    Run,
    RunError,
    RunStatus,
    Settings,
    marker,
)
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.run_decision import decide_run
from batchrunner.store.adoption import adopt_runs
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.controls import retry_jobs
from batchrunner.store.health import consistency_errors
from batchrunner.store.leases import end_owner, register_owner, rescue_attempts
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs, unanswered_submissions
from tests.fakes import FIRST, NOW, after, job_file, owner, run


def seen(run_id: str, status: RunStatus = RunStatus.COMPLETED, **fields: Any) -> Run:
    return run(run_id, status, **{"goal": f"Read {run_id}", "result": '{"a": 1}', **fields})


@pytest.fixture
def ledger(store: Store) -> Store:
    """Give a ledger with an empty batch and one owner."""
    store.write(load_jobs, JobFile(name="rescued", settings=Settings(), specs=()), NOW)
    store.write(register_owner, owner(), NOW)
    return store


def judged(store: Store, *runs: Run) -> list[Any]:
    shown = {each.run_id: each for each in runs}
    watched = store.read(runs_in_flight, owner().id, FIRST)
    pairs = [
        (a, decide_run(Policy(), a, shown[a.run_id], NOW)) for a in watched if a.run_id in shown
    ]
    return apply_poll(store, owner().id, [verdict for _, verdict in pairs if verdict], [], NOW)


def states(store: Store) -> dict[str, JobState]:
    return {job.key: job.state for job in finished_jobs(store, FIRST)}


def test_each_run_becomes_a_job_with_one_attempt_that_has_it(ledger: Store) -> None:
    runs = [seen("a"), seen("b", RunStatus.RUNNING)]
    assert ledger.write(adopt_runs, owner().id, FIRST, runs, NOW) == 2
    assert [attempt.run_id for attempt in ledger.read(runs_in_flight, owner().id, FIRST)] == [
        "a",
        "b",
    ]
    assert ledger.read(batch_counts, FIRST).jobs[JobState.RUNNING] == 2
    judged(ledger, *runs)
    (done,) = finished_jobs(ledger, FIRST)
    assert (done.key, done.state, done.attempts) == ("a", JobState.SUCCEEDED, 1)
    assert (done.goal, done.url, done.result) == ("Read a", "", '{"a": 1}')
    assert ledger.read(consistency_errors) == {}


def test_a_hundred_are_taken_in_at_once_and_behind_all_others(ledger: Store) -> None:
    runs = [seen(f"r{number:03}") for number in range(100)]
    assert ledger.write(adopt_runs, owner().id, FIRST, runs[:60], NOW) == 60
    assert ledger.write(adopt_runs, owner().id, FIRST, runs, NOW) == 40
    judged(ledger, *runs)
    assert [job.key for job in finished_jobs(ledger, FIRST)] == [each.run_id for each in runs]


def test_what_the_ledger_has_is_left_alone(ledger: Store) -> None:
    ledger.write(adopt_runs, owner().id, FIRST, [seen("a")], NOW)
    judged(ledger, seen("a"))
    assert ledger.write(adopt_runs, owner().id, FIRST, [seen("a")], NOW) == 0
    other = ledger.write(load_jobs, JobFile(name="other", settings=Settings(), specs=()), NOW).batch
    assert ledger.write(adopt_runs, owner().id, other.id, [seen("a")], NOW) == 0
    assert states(ledger) == {"a": JobState.SUCCEEDED}


def test_a_run_whose_answer_is_on_its_way_is_none_to_adopt(ledger: Store) -> None:
    ours = ledger.write(load_jobs, job_file(1, name="ours"), NOW).batch
    (submission,) = ledger.write(claim_jobs, owner().id, ours.id, 10, NOW)
    mine = seen("mine", goal=f"Get the price {marker(submission.marker_token, 1)}")
    assert ledger.write(adopt_runs, owner().id, FIRST, [mine, seen("a")], NOW) == 1
    ledger.write(
        record_runs, owner().id, submission, {submission.attempts[0].attempt_id: "mine"}, NOW
    )
    assert [attempt.run_id for attempt in ledger.read(runs_in_flight, owner().id, ours.id)] == [
        "mine"
    ]


def test_nor_one_without_a_marker_that_is_looked_for_by_its_goal(ledger: Store) -> None:
    ours = ledger.write(load_jobs, job_file(1, name="ours", marker=False), NOW).batch
    (submission,) = ledger.write(claim_jobs, owner().id, ours.id, 10, NOW)
    mine = seen("mine", goal="Get the price")
    assert ledger.write(adopt_runs, owner().id, FIRST, [mine], NOW) == 0
    ledger.write(
        record_runs, owner().id, submission, {submission.attempts[0].attempt_id: "mine"}, NOW
    )
    assert [attempt.run_id for attempt in ledger.read(runs_in_flight, owner().id, ours.id)] == [
        "mine"
    ]
    assert (
        ledger.write(adopt_runs, owner().id, FIRST, [seen("theirs", goal="Get the price")], NOW)
        == 1
    )


@pytest.mark.parametrize(
    ("category", "state"),
    [
        ("SYSTEM_FAILURE", JobState.FAILED),
        ("AGENT_FAILURE", JobState.FAILED),
        ("UNKNOWN", JobState.FAILED),
        ("BILLING_FAILURE", JobState.CANCELLED),
    ],
)
def test_no_failure_lets_an_adopted_job_be_submitted(
    ledger: Store, category: str, state: JobState
) -> None:
    error = RunError(message="It broke", category=category, retry_after=timedelta(0))
    broken = seen("a", RunStatus.FAILED, result=None, error=error)
    ledger.write(adopt_runs, owner().id, FIRST, [broken], NOW)
    judged(ledger, broken)
    assert states(ledger) == {"a": state}
    assert ledger.write(claim_jobs, owner().id, FIRST, 10, after(86_400)) == []
    assert ledger.write(retry_jobs, FIRST, [], ["a"], NOW) == 0
    assert ledger.write(retry_jobs, FIRST, list(FailureCategory), [], NOW) == 0
    assert ledger.read(consistency_errors) == {}


def test_a_result_is_held_to_the_schema_that_the_run_was_given(ledger: Store) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    wrong = seen("a", output_schema=schema)
    ledger.write(adopt_runs, owner().id, FIRST, [wrong], NOW)
    judged(ledger, wrong)
    (done,) = finished_jobs(ledger, FIRST)
    assert done.category is FailureCategory.INVALID_RESULT


def test_runs_that_go_on_are_taken_over_by_the_next_runner(ledger: Store) -> None:
    ledger.write(adopt_runs, owner().id, FIRST, [seen("a", RunStatus.RUNNING)], NOW)
    ledger.write(end_owner, owner().id, NOW)
    ledger.write(register_owner, owner("bob"), NOW)
    assert ledger.write(rescue_attempts, "bob", FIRST, NOW) == 1
    assert [attempt.run_id for attempt in ledger.read(runs_in_flight, "bob", FIRST)] == ["a"]
    assert ledger.read(unanswered_submissions, "bob", FIRST) == []
