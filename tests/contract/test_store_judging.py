"""Stored results are judged again: what that moves, what is counted, and what it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import Engine, text

from batchrunner.model import (
    AttemptDecision,
    Batch,
    Failed,
    FailureCategory,
    FieldRule,
    Finding,
    Finish,
    JobState,
    Retry,
    Succeeded,
    Verdict,
)
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import retry_jobs
from batchrunner.store.health import consistency_errors
from batchrunner.store.judgements import rewrite_judgements, stored_results
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.store import Store
from tests.fakes import (
    NOW,
    after,
    begin,
    enlist,
    failure,
    job_file,
    keys,
    run,
    spec,
    start,
    success,
)

GOAL, BLOCKED = FailureCategory.GOAL_FAILURE, FailureCategory.BLOCKED
INVALID = FailureCategory.INVALID_RESULT
SEEN = Finding(rule="expect", path="items[2].price", seen='"1€"', wanted="a number")
GOOD_ONE = Succeeded()
BROKEN = Failed(category=INVALID, code="expect", message="too cheap", findings=(SEEN,))


def states(store: Store, batch: Batch) -> dict[str, int]:
    return {state.value: n for state, n in store.read(batch_counts, batch.id).jobs.items() if n}


def judge_all(store: Store, batch: Batch, decision: Failed | None) -> int:
    return store.write(
        rewrite_judgements, [(one, decision or GOOD_ONE) for one in stored_results(store, batch.id)]
    )


def finished_by(store: Store, outcome: Failed | None, result: str = '{"price": 1}') -> Batch:
    """Run a batch of one job, whose run completed with this result, to this end."""
    batch = begin(store)
    (attempt,) = start(store, batch)
    state = JobState.FAILED if outcome else JobState.SUCCEEDED
    transition = Finish(state=state, failure=outcome, verdict=None if outcome else Verdict.GOOD)
    seen = run(attempt.run_id, result=result)
    apply_poll(
        store, "alice", [AttemptDecision(attempt=attempt, transition=transition, run=seen)], [], NOW
    )
    return batch


def test_evidence_is_kept_with_the_attempt_and_read_back(store: Store, engine: Engine) -> None:
    batch = finished_by(store, BROKEN)
    (one,) = stored_results(store, batch.id)
    assert (one.category, one.code, one.message) == (INVALID, "expect", "too cheap")
    assert one.findings == (SEEN,)
    with engine.connect() as tx:
        stored = tx.execute(text("SELECT findings FROM attempts")).scalar_one()
    assert json.loads(stored)[0]["path"] == "items[2].price"


def test_what_is_expected_is_watched_with_the_attempt(store: Store) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    expect = {"required": ["a"], "allow": ["empty"]}
    batch = begin(
        store,
        [
            spec("a", expect=expect, options={"output_schema": schema}),
            spec("b", options={"output_schema": schema}),
            spec("c"),
        ],
    )
    found = {each.job.key: each.expectations for each in start(store, batch)}
    assert found["a"].schema == found["b"].schema == schema
    assert found["a"].field_rules == (FieldRule(path="a", required=True),)
    assert found["a"].allow == {"empty"}
    assert (found["b"].field_rules, found["c"].schema, found["c"].field_rules) == ((), None, ())


def test_the_judge_sees_the_goal_without_its_marker_and_what_a_person_accepted(
    store: Store, engine: Engine
) -> None:
    batch = begin(store, [spec("a", goal="List the offers; an empty list if there are none")])
    accepted = '[["empty","offers"]]'
    with engine.begin() as tx:
        tx.execute(text("UPDATE jobs SET accepted = :accepted"), {"accepted": accepted})
    (attempt,) = start(store, batch)
    assert attempt.marker is not None
    apply_poll(store, "alice", [success(attempt)], [], NOW)
    (stored,) = stored_results(store, batch.id)
    for each in (attempt.expectations, stored.expectations):
        assert each.goal == "List the offers; an empty list if there are none"
        assert each.accepted == {("empty", "offers")}


def test_what_is_expected_is_that_of_the_newest_load(store: Store) -> None:
    first = store.write(load_jobs, job_file([spec("a", expect={"required": ["x"]})]), NOW)
    again = store.write(load_jobs, job_file([spec("a", expect={"required": ["y"]})]), NOW)
    assert (again.known, again.changed) == (1, ())
    enlist(store, "alice")
    (attempt,) = start(store, first.batch)
    assert [rule.path for rule in attempt.expectations.field_rules] == ["y"]


def test_a_success_that_is_judged_to_be_none_fails_with_one_failure_more(store: Store) -> None:
    batch = finished_by(store, None)
    assert judge_all(store, batch, BROKEN) == 1
    assert states(store, batch) == {"failed": 1}
    assert store.read(batch_counts, batch.id).failed == {INVALID: 1}
    (shown,) = finished_jobs(store, batch.id)
    assert (shown.code, shown.message, shown.result) == ("expect", "too cheap", '{"price": 1}')
    assert shown.finished_at is None or shown.state is JobState.FAILED
    assert store.read(consistency_errors) == {}
    assert store.write(retry_jobs, batch.id, [INVALID], [], after(9)) == 1
    assert states(store, batch) == {"available": 1}


def test_a_failure_that_is_judged_to_be_good_succeeds_with_one_failure_less(store: Store) -> None:
    batch = finished_by(store, Failed(category=BLOCKED, message="A captcha"))
    assert judge_all(store, batch, None) == 1
    assert states(store, batch) == {"succeeded": 1}
    assert store.read(batch_counts, batch.id).failed == {}
    (shown,) = finished_jobs(store, batch.id)
    assert (shown.category, shown.code, shown.message) == (None, None, None)
    assert store.read(consistency_errors) == {}


def test_a_judgement_back_and_forth_changes_nothing_in_the_end(
    store: Store, engine: Engine
) -> None:
    batch = finished_by(store, None)

    def books() -> list[object]:
        with engine.connect() as tx:
            query = "SELECT * FROM jobs JOIN attempts ON attempts.job_id = jobs.id"
            return list(tx.execute(text(query)).all())

    before = books()
    for decision in (BROKEN, Failed(category=GOAL, message="x"), BROKEN, None):
        assert judge_all(store, batch, decision) == 1
        assert store.read(consistency_errors) == {}
    assert books() == before


def test_failures_of_earlier_attempts_go_on_counting(store: Store, engine: Engine) -> None:
    batch = begin(store)
    (attempt,) = start(store, batch)
    again = Retry(at=NOW, failure=Failed(category=GOAL, message="Not there"))
    apply_poll(store, "alice", [AttemptDecision(attempt=attempt, transition=again)], [], NOW)
    (attempt,) = start(store, batch)
    apply_poll(store, "alice", [success(attempt)], [], NOW)
    judge_all(store, batch, Failed(category=GOAL, message="x"))
    with engine.connect() as tx:
        row = tx.execute(text("SELECT failures, failures_by_category FROM jobs")).one()
    assert (row.failures, json.loads(row.failures_by_category)) == (2, {"goal_failure": 2})
    judge_all(store, batch, None)
    assert store.read(consistency_errors) == {}


def test_only_judgements_of_results_are_judged_again(store: Store) -> None:
    batch = begin(store, 5)
    watched = start(store, batch)
    unreadable = Failed(category=INVALID, code="unreadable", message="too large")
    odd = AttemptDecision(
        attempt=watched[2],
        transition=Finish(state=JobState.FAILED, failure=unreadable),
        run=run(watched[2].run_id, result="1"),
    )
    apply_poll(
        store,
        "alice",
        [
            failure(watched[0], FailureCategory.TIMED_OUT, result="{}"),
            failure(watched[1], GOAL),  # without a result there is nothing to judge
            odd,
            success(watched[3]),
        ],
        [],
        NOW,
    )
    assert [one.key for one in stored_results(store, batch.id)] == [keys(5)[3]]


def test_a_judgement_of_what_has_changed_since_changes_nothing(store: Store) -> None:
    batch = finished_by(store, BROKEN)
    (read,) = stored_results(store, batch.id)
    store.write(retry_jobs, batch.id, [], [], after(1))
    assert store.write(rewrite_judgements, [(read, GOOD_ONE)]) == 0
    (attempt,) = start(store, batch, now=after(2))
    assert store.write(rewrite_judgements, [(read, GOOD_ONE)]) == 0
    apply_poll(store, "alice", [success(attempt)], [], after(3))
    assert store.write(rewrite_judgements, [(read, GOOD_ONE)]) == 0, (
        "another attempt succeeded since"
    )
    assert states(store, batch) == {"succeeded": 1}
    (now,) = stored_results(store, batch.id)
    assert store.write(rewrite_judgements, [(now, BROKEN), (replace(now, number=1), BROKEN)]) == 1
    assert store.write(rewrite_judgements, [(now, BROKEN)]) == 0, (
        "somebody judged it in the meantime"
    )
    assert store.read(consistency_errors) == {}


def test_two_who_judge_at_once_do_it_once(store: Store) -> None:
    batch = begin(store, 3)
    apply_poll(store, "alice", [success(each) for each in start(store, batch)], [], NOW)
    read = list(stored_results(store, batch.id))
    assert store.write(rewrite_judgements, [(one, BROKEN) for one in read]) == 3
    assert store.write(rewrite_judgements, [(one, BROKEN) for one in reversed(read)]) == 0
    assert states(store, batch) == {"failed": 3}
    assert store.read(consistency_errors) == {}
