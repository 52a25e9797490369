"""Taking due jobs: the bound, the order, who rides with whom."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from batchrunner.model import Batch, JobState, Submission
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import pause_batch, resume_batch
from batchrunner.store.database import Database, StoreError
from batchrunner.store.reports import batch_counts, work_left
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs, settle_submission
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    enlist,
    job_file,
    keys,
    postpone,
    rides,
    run_ids,
    spec,
    start,
    success,
)

SHAPES = [{"output_schema": {"type": "object", "title": title}} for title in ("one", "two")]


def claimed_keys(submissions: list[Submission]) -> list[list[str]]:
    return [[ride.job.key for ride in submission.attempts] for submission in submissions]


def refuse_together(store: Store, batch: Batch, together: int) -> None:
    """Let the due jobs be refused as a whole, so that the next time fewer ride together."""
    for submission in claim(store, batch):
        decisions = [postpone(ride, together=together) for ride in submission.attempts]
        store.write(
            settle_submission,
            "alice",
            submission,
            SubmissionState.REFUSED,
            decisions,
            NOW,
            "refused",
        )


def test_a_claim_opens_one_numbered_attempt_for_each_job(store: Store) -> None:
    batch = begin(store, [spec("a", options={"use_vault": True}), spec("b")])
    (submission,) = claim(store, batch, now=after(1))
    assert [ride.batch_index for ride in submission.attempts] == [1, 2]
    assert [(r.job.key, r.job.attempt, r.job.failures) for r in submission.attempts] == [
        ("a", 1, 0),
        ("b", 1, 0),
    ]
    assert submission.attempts[0].options == {"use_vault": True}
    assert (submission.intended_at, submission.marked, submission.fruitless_searches) == (
        after(1),
        True,
        0,
    )


def test_a_standing_invites_whoever_would_get_something(store: Store) -> None:
    batch = begin(store, 3, concurrency=2)
    enlist(store, "bob")

    def room() -> tuple[int, bool]:
        standing = store.read(work_left, "alice", batch.id)
        return standing.free_slots, standing.has_claimable_work(NOW)

    assert room() == (2, True)
    assert not store.read(work_left, "alice", batch.id).has_claimable_work(after(-1)), (
        "no job is due before"
    )
    store.write(pause_batch, batch.id, "wait", NOW)
    assert room() == (2, False)
    store.write(resume_batch, batch.id, NOW)
    first, _ = start(store, batch, "bob")
    assert room() == (0, False), "what others have in flight fills it too"
    assert claim(store, batch) == []
    apply_poll(store, "bob", [success(first)], [], NOW)
    assert room() == (1, True)
    assert len(rides(claim(store, batch))) == 1
    assert room() == (0, False)


def test_a_batch_without_markers_makes_submissions_without(store: Store) -> None:
    (submission,) = claim(store, begin(store, marker=False))
    assert not submission.marked


def test_a_claim_never_exceeds_the_bound_over_all_owners(store: Store) -> None:
    batch = begin(store, 10, concurrency=4)
    enlist(store, "bob", "carol")
    assert len(rides(claim(store, batch, "alice"))) == 4
    assert claim(store, batch, "bob") == []
    assert store.read(runs_in_flight, "alice", batch.id) == []  # what is only intended counts too


def test_a_slot_that_becomes_free_is_anyones(store: Store) -> None:
    batch = begin(store, 10, concurrency=4)
    enlist(store, "bob")
    running = start(store, batch)
    apply_poll(store, "alice", [success(running[0]), success(running[1])], [], NOW)
    assert len(rides(claim(store, batch, "bob"))) == 2
    assert claim(store, batch, "alice") == []


def test_a_smaller_bound_is_obeyed_from_the_next_claim_on(store: Store) -> None:
    batch = begin(store, 10, concurrency=6)
    running = start(store, batch)
    store.write(load_jobs, job_file(10, concurrency=3), NOW)
    apply_poll(store, "alice", [success(attempt) for attempt in running[:3]], [], NOW)
    assert claim(store, batch) == []
    apply_poll(store, "alice", [success(running[3])], [], NOW)
    assert len(rides(claim(store, batch))) == 1


def test_the_bound_is_each_batchs_own(store: Store) -> None:
    one = begin(store, 3, concurrency=2)
    two = store.write(load_jobs, job_file(3, name="other", concurrency=2), NOW).batch
    assert len(rides(claim(store, one))) == 2
    assert len(rides(claim(store, two))) == 2


def test_jobs_are_claimed_in_file_order(store: Store) -> None:
    batch = begin(store, [spec(key) for key in "zebra"], concurrency=2)
    claimed = []
    while due := start(store, batch):
        claimed += [attempt.job.key for attempt in due]
        apply_poll(store, "alice", [success(attempt) for attempt in due], [], NOW)
    assert "".join(claimed) == "zebra"


def test_a_job_is_not_claimed_before_it_is_due(store: Store) -> None:
    batch = begin(store, 2)
    first, second = start(store, batch)
    apply_poll(store, "alice", [postpone(first, after(10)), postpone(second, after(20))], [], NOW)
    assert claim(store, batch, now=after(9.999999)) == []
    assert claimed_keys(claim(store, batch, now=after(10))) == [[first.job.key]]
    assert claimed_keys(claim(store, batch, now=after(25))) == [[second.job.key]]


def test_nothing_is_claimed_twice(store: Store) -> None:
    batch = begin(store, 5)
    enlist(store, "bob")
    assert len(rides(claim(store, batch))) == 5
    assert claim(store, batch, "alice") == []
    assert claim(store, batch, "bob") == []


@pytest.mark.parametrize(("most", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (100, [7])])
def test_a_submission_carries_at_most_so_many(store: Store, most: int, sizes: list[int]) -> None:
    submissions = claim(store, begin(store, 7), most=most)
    assert [len(submission.attempts) for submission in submissions] == sizes
    assert [key for group in claimed_keys(submissions) for key in group] == keys(7)
    assert len({submission.marker_token for submission in submissions}) == len(sizes)


def test_jobs_with_different_output_schemas_never_ride_together(store: Store) -> None:
    options = [SHAPES[0], {}, SHAPES[1], SHAPES[0], {}]
    batch = begin(store, [spec(key, options=o) for key, o in zip("abcde", options, strict=True)])
    assert sorted(claimed_keys(claim(store, batch))) == [["a", "d"], ["b", "e"], ["c"]]


def test_the_order_of_a_schemas_members_makes_no_other_schema(store: Store) -> None:
    same = [{"type": "object", "title": "x"}, {"title": "x", "type": "object"}]
    batch = begin(store, [spec(str(at), options={"output_schema": s}) for at, s in enumerate(same)])
    assert len(claim(store, batch)) == 1


def test_jobs_that_were_refused_together_ride_in_smaller_groups(store: Store) -> None:
    batch = begin(store, 8)
    refuse_together(store, batch, together=3)
    assert claimed_keys(claim(store, batch)) == [keys(8)[:3], keys(8)[3:6], keys(8)[6:]]


def test_jobs_that_were_accepted_may_ride_with_all_others_again(store: Store) -> None:
    batch = begin(store, 4)
    refuse_together(store, batch, together=1)
    running = start(store, batch)
    apply_poll(store, "alice", [postpone(attempt) for attempt in running], [], NOW)
    assert claimed_keys(claim(store, batch)) == [keys(4)]


def test_a_job_that_was_refused_alone_does_not_hold_the_others_apart(store: Store) -> None:
    batch = begin(store, 4)
    first, *others = claim(store, batch, most=1)
    decisions = [postpone(first.attempts[0], together=1)]
    store.write(
        settle_submission, "alice", first, SubmissionState.REFUSED, decisions, NOW, "refused"
    )
    for submission in others:
        decisions = [postpone(submission.attempts[0])]
        store.write(
            settle_submission,
            "alice",
            submission,
            SubmissionState.REFUSED,
            decisions,
            NOW,
            "throttled",
        )
    assert sorted(claimed_keys(claim(store, batch))) == [[keys(1)[0]], keys(4)[1:]]


def test_the_intent_is_on_disk_before_anything_can_be_sent(
    store: Store, open_store: Callable[[], Store], engine: Engine
) -> None:
    batch = begin(store, 3)
    (submission,) = claim(store, batch)
    with engine.connect() as tx:
        stored = tx.execute(text("SELECT marker_token, state, owner_id FROM submissions")).one()
        opened = tx.execute(
            text("SELECT id, batch_index, job_id FROM attempts ORDER BY batch_index")
        ).all()
    assert tuple(stored) == (submission.marker_token, "intended", "alice")
    expected = [(ride.attempt_id, ride.batch_index, ride.job.id) for ride in submission.attempts]
    assert [tuple(row) for row in opened] == expected
    assert open_store().read(work_left, "alice", batch.id).in_flight_here == 3


def test_a_retried_job_gets_the_next_number(store: Store) -> None:
    batch = begin(store)
    for number in range(1, 4):
        (attempt,) = start(store, batch)
        assert attempt.job.attempt == number
        apply_poll(store, "alice", [postpone(attempt)], [], NOW)


def test_a_claim_that_fails_in_the_middle_has_claimed_nothing(database: Database) -> None:
    store = Store(
        database, new_token=iter(["batch", *["two"] * 3, "batch", "three", "four"]).__next__
    )
    batch = begin(store, 3)
    with pytest.raises(StoreError):
        claim(store, batch, most=1)
    counts = store.read(batch_counts, batch.id)
    assert (counts.attempts, counts.retrying, counts.jobs[JobState.AVAILABLE]) == (0, 0, 3)
    assert [s.marker_token for s in claim(store, batch, most=2)] == ["batch-three", "batch-four"]


def test_tokens_are_different_each_time(store: Store) -> None:
    submissions = claim(store, begin(store, 100, concurrency=100), most=1)
    assert len({submission.marker_token for submission in submissions}) == 100


def test_recorded_runs_are_watched_by_their_owner_alone(store: Store) -> None:
    batch = begin(store, 2)
    enlist(store, "bob")
    (submission,) = claim(store, batch)
    assert store.read(runs_in_flight, "alice", batch.id) == []
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    assert [a.run_id for a in store.read(runs_in_flight, "alice", batch.id)] == list(
        run_ids(submission).values()
    )
    assert store.read(runs_in_flight, "bob", batch.id) == []
