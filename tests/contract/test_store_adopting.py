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
def prepared(store: Store) -> Store:
    """Give a database with an empty batch and one owner."""
    store.write(load_jobs, JobFile(name="rescued", settings=Settings(), specs=()), NOW)
    store.write(register_owner, owner(), NOW)
    return store


def judged(store: Store, *runs: Run) -> list[Any]:
    shown = {each.run_id: each for each in runs}
    watched = store.read(runs_in_flight, owner().id, FIRST)
    pairs = [
        (a, decide_run(Policy(), a, shown[a.run_id], NOW)) for a in watched if a.run_id in shown
    ]
    return apply_poll(store, owner().id, [decision for _, decision in pairs if decision], [], NOW)


def states(store: Store) -> dict[str, JobState]:
    return {job.key: job.state for job in finished_jobs(store, FIRST)}


def test_each_run_becomes_a_job_with_one_attempt_that_has_it(prepared: Store) -> None:
    runs = [seen("a"), seen("b", RunStatus.RUNNING)]
    assert prepared.write(adopt_runs, owner().id, FIRST, runs, NOW) == 2
    assert [attempt.run_id for attempt in prepared.read(runs_in_flight, owner().id, FIRST)] == [
        "a",
        "b",
    ]
    assert prepared.read(batch_counts, FIRST).jobs[JobState.RUNNING] == 2
    judged(prepared, *runs)
    (done,) = finished_jobs(prepared, FIRST)
    assert (done.key, done.state, done.attempts) == ("a", JobState.SUCCEEDED, 1)
    assert (done.goal, done.url, done.result) == ("Read a", "", '{"a": 1}')
    assert prepared.read(consistency_errors) == {}


def test_a_hundred_are_taken_in_at_once_and_behind_all_others(prepared: Store) -> None:
    runs = [seen(f"r{number:03}") for number in range(100)]
    assert prepared.write(adopt_runs, owner().id, FIRST, runs[:60], NOW) == 60
    assert prepared.write(adopt_runs, owner().id, FIRST, runs, NOW) == 40
    judged(prepared, *runs)
    assert [job.key for job in finished_jobs(prepared, FIRST)] == [each.run_id for each in runs]


def test_what_the_database_has_is_left_alone(prepared: Store) -> None:
    prepared.write(adopt_runs, owner().id, FIRST, [seen("a")], NOW)
    judged(prepared, seen("a"))
    assert prepared.write(adopt_runs, owner().id, FIRST, [seen("a")], NOW) == 0
    other = prepared.write(
        load_jobs, JobFile(name="other", settings=Settings(), specs=()), NOW
    ).batch
    assert prepared.write(adopt_runs, owner().id, other.id, [seen("a")], NOW) == 0
    assert states(prepared) == {"a": JobState.SUCCEEDED}


def test_a_run_whose_answer_is_on_its_way_is_none_to_adopt(prepared: Store) -> None:
    ours = prepared.write(load_jobs, job_file(1, name="ours"), NOW).batch
    (submission,) = prepared.write(claim_jobs, owner().id, ours.id, 10, NOW)
    mine = seen("mine", goal=f"Get the price {submission.attempts[0].marker}")
    assert prepared.write(adopt_runs, owner().id, FIRST, [mine, seen("a")], NOW) == 1
    prepared.write(
        record_runs, owner().id, submission, {submission.attempts[0].attempt_id: "mine"}, NOW
    )
    assert [attempt.run_id for attempt in prepared.read(runs_in_flight, owner().id, ours.id)] == [
        "mine"
    ]


def test_nor_one_without_a_marker_that_is_looked_for_by_its_goal(prepared: Store) -> None:
    ours = prepared.write(load_jobs, job_file(1, name="ours", marker=False), NOW).batch
    (submission,) = prepared.write(claim_jobs, owner().id, ours.id, 10, NOW)
    mine = seen("mine", goal="Get the price")
    assert prepared.write(adopt_runs, owner().id, FIRST, [mine], NOW) == 0
    prepared.write(
        record_runs, owner().id, submission, {submission.attempts[0].attempt_id: "mine"}, NOW
    )
    assert [attempt.run_id for attempt in prepared.read(runs_in_flight, owner().id, ours.id)] == [
        "mine"
    ]
    assert (
        prepared.write(adopt_runs, owner().id, FIRST, [seen("theirs", goal="Get the price")], NOW)
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
    prepared: Store, category: str, state: JobState
) -> None:
    error = RunError(message="It broke", category=category, retry_after=timedelta(0))
    broken = seen("a", RunStatus.FAILED, result=None, error=error)
    prepared.write(adopt_runs, owner().id, FIRST, [broken], NOW)
    judged(prepared, broken)
    assert states(prepared) == {"a": state}
    assert prepared.write(claim_jobs, owner().id, FIRST, 10, after(86_400)) == []
    assert prepared.write(retry_jobs, FIRST, [], ["a"], NOW) == 0
    assert prepared.write(retry_jobs, FIRST, list(FailureCategory), [], NOW) == 0
    assert prepared.read(consistency_errors) == {}


def test_a_result_is_held_to_the_schema_that_the_run_was_given(prepared: Store) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    wrong = seen("a", output_schema=schema)
    prepared.write(adopt_runs, owner().id, FIRST, [wrong], NOW)
    judged(prepared, wrong)
    (done,) = finished_jobs(prepared, FIRST)
    assert done.category is FailureCategory.INVALID_RESULT


def test_runs_that_go_on_are_taken_over_by_the_next_runner(prepared: Store) -> None:
    prepared.write(adopt_runs, owner().id, FIRST, [seen("a", RunStatus.RUNNING)], NOW)
    prepared.write(end_owner, owner().id, NOW)
    prepared.write(register_owner, owner("bob"), NOW)
    assert len(prepared.write(rescue_attempts, "bob", FIRST, NOW)) == 1
    assert [attempt.run_id for attempt in prepared.read(runs_in_flight, "bob", FIRST)] == ["a"]
    assert prepared.read(unanswered_submissions, "bob", FIRST) == []
