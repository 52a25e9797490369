"""Verdicts in the database: a suspect result is delivered, flagged, counted, and found again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from batchrunner.app.batch_handle import BatchHandle
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.app.raw_result import verdict_note
from batchrunner.app.rerun import rerun_choice
from batchrunner.errors import UsageError
from batchrunner.model import Batch, FailureCategory, Finding, JobState, OpenAttempt
from batchrunner.model.comparison import EditDecision
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import find_batch, load_jobs
from batchrunner.store.controls import cancel_jobs
from batchrunner.store.edits import rerun_jobs
from batchrunner.store.failure_reads import suspect_results
from batchrunner.store.health import consistency_errors
from batchrunner.store.planning import Again, planned_load
from batchrunner.store.store import Store
from tests.fakes import NOW, after, enlist, failure, job_file, spec, start, success, suspect

HOSTILE = '=HYPERLINK("http://evil.example")\n\x1b[2J'


@pytest.fixture
def batch(store: Store, address: str) -> BatchHandle:
    """A batch with a good, two suspect and a bad result, and a failure that is about no result."""
    enlist(store, "alice")
    specs = [spec(f"job-{at}") for at in range(1, 6)]
    loaded = store.write(load_jobs, job_file(specs, concurrency=5), NOW).batch
    attempts = start(store, loaded)
    finding = Finding(rule="error_page", path="title", seen=HOSTILE, wanted="")
    decisions = [
        success(attempts[0]),
        suspect(attempts[1], '{"title": "404"}', finding),
        suspect(attempts[2]),
        failure(attempts[3], FailureCategory.GOAL_FAILURE),
        failure(attempts[4], FailureCategory.AGENT_FAILURE),
    ]
    apply_poll(store, "alice", decisions, [], after(1))
    return BatchHandle(store, loaded, DatabaseAddress(address=address))


def test_a_suspect_result_is_delivered_and_flagged(batch: BatchHandle) -> None:
    shown = {
        row["id"]: (row["state"], row["verdict"], row["verdict_rule"], row["verdict_path"])
        for row in batch.rows()
    }
    assert shown["job-2"] == ("succeeded", "suspect", "error_page", "title")
    assert shown["job-3"] == ("succeeded", "suspect", "empty", ".")
    assert shown["job-4"] == ("failed", "bad", None, None)
    assert shown["job-5"] == ("failed", None, None, None)
    counts = batch.status().counts
    assert counts.jobs[JobState.SUCCEEDED] == 3
    assert counts.suspect == {"error_page": 1, "empty": 1}


def test_suspect_results_are_chosen_by_their_verdict(batch: BatchHandle) -> None:
    assert [row["id"] for row in batch.rows(only="suspect")] == ["job-2", "job-3"]
    assert [row["id"] for row in batch.rows(only="suspect,failed")] == [
        "job-2", "job-3", "job-4", "job-5",
    ]  # fmt: skip
    assert [row["id"] for row in batch.rows(only="bad")] == ["job-4"]


def test_suspect_results_are_counted_by_rule_with_an_example(
    store: Store, batch: BatchHandle
) -> None:
    found = {each.rule: each for each in batch.status().suspects}
    assert {rule: each.jobs for rule, each in found.items()} == {"error_page": 1, "empty": 1}
    assert (found["empty"].key, found["empty"].finding.seen) == ("job-3", "[]")
    assert store.read(suspect_results, 999) == []


# ---- bought again ----


def again(store: Store, batch: BatchHandle, at: float) -> OpenAttempt:
    """Begin the only job that is due."""
    (attempt,) = start(store, batch_of(store, batch), now=after(at))
    return attempt


def batch_of(store: Store, batch: BatchHandle) -> Batch:
    found = store.read(find_batch, batch.name)
    assert found is not None
    return found


def shown(batch: BatchHandle, key: str = "job-3") -> tuple[str, str, str]:
    (row,) = [row for row in batch.rows() if row["id"] == key]
    return row["state"], row["verdict"], json.dumps(row["result"])


def rerun(store: Store, batch: BatchHandle, keys: Sequence[str] = ("job-3",)) -> None:
    how = {"keys": keys, "suspect": True}
    store.write(rerun_jobs, batch_of(store, batch).id, after(2), **how)


DELIVERED = ("succeeded", "suspect", "[]")


def test_only_suspect_results_are_bought_again_on_request(store: Store, batch: BatchHandle) -> None:
    assert batch.rerun(suspect=True, job=["job-3"]).jobs == 1
    assert batch.rerun(suspect=True, job=["job-1"]).jobs == 0
    assert shown(batch) == DELIVERED, "it stays delivered while it is bought again"
    assert [row["id"] for row in batch.rows()] == [f"job-{at}" for at in range(1, 6)]


@pytest.mark.parametrize(
    ("decide", "expected"),
    [
        (lambda attempt: success(attempt, "{}"), ("succeeded", None, "{}")),
        (lambda attempt: suspect(attempt, "{}"), ("succeeded", "suspect", "{}")),
        (lambda attempt: failure(attempt, FailureCategory.GOAL_FAILURE), DELIVERED),
        (lambda attempt: failure(attempt, FailureCategory.SYSTEM_FAILURE), DELIVERED),
    ],
    ids=["good", "suspect", "bad", "failed"],
)
def test_a_worse_second_result_never_replaces_a_delivered_one(
    store: Store, batch: BatchHandle, decide: Any, expected: tuple[str, str, str]
) -> None:
    rerun(store, batch)
    apply_poll(store, "alice", [decide(again(store, batch, 2))], [], after(3))
    assert shown(batch) == expected
    assert batch.status().counts.total == 5
    assert store.read(consistency_errors) == {}


def test_a_cancelled_second_try_leaves_the_delivered_result(
    store: Store, batch: BatchHandle
) -> None:
    rerun(store, batch, keys=())
    store.write(cancel_jobs, batch_of(store, batch).id, [], after(2))
    assert shown(batch) == DELIVERED
    assert batch.status().suspect == 2


def test_a_cancelled_batch_leaves_a_second_result_that_a_person_rejected(
    store: Store, batch: BatchHandle
) -> None:
    rerun(store, batch)
    apply_poll(store, "alice", [success(again(store, batch, 2), '{"a": 1}')], [], after(3))
    assert batch.reject("job-3") == 1
    store.write(cancel_jobs, batch_of(store, batch).id, [], after(4))
    assert shown(batch) == ("failed", "bad", '{"a": 1}')


def edited(store: Store, *, without: str = "", **changed: Any) -> None:
    """Load the file with another form of the third job, or without a job."""
    keys = [f"job-{at}" for at in range(1, 6) if f"job-{at}" != without]
    specs = [spec(key, **(changed if key == "job-3" else {})) for key in keys]
    store.write(load_jobs, job_file(specs, concurrency=5), after(2), EditDecision(withdraw=True))


def test_a_result_is_never_delivered_as_the_answer_to_another_question(
    store: Store, batch: BatchHandle
) -> None:
    rerun(store, batch)
    edited(store, goal="Get the stock")
    assert [row["id"] for row in batch.rows()] == ["job-1", "job-2", "job-4", "job-5"]
    apply_poll(store, "alice", [failure(again(store, batch, 2))], [], after(3))
    assert shown(batch)[0] == "failed"
    edited(store, goal="Get the stock")
    assert start(store, batch_of(store, batch), now=after(9)) == [], "nothing is bought again"


def test_a_second_try_that_failed_while_its_row_was_gone_leaves_the_delivered_result(
    store: Store, batch: BatchHandle
) -> None:
    rerun(store, batch)
    second = again(store, batch, 2)
    edited(store, without="job-3")
    apply_poll(store, "alice", [failure(second)], [], after(3))
    edited(store)
    assert shown(batch) == DELIVERED
    assert store.read(consistency_errors) == {}


def test_a_policy_buys_a_suspect_result_again_only_so_often(
    store: Store, batch: BatchHandle
) -> None:
    """The second one is final: its policy allows two."""
    rerun(store, batch)
    first = again(store, batch, 2)
    assert first.job.earlier_suspects == 0
    decision = suspect(first)
    bought = replace(decision, transition=replace(decision.transition, again_at=after(60)))
    apply_poll(store, "alice", [bought], [], after(3))
    assert batch.status().counts.jobs[JobState.AVAILABLE] == 1
    assert start(store, batch_of(store, batch), now=after(59)) == []
    second = again(store, batch, 61)
    assert second.job.earlier_suspects == 1
    apply_poll(store, "alice", [failure(second)], [], after(62))
    assert shown(batch) == DELIVERED


def test_a_plan_counts_the_suspect_results_that_would_be_bought_again(
    store: Store, batch: BatchHandle
) -> None:
    specs = [spec(f"job-{at}") for at in range(1, 6)]
    file, again = job_file(specs, concurrency=5), Again(suspect=True)
    planned = store.trial(planned_load, file, "https://api.example", EditDecision(), NOW, again)
    assert sum(group.count for group in planned.groups) == 2
    assert rerun_choice(("suspect", "job-3")).at(NOW) == Again(suspect=True, keys=("job-3",))


def test_a_job_whose_bad_result_is_named_is_left_to_retry(batch: BatchHandle) -> None:
    with pytest.raises(UsageError, match="have failed") as refused:
        batch.rerun(job="bad")
    assert refused.value.next == "batchrunner retry prices"


def test_the_result_command_says_what_the_judge_found(batch: BatchHandle, store: Store) -> None:
    about = batch_of(store, batch)
    note = verdict_note(store, about, "job-2")
    assert note is not None
    assert note.startswith("suspect (error_page): title: =HYPERLINK")
    assert "\x1b" not in note
    assert verdict_note(store, about, "job-1") is None
