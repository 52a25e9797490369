"""Who is alive, who takes over from whom, and what the dead can still do: nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batchrunner.model import (
    Batch,
    FailureCategory,
    NotFound,
    OpenAttempt,
    RunStatus,
    Submission,
)
from batchrunner.store.attempts import apply_poll, request_cancel, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.errors import LeaseLost, OwnerForgotten
from batchrunner.store.leases import (
    end_owner,
    live_owners,
    other_owners,
    renew_lease,
    rescue_attempts,
)
from batchrunner.store.reports import batch_counts, finished_jobs, work_left
from batchrunner.store.schema import SubmissionState, metadata
from batchrunner.store.store import Store
from batchrunner.store.store_time import LEASE, store_time
from batchrunner.store.submissions import (
    mark_unanswered,
    reassign_runs,
    record_runs,
    settle_submission,
    unanswered_submissions,
)
from tests.fakes import (
    FIRST,
    NOW,
    after,
    begin,
    claim,
    enlist,
    failure,
    job_file,
    owner,
    postpone,
    rides,
    run,
    run_ids,
    start,
    success,
)

LATE = NOW + LEASE


def whole(engine: Engine) -> dict[str, list[Any]]:
    """Return everything that the database holds."""
    with engine.connect() as tx:
        return {
            table.name: [
                tuple(row)
                for row in tx.execute(text(f"SELECT * FROM {table.name} ORDER BY 1")).all()
            ]
            for table in metadata.sorted_tables
        }


def rescued(store: Store, jobs: int = 3) -> tuple[Batch, Submission, list[OpenAttempt]]:
    """Let alice start runs, fall asleep, and let bob take them over."""
    batch = begin(store, jobs, concurrency=2)
    (submission,) = claim(store, batch)
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    attempts = store.read(runs_in_flight, "alice", batch.id)
    enlist(store, "bob", now=LATE)
    assert len(store.write(rescue_attempts, "bob", FIRST, LATE)) == 2
    return batch, submission, attempts


def test_an_owner_lives_until_its_lease_ends(store: Store) -> None:
    enlist(store, "alice")
    assert store.read(live_owners, NOW) == [owner("alice")]
    assert store.read(live_owners, LATE) == []
    store.write(renew_lease, "alice", after(40))
    assert store.read(live_owners, LATE) == [owner("alice")]


def test_an_owner_that_retired_does_not_live(store: Store) -> None:
    enlist(store, "alice", "bob")
    store.write(end_owner, "alice", after(1))
    assert store.read(live_owners, after(2)) == [owner("bob")]


def test_the_living_are_not_rescued(store: Store) -> None:
    batch = begin(store, 3)
    start(store, batch)
    enlist(store, "bob")
    assert len(store.write(rescue_attempts, "bob", FIRST, after(59.999999))) == 0
    assert store.read(work_left, "alice", batch.id).in_flight_here == 3


def test_runs_of_an_owner_whose_lease_ran_out_are_adopted_as_they_are(store: Store) -> None:
    batch = begin(store, 2)
    before = start(store, batch)
    seen = run(before[0].run_id, RunStatus.RUNNING)
    apply_poll(store, "alice", [], [(before[0], seen)], after(1))
    before = store.read(runs_in_flight, "alice", batch.id)
    enlist(store, "bob", now=LATE)
    assert len(store.write(rescue_attempts, "bob", FIRST, LATE)) == 2
    assert store.read(runs_in_flight, "bob", batch.id) == before
    assert store.read(runs_in_flight, "alice", batch.id) == []
    assert claim(store, batch, "bob", now=LATE) == []


def test_an_owner_that_is_known_to_be_gone_is_rescued_within_its_lease(store: Store) -> None:
    batch = begin(store, 2)
    start(store, batch)
    enlist(store, "bob", "carol")
    assert len(store.write(rescue_attempts, "bob", FIRST, after(1), exited=["alice"])) == 2
    assert store.read(live_owners, after(1)) == [owner("bob"), owner("carol")]


def test_what_an_owner_left_when_it_retired_is_rescued_at_once(store: Store) -> None:
    batch = begin(store, 2)
    start(store, batch)
    store.write(end_owner, "alice", after(1))
    enlist(store, "bob")
    assert len(store.write(rescue_attempts, "bob", FIRST, after(1))) == 2
    assert len(store.write(rescue_attempts, "bob", FIRST, after(1))) == 0


def test_an_owner_does_not_take_itself_for_dead(store: Store) -> None:
    batch = begin(store, 2)
    start(store, batch)
    assert len(store.write(rescue_attempts, "alice", FIRST, after(1000), exited=["alice"])) == 0
    store.write(renew_lease, "alice", after(2000))


def test_submissions_that_the_dead_intended_are_unanswered(store: Store) -> None:
    batch = begin(store, 2)
    (submission,) = claim(store, batch)
    enlist(store, "bob", now=LATE)
    assert len(store.write(rescue_attempts, "bob", FIRST, LATE)) == 2
    ((found, search_at, why),) = store.read(unanswered_submissions, "bob", batch.id)
    assert (found, search_at) == (replace(submission, unanswered_at=LATE), LATE)
    assert why
    assert store.read(runs_in_flight, "bob", batch.id) == []
    assert claim(store, batch, "bob", now=LATE) == []


def test_a_submission_is_searched_for_by_whoever_lives(store: Store) -> None:
    batch = begin(store, 2)
    (submission,) = claim(store, batch)
    store.write(mark_unanswered, "alice", submission, after(5), "ReadTimeout", now=after(1))
    enlist(store, "bob", now=LATE)
    store.write(rescue_attempts, "bob", FIRST, LATE)
    assert store.read(unanswered_submissions, "bob", batch.id) == [
        (replace(submission, unanswered_at=after(1)), after(5), "ReadTimeout")
    ]
    assert store.read(unanswered_submissions, "alice", batch.id) == []


def test_a_half_recorded_submission_is_half_adopted_and_half_in_doubt(store: Store) -> None:
    batch = begin(store, 2)
    (submission,) = claim(store, batch)
    there, unknown = submission.attempts
    store.write(record_runs, "alice", submission, {there.attempt_id: "run-x"}, NOW)
    enlist(store, "bob", now=LATE)
    assert len(store.write(rescue_attempts, "bob", FIRST, LATE)) == 2
    assert [a.run_id for a in store.read(runs_in_flight, "bob", batch.id)] == ["run-x"]
    ((rest, _, _),) = store.read(unanswered_submissions, "bob", batch.id)
    assert rest.attempts == (unknown,)


def test_the_dead_are_rescued_through_a_chain_of_deaths(store: Store) -> None:
    batch = begin(store, 2)
    before = start(store, batch)
    for number in range(1, 5):
        enlist(store, f"next-{number}", now=after(60 * number))
        assert len(store.write(rescue_attempts, f"next-{number}", FIRST, after(60 * number))) == 2
    assert store.read(runs_in_flight, "next-4", batch.id) == before


def test_a_zombies_writes_change_nothing(store: Store, engine: Engine) -> None:
    batch, submission, attempts = rescued(store)
    before = whole(engine)
    decisions = [success(attempts[0]), failure(attempts[1])]
    seen = [(attempt, NotFound(run_id=attempt.run_id)) for attempt in attempts]
    ids = [attempt.attempt_id for attempt in attempts]
    assert apply_poll(store, "alice", decisions, seen, LATE) == []
    state = SubmissionState.ABSENT
    assert (
        store.write(settle_submission, "alice", submission, state, decisions, LATE, "absent") == []
    )
    store.write(request_cancel, "alice", ids, FailureCategory.TIMED_OUT)
    store.write(mark_unanswered, "alice", submission, LATE, "asleep")
    store.write(record_runs, "alice", submission, {ids[0]: "another"}, LATE)
    assert whole(engine) == before
    # What she counted becomes the batch's: the sums stay.
    counted = store.read(batch_counts, batch.id)
    store.write(end_owner, "alice", after(100))
    assert store.read(batch_counts, batch.id) == counted
    before.pop("batch_counters")
    assert {name: rows for name, rows in whole(engine).items() if name in before} == before
    assert store.read(runs_in_flight, "bob", batch.id) == attempts


def test_a_zombies_late_answer_changes_nothing(store: Store, engine: Engine) -> None:
    batch = begin(store, 2)
    (submission,) = claim(store, batch)
    decisions = [postpone(ride, together=1) for ride in submission.attempts]
    store.write(
        settle_submission, "alice", submission, SubmissionState.REFUSED, decisions, NOW, "refused"
    )
    first, second = claim(store, batch)
    enlist(store, "bob", now=LATE)
    store.write(rescue_attempts, "bob", FIRST, LATE)
    before = whole(engine)
    assert store.write(record_runs, "alice", first, run_ids(first), LATE) == {
        ride.attempt_id for ride in first.attempts
    }
    store.write(mark_unanswered, "alice", second, after(999), "ReadTimeout")
    assert whole(engine) == before


def test_what_the_rescuer_closed_stays_closed(store: Store, engine: Engine) -> None:
    batch, _, attempts = rescued(store)
    apply_poll(store, "bob", [success(attempt, "1") for attempt in attempts], [], LATE)
    before = whole(engine)
    assert (
        apply_poll(store, "alice", [success(attempt, "2") for attempt in attempts], [], LATE) == []
    )
    assert whole(engine) == before
    assert [job.result for job in finished_jobs(store, batch.id)] == ["1", "1"]


def test_a_zombie_learns_that_its_lease_is_lost(store: Store, engine: Engine) -> None:
    batch, _, attempts = rescued(store)
    apply_poll(store, "bob", [success(attempts[0])], [], LATE)
    before = whole(engine)
    with pytest.raises(LeaseLost):
        store.write(renew_lease, "alice", after(1000))
    with pytest.raises(LeaseLost):
        claim(store, batch, "alice", now=LATE)
    with pytest.raises(LeaseLost):
        store.write(rescue_attempts, "alice", FIRST, after(1000), exited=["bob"])
    assert whole(engine) == before


def test_an_owner_that_the_database_does_not_know_is_told_so(store: Store) -> None:
    batch = begin(store, 2)
    with pytest.raises(OwnerForgotten):
        store.write(renew_lease, "nobody", after(1000))
    with pytest.raises(OwnerForgotten):
        claim(store, batch, "nobody")


def test_a_late_sleeper_that_nobody_missed_goes_on(store: Store) -> None:
    batch = begin(store, 2)
    attempts = start(store, batch)
    store.write(renew_lease, "alice", after(9_000))
    decisions = [success(attempt) for attempt in attempts]
    assert apply_poll(store, "alice", decisions, [], after(9_000)) == decisions


def test_standing_tells_ones_own_attempts_from_others(store: Store) -> None:
    batch = begin(store, 4, concurrency=3)
    start(store, batch)
    enlist(store, "bob")
    assert store.read(work_left, "bob", batch.id).in_flight_elsewhere == 3
    standing = store.read(work_left, "alice", batch.id)
    assert (standing.in_flight_here, standing.in_flight_elsewhere, standing.due_at) == (3, 0, NOW)


def test_a_rescuer_leaves_other_batches_to_those_who_work_on_them(store: Store) -> None:
    one = begin(store, 2)
    two = store.write(load_jobs, job_file(2, name="other"), NOW).batch
    start(store, one, "alice")
    enlist(store, "bob", "carol", now=LATE)
    claim(store, two, "bob", now=LATE)  # bob works on the other batch
    store.write(rescue_attempts, "bob", two.id, LATE)
    store.write(
        rescue_attempts, "carol", one.id, LATE
    )  # carol is the next to work on the first one
    assert len(store.read(runs_in_flight, "carol", one.id)) == 2
    assert len(rides(s for s, _, _ in store.read(unanswered_submissions, "carol", one.id))) == 0


def test_the_databases_time_does_not_go_back_when_the_machines_clock_does(store: Store) -> None:
    later = store.read(store_time, NOW) + timedelta(hours=1)
    enlist(store, "alice", now=later)
    assert store.read(store_time, NOW) == later
    store.write(renew_lease, "alice", later + timedelta(seconds=20))
    assert store.read(store_time, NOW) == later + timedelta(seconds=20)


def test_the_databases_time_is_the_servers_where_there_is_one(store: Store, engine: Engine) -> None:
    with engine.connect() as tx:
        server = engine.dialect.name == "postgresql"
        clock = tx.execute(text("SELECT clock_timestamp()")).scalar_one() if server else NOW
    assert timedelta(0) <= store.read(store_time, NOW) - clock < timedelta(minutes=1)


def test_leases_are_measured_up_to_the_moment_that_surely_passed(store: Store) -> None:
    batch = begin(store, 1)
    start(store, batch)
    enlist(store, "bob", now=LATE)
    assert len(store.write(rescue_attempts, "bob", FIRST, LATE, lease_cutoff=NOW)) == 0
    assert len(store.write(rescue_attempts, "bob", FIRST, LATE, lease_cutoff=LATE)) == 1


def test_others_are_those_who_have_not_retired(store: Store) -> None:
    enlist(store, "alice", "bob", "carol")
    store.write(end_owner, "carol", NOW)
    assert store.read(other_owners, "alice") == [(owner("bob"), NOW + LEASE)]


def test_an_answer_that_proves_wrong_in_other_hands_is_searched_for_there(store: Store) -> None:
    _, submission, attempts = rescued(store)
    swapped = {attempts[0].attempt_id: attempts[1].run_id}
    store.write(reassign_runs, "bob", {submission.id: swapped}, LATE)
    [(doubted, _, _)] = store.read(unanswered_submissions, "bob", FIRST)
    assert [ride.attempt_id for ride in doubted.attempts] == [attempts[1].attempt_id]
