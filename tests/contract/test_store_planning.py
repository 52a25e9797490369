"""What a plan reads: the jobs that would run after a load, and the jobs of the past."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import update

from batchrunner.model import Budget, FailureCategory, JobFile, Settings
from batchrunner.model.comparison import EditDecision
from batchrunner.model.forecast import JobGroup, SampledAttempt
from batchrunner.model.places import FileSample
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import bind_to_api, load_jobs
from batchrunner.store.edits import rerun_jobs
from batchrunner.store.holdings import holdings
from batchrunner.store.part import choose_part
from batchrunner.store.past_jobs import past_jobs
from batchrunner.store.planning import Again, open_jobs, planned_load
from batchrunner.store.schema import attempts
from batchrunner.store.store import Store
from tests.contract.test_store_part import limit
from tests.fakes import NOW, after, begin, failure, job_file, retry, spec, start, success

API = "https://api.example"
RERUN = EditDecision(run_changed=True, withdraw=True)


def alike(groups: Iterable[JobGroup]) -> Counter[tuple[str, int]]:
    found = Counter[tuple[str, int]]()
    for group in groups:
        found[group.host, group.once] += group.count
    return found


def hosts(groups: Iterable[JobGroup]) -> Iterator[str]:
    for group in groups:
        yield from [group.host] * group.count


def count(groups: Iterable[JobGroup]) -> int:
    return sum(group.count for group in groups)


def edited(keys: Iterable[str], changed: Iterable[str] = ()) -> JobFile:
    slow = {"agent_config": {"max_steps": 9}}
    return job_file(
        [
            spec(key, goal="Get the new price", options=slow) if key in changed else spec(key)
            for key in keys
        ]
    )


@pytest.mark.sweep
@pytest.mark.parametrize("run_changed", [True, False])
def test_a_plan_names_the_jobs_that_run_after_the_load(store: Store, run_changed: bool) -> None:
    batch = begin(store, [spec(key) for key in "abcdefgh"], concurrency=5)
    store.write(bind_to_api, batch.id, API)
    runs = start(store, batch)
    apply_poll(store, "alice", [success(run) for run in runs[:4]], [], NOW)
    # a to d are done, e is in flight, f to h wait; g and h leave the file, i and j are new.
    file = edited("abcdefij", changed="bcf")
    decision = EditDecision(run_changed=run_changed, withdraw=True)
    planned = store.trial(planned_load, file, API, decision, NOW)
    counts = (planned.comparison.new, planned.comparison.changed, planned.comparison.withdrawn)
    assert counts == (2, 3, 2)
    store.write(load_jobs, file, NOW, decision)
    groups, means = store.read(open_jobs, batch.id, NOW)
    assert alike(planned.groups) == alike(groups)
    assert (planned.means.slots, means.slots) == (10, 10), "as the file says now"


@pytest.mark.parametrize("again", [Again(), Again(keys=("b", "d")), Again(finished_before=NOW)])
@pytest.mark.parametrize("run_changed", [True, False])
def test_a_plan_counts_the_jobs_that_are_asked_to_run_again(
    store: Store, run_changed: bool, again: Again
) -> None:
    batch = begin(store, [spec(key) for key in "abcdef"], concurrency=5)
    store.write(bind_to_api, batch.id, API)
    runs = start(store, batch)
    apply_poll(store, "alice", [success(run) for run in runs[:4]], [], NOW)
    store.write(load_jobs, edited("bcdef"), NOW, RERUN)  # a is withdrawn, and comes back
    file, decision = edited("abdeg", changed="be"), replace(RERUN, run_changed=run_changed)
    planned = store.trial(planned_load, file, API, decision, NOW, again)
    store.write(load_jobs, file, NOW, decision)
    chosen = {"keys": again.keys, "finished_before": again.finished_before}
    store.write(rerun_jobs, batch.id, NOW, **chosen)
    assert Counter(hosts(planned.groups)) == Counter(hosts(store.read(open_jobs, batch.id, NOW)[0]))


def test_a_result_that_an_undone_edit_brings_back_can_run_again(store: Store) -> None:
    batch = begin(store, [spec("a")])
    store.write(bind_to_api, batch.id, API)
    apply_poll(store, "alice", [success(run) for run in start(store, batch)], [], NOW)
    store.write(load_jobs, edited("a", changed="a"), NOW, RERUN)
    for again, jobs in ((None, 0), (Again(), 1)):
        planned = store.trial(planned_load, edited("a"), API, RERUN, NOW, again)
        assert count(planned.groups) == jobs


def test_a_plan_of_a_new_batch_knows_the_account(store: Store) -> None:
    batch = begin(store, 2)
    store.write(bind_to_api, batch.id, API)
    planned = store.trial(planned_load, job_file(3, name="other"), API, RERUN, NOW)
    assert (planned.comparison.new, count(planned.groups)) == (3, 3)


def test_a_part_alone_is_what_a_partial_run_pays_for(store: Store) -> None:
    batch = begin(store, 5)
    store.write(choose_part, batch.id, limit(2))
    groups, _ = store.read(open_jobs, batch.id, NOW, part=True)
    assert count(groups) == 2


def test_what_is_used_of_a_budget_is_gone(store: Store) -> None:
    batch = begin(store, 3, budget=Budget(steps=1000))
    (first, *_) = start(store, batch)
    apply_poll(store, "alice", [success(first, steps=70)], [], NOW)
    file = JobFile(
        name="prices", settings=Settings(budget=Budget(steps=2000)), specs=job_file(3).specs
    )
    planned = store.trial(planned_load, file, API, RERUN, NOW)
    assert planned.means.settings.budget == Budget(steps=2000), "the file has another one now"
    assert planned.means.used == 70 + 2 * 150, "what is in flight is reserved"


def test_the_past_has_whole_jobs_with_their_attempts_and_waits(store: Store) -> None:
    batch = begin(store, [spec("a"), spec("b", url="https://other.example/b")], concurrency=9)
    store.write(bind_to_api, batch.id, API)
    first, second = start(store, batch)
    decisions = [retry(first, at=after(90), steps=5), failure(second, steps=3)]
    apply_poll(store, "alice", decisions, [], after(60))
    assert len(store.read(past_jobs, API)) == 1, "a job that goes on is no past"
    (again,) = start(store, batch, now=after(90))
    apply_poll(store, "alice", [success(again, steps=4)], [], after(110))
    other, job = store.read(past_jobs, API)
    broke = FailureCategory.SYSTEM_FAILURE
    assert (other.host, [each.steps for each in other.attempts]) == ("other.example", [3])
    assert job.attempts == (
        SampledAttempt(steps=5, seconds=60.0, failure=broke, wait=30.0),
        SampledAttempt(steps=4, seconds=20.0),
    )
    assert store.read(past_jobs, "https://elsewhere.example") == []


def test_time_in_which_nobody_watched_is_no_part_of_the_past(store: Store) -> None:
    batch = begin(store, 1)
    store.write(bind_to_api, batch.id, API)
    (run,) = start(store, batch)
    seen = {"started_at": after(5), "finished_at": after(25)}
    apply_poll(store, "alice", [success(run, **seen)], [], after(36_000))

    def held() -> float:
        ((attempt,),) = (job.attempts for job in store.read(past_jobs, API))
        return attempt.seconds

    assert held() == 36_000, "where no poll saw it running, nobody knows"
    store.write(lambda tx: tx.execute(update(attempts).values(seen_running_at=after(5))))
    assert held() == 25, "it was submitted, ran for 20 s, and was read ten hours later"


def test_batches_that_have_run_the_jobs_of_a_file_are_found(store: Store) -> None:
    batch = begin(store, [spec(key) for key in "abcd"], concurrency=2)
    store.write(bind_to_api, batch.id, API)
    sample = FileSample.of(job_file([spec("a"), spec("b", goal="Another"), spec("z")], name="new"))
    assert store.read(holdings, sample, API) == (), "what was only loaded was not paid for"
    start(store, batch)
    (found,) = store.read(holdings, sample, API)
    assert (found.batch, found.same, found.urls) == ("prices", 1, 2)
    assert store.read(holdings, sample, "https://elsewhere.example") == ()
