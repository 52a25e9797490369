"""What attempts tell of hosts: learned with their verdicts, by all runners together."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from sqlalchemy import select

from batchrunner.model import (
    FailureCategory,
    Finish,
    JobState,
    Lesson,
    OpenAttempt,
    Retry,
    Rule,
    Verdict,
)
from batchrunner.policy.ladders import CLOSED_AFTER, is_probe
from batchrunner.schema import SubmissionState, attempts, hosts
from batchrunner.store import Store
from batchrunner.store.database import Database
from tests.fakes import (
    NOW,
    begin,
    claim,
    enlist,
    failed,
    job_file,
    postpone,
    rides,
    run,
    spec,
    start,
)

BLOCKED = FailureCategory.BLOCKED
STEALTH = {"browser_profile": "stealth"}
#: Keys of jobs that do not look whether their host has become easier.
STEADY = [key for n in range(400) if not is_probe(key := f"job-{n:03}")]


def judged(attempt: OpenAttempt, *, passed: bool) -> Verdict:
    """Say what a run brought, with what that tells of its host, as the policy does."""
    failure = failed(BLOCKED)
    rungs = {BLOCKED: attempt.job.rungs.get(BLOCKED, 0) + 1}
    lesson = Lesson(
        host="shop.example",
        ladder=attempt.job.ladders[BLOCKED],
        rung=attempt.job.rungs.get(BLOCKED, 0),
        passed=passed,
    )
    end = Finish(state=JobState.SUCCEEDED)
    seen = run(attempt.run_id, result="{}")
    transition = end if passed else Retry(at=NOW, failure=failure, rungs=rungs)
    return Verdict(attempt=attempt, transition=transition, run=seen, lessons=(lesson,))


def known(database: Database) -> dict[int, tuple[int, int, int]]:
    with database.read() as tx:
        rows = tx.execute(select(hosts)).all()
    return {row.rung: (row.passed, row.failed, row.in_row) for row in rows}


def test_a_wall_leads_the_job_up_and_is_told_by_its_attempts(
    store: Store, database: Database
) -> None:
    batch = begin(store, [spec(STEADY[0])])
    (attempt,) = start(store, batch)
    assert attempt.job.rungs == {}
    store.apply("alice", [judged(attempt, passed=False)], [], NOW)
    (ride,) = rides(claim(store, batch))
    assert (ride.options, ride.changes) == (STEALTH, STEALTH)
    assert (ride.job.failures, ride.job.met, ride.job.rungs) == (1, {BLOCKED: 1}, {BLOCKED: 1})
    with database.read() as tx:
        rows = tx.execute(select(attempts).order_by(attempts.c.number)).all()
    assert [json.loads(row.changes or "{}") for row in rows] == [{}, STEALTH]
    assert [json.loads(row.rungs) for row in rows] == [{}, {"blocked": 1}]
    (told,) = store.failures(batch.id, final=False, most=9)
    assert told.changes == {}


def test_an_attempt_in_doubt_still_knows_what_it_runs_with(store: Store) -> None:
    batch = begin(store, [spec(STEADY[0])])
    (attempt,) = start(store, batch)
    store.apply("alice", [judged(attempt, passed=False)], [], NOW)
    (submission,) = claim(store, batch)
    store.doubt("alice", submission, NOW, "ReadTimeout")
    ((doubted, _, _),) = store.unanswered("alice", batch.id)
    assert doubted.rides[0].changes == STEALTH
    assert doubted.rides[0].job.rungs == {BLOCKED: 1}


def test_a_late_run_is_told_with_the_options_that_it_was_made_with(store: Store) -> None:
    batch = begin(store, [spec(STEADY[0])])
    (attempt,) = start(store, batch)
    store.apply("alice", [judged(attempt, passed=False)], [], NOW)
    (submission,) = claim(store, batch)
    (ride,) = submission.rides
    verdict = postpone(ride, category=FailureCategory.UNREACHABLE)
    store.settle("alice", submission, SubmissionState.ABSENT, [verdict], NOW, "no run", NOW)
    runs = {ride.attempt_id: "run-late"}
    assert store.take_in("alice", batch.id, submission, runs, NOW) == 1
    (adopted,) = store.watched("alice", batch.id)
    assert (adopted.job.attempt, adopted.job.rungs) == (3, {BLOCKED: 1})
    assert adopted.job.ladders == ride.job.ladders
    store.apply("alice", [judged(adopted, passed=True)], [], NOW)
    (finished,) = store.finished(batch.id)
    assert finished.changes == STEALTH


def test_a_host_that_needs_no_ladder_is_not_written_down(store: Store, database: Database) -> None:
    batch = begin(store, [spec(key) for key in STEADY[:5]])
    store.apply("alice", [judged(each, passed=True) for each in start(store, batch)], [], NOW)
    assert known(database) == {}


def test_new_jobs_of_a_host_start_where_others_got_through(
    store: Store, database: Database
) -> None:
    specs = [spec(key) for key in STEADY[:8]]
    batch = begin(store, specs, concurrency=CLOSED_AFTER)
    store.apply("alice", [judged(each, passed=False) for each in start(store, batch)], [], NOW)
    assert known(database) == {0: (0, CLOSED_AFTER, CLOSED_AFTER)}
    first, *_ = start(store, batch)
    store.apply("alice", [judged(first, passed=True)], [], NOW)
    assert known(database)[1] == (1, 0, 0)
    (ride,) = rides(claim(store, batch))
    assert ride.job.attempt == 1, "a job that was never tried"
    assert ride.changes == STEALTH


def test_a_success_below_ends_a_row_of_failures(store: Store, database: Database) -> None:
    batch = begin(store, [spec(key) for key in STEADY[:5]])
    opened = start(store, batch)
    store.apply("alice", [judged(each, passed=False) for each in opened[:3]], [], NOW)
    store.apply("alice", [judged(opened[3], passed=True)], [], NOW)
    assert known(database) == {0: (1, 3, 0)}
    store.apply("alice", [judged(opened[4], passed=False)], [], NOW)
    assert known(database) == {0: (1, 4, 1)}


def test_a_verdict_of_a_zombie_teaches_nothing(store: Store, database: Database) -> None:
    batch = begin(store, [spec(STEADY[0])])
    (attempt,) = start(store, batch)
    enlist(store, "bob")
    store.rescue("bob", batch.id, NOW, gone=["alice"])
    assert store.apply("alice", [judged(attempt, passed=False)], [], NOW) == []
    assert known(database) == {}


def test_a_retry_by_the_user_begins_at_the_bottom(store: Store, database: Database) -> None:
    batch = begin(store, [spec(STEADY[0])])
    (attempt,) = start(store, batch)
    store.apply("alice", [judged(attempt, passed=False)], [], NOW)
    store.cancel(batch.id, [], NOW)
    assert store.retry(batch.id, [], [STEADY[0]], NOW) == 1
    (ride,) = rides(claim(store, batch))
    assert (ride.changes, ride.job.met) == ({}, {})


def test_rules_of_the_newest_load_count(store: Store) -> None:
    rule = Rule(attempts=2, then=(STEALTH,), wait=None)
    batch = begin(store, [spec("a", policy={BLOCKED: rule})], policy={BLOCKED: Rule(attempts=7)})
    assert batch.settings.policy == {BLOCKED: Rule(attempts=7)}
    newer = {FailureCategory.LOST: Rule(attempts=1)}
    store.load(job_file([spec("a", policy=newer)]), NOW)
    (ride,) = rides(claim(store, batch))
    assert ride.job.policy == newer
    again = store.batch(batch.name)
    assert again is not None
    assert again.settings.policy == {}


@pytest.mark.parametrize("passed", [False, True])
def test_runners_that_learn_at_once_neither_lose_a_count_nor_wait_for_each_other(
    store: Store, address: str, database: Database, passed: bool
) -> None:
    workers, each = 6, 20
    specs = [spec(key, url=f"https://host-{n % 5}.example/") for n, key in enumerate(STEADY[:120])]
    batch = begin(store, specs, concurrency=workers * each)
    opened = start(store, batch)
    enlist(store, *(f"w{n}" for n in range(workers)))
    with database.write() as tx:
        tx.execute(attempts.update().values(rungs='{"blocked":1}'))
        for n in range(workers):
            mine = attempts.c.id.in_([attempt.attempt_id for attempt in opened[n::workers]])
            tx.execute(attempts.update().where(mine).values(owner_id=f"w{n}"))
    barrier = Barrier(workers)

    def work(n: int) -> int:
        applied = 0
        with closing(Store.open(address)) as mine:
            watched = mine.watched(f"w{n}", batch.id)
            ordered = watched if n % 2 else watched[::-1]
            barrier.wait()
            for at in range(0, each, 5):
                verdicts = [
                    Verdict(
                        attempt=attempt,
                        transition=judged(attempt, passed=passed).transition,
                        run=run(attempt.run_id, result="{}"),
                        lessons=(
                            Lesson(
                                host=attempt.url[8:-1],
                                ladder=attempt.job.ladders[BLOCKED],
                                rung=1,
                                passed=passed,
                            ),
                        ),
                    )
                    for attempt in ordered[at : at + 5]
                ]
                applied += len(mine.apply(f"w{n}", verdicts, [], NOW))
        return applied

    with ThreadPoolExecutor(workers) as pool:
        assert sum(pool.map(work, range(workers))) == workers * each
    with database.read() as tx:
        rows = tx.execute(select(hosts)).all()
    assert len(rows) == 5
    assert sum(row.passed if passed else row.failed for row in rows) == workers * each
    assert sum(row.in_row for row in rows) == (0 if passed else workers * each)
