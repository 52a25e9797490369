"""No run has two attempts whatever answers say, and a search is tried by runs that were seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchrunner.api_facts.limits import MAX_RUN_ID_LENGTH
from batchrunner.model import (
    Batch,
    FailureCategory,
    JobState,
    NotFound,
    RunStatus,
    Submission,
)
from batchrunner.policy.control_runs import MarkerDepth, MissingRuns
from batchrunner.policy.create_outcome import settle_mixed_up
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.health import consistency_errors
from batchrunner.store.orphans import (
    add_orphans,
    lost_runs,
    open_orphans,
    take_lost_runs_back,
)
from batchrunner.store.refusals import confirm_refusals, unconfirmed_refusals
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import SubmissionState, attempts, orphans
from batchrunner.store.search_checks import deep_runs, later_runs, newest_runs
from batchrunner.store.store import Store
from batchrunner.store.submissions import (
    close_without_runs,
    mark_unanswered,
    reassign_runs,
    record_runs,
    settle_submission,
    unanswered_submissions,
)
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    failure,
    postpone,
    retry,
    run,
    run_ids,
    spec,
    success,
)


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


# ---- by what searches are tested ----


def test_searches_are_tested_by_runs_of_later_submissions_that_were_shown(store: Store) -> None:
    batch, first, second = two(store)
    store.write(record_runs, "alice", first, run_ids(first), after(10))
    store.write(record_runs, "alice", second, run_ids(second), after(20))
    unseen = store.read(later_runs, batch.id, NOW)
    assert [known.shown for known in unseen] == [False, False], "nobody has seen them"
    seen = [
        (attempt, run(attempt.run_id, RunStatus.RUNNING))
        for attempt in store.read(runs_in_flight, "alice", batch.id)
    ]
    apply_poll(store, "alice", [], seen, after(30))
    [oldest, newest] = store.read(later_runs, batch.id, NOW)
    assert (oldest.run_id, newest.run_id) == (*run_ids(first).values(), *run_ids(second).values())
    assert (newest.marker_token, newest.shown) == (second.marker_token, True)
    assert newest.status is RunStatus.RUNNING
    assert store.read(later_runs, batch.id, after(1)) == []
    assert store.read(later_runs, batch.id + 1, NOW) == []


def test_the_depth_of_a_marker_is_tested_by_runs_of_any_age(store: Store) -> None:
    specs = [spec("short", goal="Read"), spec("deep", goal="Rèad " * 50)]
    batch = begin(store, specs)
    [submission] = claim(store, batch)
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    for attempt in store.read(runs_in_flight, "alice", batch.id):
        apply_poll(store, "alice", [success(attempt)], [], after(1))
    missing = MissingRuns(since=after(99), depth=MarkerDepth.of("Rèad " * 50))
    [found] = store.read(deep_runs, batch.id, missing)
    assert found.depth == MarkerDepth(characters=250, bytes=300)
    deeper = MissingRuns(since=after(99), depth=MarkerDepth(characters=250, bytes=301))
    assert store.read(deep_runs, batch.id, deeper) == []


@pytest.mark.parametrize("marker", [True, False])
def test_a_run_without_a_marker_is_none_to_search_for(store: Store, marker: bool) -> None:
    batch = begin(store, 1, marker=marker)
    [submission] = claim(store, batch)
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    [attempt] = store.read(runs_in_flight, "alice", batch.id)
    apply_poll(store, "alice", [success(attempt)], [], after(1))
    assert bool(store.read(later_runs, batch.id, NOW)) is marker


def test_polls_are_tested_by_runs_that_are_as_new(store: Store) -> None:
    batch, first, second = two(store)
    store.write(record_runs, "alice", first, run_ids(first), NOW)
    store.write(record_runs, "alice", second, run_ids(second), NOW)
    [one, other] = store.read(runs_in_flight, "alice", batch.id)
    missing = NotFound(run_id=one.run_id)
    shown = run(other.run_id, RunStatus.RUNNING)
    apply_poll(store, "alice", [], [(one, missing), (other, shown)], after(1))
    assert store.read(newest_runs, batch.id, first.id) == [other.run_id]
    assert store.read(newest_runs, batch.id) == [other.run_id]


# ---- runs that count as lost ----


@pytest.mark.parametrize("state", [JobState.AVAILABLE, JobState.FAILED, JobState.RUNNING])
def test_a_lost_run_that_appears_again_counts_unless_another_took_its_place(
    store: Store, state: JobState
) -> None:
    batch = begin(store, 1)
    [submission] = claim(store, batch)
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    [attempt] = store.read(runs_in_flight, "alice", batch.id)
    lost = FailureCategory.LOST
    decision = failure(attempt, lost) if state is JobState.FAILED else retry(attempt, NOW, lost)
    apply_poll(store, "alice", [decision], [], after(700))
    if state is JobState.RUNNING:
        claim(store, batch)
    assert store.read(lost_runs, batch.id) == [attempt.run_id]
    taken = store.write(take_lost_runs_back, "alice", batch.id, [attempt.run_id], after(800))
    assert taken == ((0, 1) if state is JobState.RUNNING else (1, 0))
    assert store.read(lost_runs, batch.id) == []
    if state is JobState.RUNNING:
        assert store.read(open_orphans, batch.id) == [attempt.run_id]
    else:
        [again] = store.read(runs_in_flight, "alice", batch.id)
        assert (again.run_id, again.job.attempt) == (attempt.run_id, 2)
    assert store.read(consistency_errors) == {}


# ---- refusals that no search has confirmed ----


def test_jobs_of_an_unconfirmed_refusal_are_not_claimed_before_a_search(store: Store) -> None:
    batch, first, second = two(store)
    for submission, unconfirmed in ((first, True), (second, False)):
        store.write(
            settle_submission,
            "alice",
            submission,
            SubmissionState.REFUSED,
            [postpone(each, after(30)) for each in submission.attempts],
            NOW,
            "too many requests",
            unconfirmed=unconfirmed,
        )
    assert store.read(unconfirmed_refusals, batch.id, after(29)) == []
    [refused] = store.read(unconfirmed_refusals, batch.id, after(30))
    assert (refused.id, ids(refused)) == (first.id, ids(first))
    assert store.read(unconfirmed_refusals, batch.id) == [refused]
    [claimed] = claim(store, batch, now=after(30))
    assert claimed.attempts[0].job.id == second.attempts[0].job.id
    store.write(confirm_refusals, [first.id])
    [claimed] = claim(store, batch, now=after(30))
    assert claimed.attempts[0].job.id == first.attempts[0].job.id


# ---- slots in doubt ----


def test_attempts_in_doubt_give_up_their_slots_after_a_while(store: Store) -> None:
    batch = begin(store, 5, concurrency=2)
    [submission] = claim(store, batch)
    again = replace(submission, fruitless_searches=1)
    store.write(mark_unanswered, "alice", again, after(2), "no answer", after(1), after(60))
    assert claim(store, batch, now=after(59)) == []
    [more] = claim(store, batch, now=after(60))
    assert len(more.attempts) == 2
    store.write(mark_unanswered, "alice", more, after(70), "no answer", after(61), after(99))
    assert claim(store, batch, now=after(100)) == [], "no more than one bound beyond the bound"


def test_where_all_attempts_are_in_doubt_one_more_job_is_let_through(store: Store) -> None:
    batch = begin(store, 9, concurrency=2)
    [submission] = claim(store, batch)
    for searches, claimed in ((1, 0), (2, 1), (2, 0)):
        doubted = replace(submission, fruitless_searches=searches)
        store.write(mark_unanswered, "alice", doubted, after(9), "no answer", after(1), after(99))
        found = claim(store, batch, now=after(9))
        assert sum(len(each.attempts) for each in found) == claimed
