"""Verdicts in the database: a suspect result is delivered, flagged, counted, and found again."""

from __future__ import annotations

import pytest

from batchrunner.app.batch_handle import BatchHandle
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.model import FailureCategory, Finding, JobState
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import load_jobs
from batchrunner.store.reports import suspect_results
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
