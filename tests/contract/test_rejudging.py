"""Judging stored results again, and beside each other: what turns suspect, and what never does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from batchrunner.app import rejudge as rejudging
from batchrunner.app.rejudge import rejudge
from batchrunner.app.sibling_check import MAX_COMPARED, flag_odd_results
from batchrunner.model import (
    AttemptDecision,
    Batch,
    Failed,
    FailureCategory,
    Finding,
    Finish,
    JobState,
    Judgement,
    Verdict,
)
from batchrunner.store.attempts import apply_poll
from batchrunner.store.judgements import newest_successes
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.store import Store
from tests.fakes import NOW, begin, run, spec, start

COPY = {"name": "Welcome to our shop"}
FOUND = Finding(rule="odd", path="name", seen='"?"')
BAD = Failed(
    category=FailureCategory.GOAL_FAILURE, code="odd", message="It is odd", findings=(FOUND,)
)


def database(
    store: Store, results: Sequence[Any], verdict: Verdict | None = Verdict.GOOD, **job: Any
) -> Batch:
    """Put results that were judged so before into a batch."""
    specs = [spec(f"job-{number:02}", **job) for number, _ in enumerate(results)]
    batch = begin(store, specs, concurrency=100)
    transition = Finish(
        state=JobState.SUCCEEDED,
        verdict=verdict,
        findings=(FOUND,) if verdict is Verdict.SUSPECT else (),
    )
    decisions = [
        AttemptDecision(
            attempt=attempt,
            transition=transition,
            run=run(attempt.run_id, result=json.dumps(result)),
        )
        for attempt, result in zip(start(store, batch), results, strict=True)
    ]
    apply_poll(store, "alice", decisions, [], NOW)
    return batch


def verdicts(store: Store, batch: Batch) -> dict[str, tuple[str, str | None]]:
    return {
        job.key: (job.verdict or "", job.finding.rule if job.finding else None)
        for job in finished_jobs(store, batch.id)
    }


def judged_as(monkeypatch: pytest.MonkeyPatch, verdict: Verdict) -> None:
    judgement = Judgement(
        verdict=verdict,
        findings=() if verdict is Verdict.GOOD else (FOUND,),
        failure=BAD if verdict is Verdict.BAD else None,
    )
    monkeypatch.setattr(rejudging, "judge_result", lambda *_: judgement)


@pytest.mark.parametrize("before", [None, *Verdict])
@pytest.mark.parametrize("now", [*Verdict])
def test_each_verdict_can_become_each_other_and_nothing_runs_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, before: Verdict | None, now: Verdict
) -> None:
    batch = database(store, [{"name": "Lamp"}], before if before is not Verdict.BAD else None)
    if before is Verdict.BAD:
        judged_as(monkeypatch, before)
        rejudge(store, batch, {}, apply=True)
    judged_as(monkeypatch, now)
    listed = rejudge(store, batch, {})
    assert len(listed.changes) == ((before or Verdict.GOOD) is not now)
    rejudge(store, batch, {}, apply=True)
    counts = store.read(batch_counts, batch.id)
    assert counts.open == 0
    assert counts.jobs[JobState.FAILED if now is Verdict.BAD else JobState.SUCCEEDED] == 1
    assert counts.suspect == ({"odd": 1} if now is Verdict.SUSPECT else {})
    rule = None if now is Verdict.GOOD else "odd"
    assert verdicts(store, batch) == {"job-00": (now, rule)}


def test_an_older_versions_results_get_their_verdict_when_they_are_judged(store: Store) -> None:
    batch = database(store, [{"name": "Lamp"}], None)
    assert verdicts(store, batch) == {"job-00": ("", None)}
    result = rejudge(store, batch, {}, apply=True)
    assert (result.applied, result.changes) == (0, [])
    assert verdicts(store, batch) == {"job-00": ("good", None)}


SHOPS = [COPY] * 4 + [{"name": f"Lamp number {number}"} for number in range(6)]


@pytest.mark.parametrize("results", [SHOPS, SHOPS[::-1], SHOPS[2:] + SHOPS[:2]])
def test_siblings_make_good_results_suspect_in_any_order(
    store: Store, results: list[dict[str, str]]
) -> None:
    batch = database(store, results)
    assert flag_odd_results(store, batch) == 4
    found = verdicts(store, batch)
    odd = [f"job-{number:02}" for number, result in enumerate(results) if result == COPY]
    assert [key for key, each in found.items() if each == ("suspect", "copied")] == odd
    assert flag_odd_results(store, batch) == 0, "once more, nothing changes"
    assert store.read(batch_counts, batch.id).jobs[JobState.SUCCEEDED] == len(SHOPS)


def test_siblings_never_clear_a_suspect_result(store: Store) -> None:
    batch = database(store, SHOPS, Verdict.SUSPECT)
    before = verdicts(store, batch)
    assert flag_odd_results(store, batch) == 0
    assert verdicts(store, batch) == before


def test_what_a_job_allows_is_no_suspicion(store: Store) -> None:
    batch = database(store, SHOPS, expect={"allow": ["copied"]})
    assert flag_odd_results(store, batch) == 0
    assert rejudge(store, batch, {}).changes == []


def test_few_or_different_goals_are_not_compared(store: Store) -> None:
    assert flag_odd_results(store, database(store, SHOPS[:5])) == 0


def test_only_the_newest_results_are_compared(store: Store) -> None:
    batch = database(store, SHOPS)
    assert len(store.read(newest_successes, batch.id, 3)) == 3
    assert len(store.read(newest_successes, batch.id, MAX_COMPARED)) == len(SHOPS)
