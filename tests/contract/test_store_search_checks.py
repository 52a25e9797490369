"""No run has two attempts whatever answers say, and a search is tried by runs that were seen."""

from __future__ import annotations

import pytest

from batchrunner.api_facts.limits import MAX_RUN_ID_LENGTH
from batchrunner.model import (
    Batch,
    ControlRun,
    FailureCategory,
    JobState,
    RunStatus,
    Submission,
)
from batchrunner.policy.create_outcome import settle_absent, settle_mixed_up
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.health import consistency_errors
from batchrunner.store.orphans import add_orphans, open_orphans
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import SubmissionState, attempts, orphans
from batchrunner.store.search_checks import control_run, jobs_given_back
from batchrunner.store.store import Store
from batchrunner.store.submissions import (
    close_without_runs,
    mark_unanswered,
    reassign_runs,
    record_runs,
    settle_submission,
    unanswered_submissions,
)
from tests.fakes import NOW, after, begin, claim, run, run_ids, spec, success


def two(store: Store, jobs: int = 1) -> tuple[Batch, Submission, Submission]:
    """Claim two submissions, of so many jobs each."""
    shaped = {"output_schema": {"type": "object"}}
    specs = [spec(f"a{n}") for n in range(jobs)]
    batch = begin(store, [*specs, *(spec(f"b{n}", options=shaped) for n in range(jobs))])
    first, second = claim(store, batch)
    return batch, first, second


def ids(submission: Submission) -> list[int]:
    return [ride.attempt_id for ride in submission.attempts]


def runs_of(store: Store, batch: Batch) -> dict[int, str]:
    return {
        attempt.attempt_id: attempt.run_id
        for attempt in store.read(runs_in_flight, "alice", batch.id)
    }


# ---- one run, one attempt ----


def test_a_run_that_another_attempt_has_is_not_written_twice(store: Store) -> None:
    batch, first, second = two(store, jobs=2)
    store.write(record_runs, "alice", first, run_ids(first), NOW)
    [taken, free] = ids(second)
    answer = {taken: run_ids(first)[ids(first)[0]], free: "run-free"}
    assert store.write(record_runs, "alice", second, answer, NOW) == {taken}
    assert runs_of(store, batch) == {**run_ids(first), free: "run-free"}
    store.write(mark_unanswered, "alice", second, NOW, "the answer named other jobs' runs")
    [(doubted, _, _)] = store.read(unanswered_submissions, "alice", batch.id)
    assert ids(doubted) == [taken]


def test_a_run_that_is_called_an_orphan_is_nobodys_again(store: Store) -> None:
    batch, first, second = two(store)
    store.write(add_orphans, batch.id, first, {"stray"}, NOW)
    assert store.write(record_runs, "alice", second, {ids(second)[0]: "stray"}, NOW) == {
        *ids(second)
    }
    assert runs_of(store, batch) == {}


def test_a_record_that_took_effect_unseen_may_be_made_again(store: Store) -> None:
    batch, first, _ = two(store)
    for _ in range(2):
        assert store.write(record_runs, "alice", first, run_ids(first), NOW) == frozenset()
    assert runs_of(store, batch) == run_ids(first)


def test_runs_that_were_swapped_between_two_submissions_are_swapped_back(store: Store) -> None:
    batch, first, second = two(store, jobs=2)
    right = {first.id: run_ids(first), second.id: run_ids(second)}
    wrong = dict(zip(ids(first), run_ids(second).values(), strict=True))
    store.write(record_runs, "alice", first, wrong, NOW)
    store.write(
        record_runs,
        "alice",
        second,
        dict(zip(ids(second), run_ids(first).values(), strict=True)),
        NOW,
    )
    store.write(reassign_runs, "alice", right, after(1))
    assert runs_of(store, batch) == run_ids(first) | run_ids(second)
    assert store.read(unanswered_submissions, "alice", batch.id) == []


def test_what_collides_with_a_run_of_a_closed_attempt_is_in_doubt(store: Store) -> None:
    batch, first, second = two(store)
    store.write(record_runs, "alice", first, {ids(first)[0]: "theirs"}, NOW)
    store.write(record_runs, "alice", second, {ids(second)[0]: "other"}, NOW)
    [attempt, _] = store.read(runs_in_flight, "alice", batch.id)
    apply_poll(store, "alice", [success(attempt)], [], after(1))
    store.write(reassign_runs, "alice", {second.id: {ids(second)[0]: "theirs"}}, after(2))
    assert runs_of(store, batch) == {}
    [(doubted, search_at, _)] = store.read(unanswered_submissions, "alice", batch.id)
    assert (ids(doubted), search_at) == (ids(second), after(2))


def test_runs_that_cannot_be_told_apart_are_orphans_and_their_jobs_unanswered(
    store: Store,
) -> None:
    batch, first, second = two(store, jobs=2)
    store.write(record_runs, "alice", first, run_ids(first), NOW)
    store.write(record_runs, "alice", second, run_ids(second), NOW)
    of_first = [
        a for a in store.read(runs_in_flight, "alice", batch.id) if a.submission_id == first.id
    ]
    for expected in (2, 0):  # what took effect unseen may be made again
        decisions = settle_mixed_up(of_first)
        assert (
            len(store.write(close_without_runs, "alice", batch.id, decisions, after(1))) == expected
        )
    assert sorted(store.read(open_orphans, batch.id)) == sorted(run_ids(first).values())
    assert runs_of(store, batch) == run_ids(second)
    counts = store.read(batch_counts, batch.id)
    assert (counts.jobs[JobState.FAILED], counts.failed) == (2, {FailureCategory.UNANSWERED: 2})
    assert store.read(consistency_errors) == {}


def test_what_others_took_over_is_not_disbanded(store: Store) -> None:
    batch, first, _ = two(store)
    store.write(record_runs, "alice", first, run_ids(first), NOW)
    decisions = settle_mixed_up(store.read(runs_in_flight, "alice", batch.id))
    assert store.write(close_without_runs, "bob", batch.id, decisions, after(1)) == []
    assert store.read(open_orphans, batch.id) == []
    assert runs_of(store, batch) == run_ids(first)


def test_the_longest_id_that_is_read_fits_the_database() -> None:
    columns = (attempts.c.run_id, orphans.c.run_id)
    assert [column.type.length for column in columns] == [MAX_RUN_ID_LENGTH] * 2


# ---- by what searches are tried ----


def test_a_search_is_tried_by_the_newest_run_that_was_known_long_enough(store: Store) -> None:
    batch, first, second = two(store)
    store.write(record_runs, "alice", first, run_ids(first), after(10))
    store.write(record_runs, "alice", second, run_ids(second), after(20))
    seen = [
        (attempt, run(attempt.run_id, RunStatus.RUNNING))
        for attempt in store.read(runs_in_flight, "alice", batch.id)
    ]
    assert store.read(control_run, batch.id, after(99)) is None, "nobody has seen them"
    apply_poll(store, "alice", [], seen, after(30))
    [newest], [older] = ids(second), ids(first)
    assert store.read(control_run, batch.id, after(20)) == ControlRun(
        run_id=run_ids(second)[newest], marker=second.attempts[0].marker or ""
    )
    found = store.read(control_run, batch.id, after(19))
    assert found is not None
    assert found.run_id == run_ids(first)[older]
    assert store.read(control_run, batch.id, after(9)) is None
    assert store.read(control_run, batch.id + 1, after(99)) is None


@pytest.mark.parametrize("marker", [True, False])
def test_a_run_without_a_marker_is_none_to_search_for(store: Store, marker: bool) -> None:
    batch = begin(store, 1, marker=marker)
    [submission] = claim(store, batch)
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    [attempt] = store.read(runs_in_flight, "alice", batch.id)
    apply_poll(store, "alice", [success(attempt)], [], after(1))
    assert (store.read(control_run, batch.id, after(99)) is not None) is marker


def test_jobs_are_known_that_were_given_back_because_nothing_was_found(store: Store) -> None:
    _, first, second = two(store)
    jobs = [ride.job.id for submission in (first, second) for ride in submission.attempts]
    assert store.read(jobs_given_back, jobs) == frozenset()
    state = SubmissionState.ABSENT
    store.write(
        settle_submission,
        "alice",
        first,
        state,
        settle_absent(first, NOW),
        NOW,
        "no answer",
        after(60),
    )
    assert store.read(jobs_given_back, jobs) == {first.attempts[0].job.id}
    state = SubmissionState.REFUSED
    store.write(
        settle_submission, "alice", second, state, settle_absent(second, NOW), NOW, "not sent"
    )
    assert store.read(jobs_given_back, jobs) == {first.attempts[0].job.id}
