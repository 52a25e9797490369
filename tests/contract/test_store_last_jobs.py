"""The last jobs of a batch: when they are few, and which of them a claim takes first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import update

from batchrunner.model import (
    AUTO,
    Batch,
    Budget,
    Canary,
    HostRule,
    JobSpec,
    JobState,
)
from batchrunner.policy.longest_first import LastJob
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import bind_to_api
from batchrunner.store.claims import claim_jobs
from batchrunner.store.last_jobs import last_jobs, past_durations
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from tests.fakes import NOW, after, begin, claim, run, spec, start, success


def named(*keys: str) -> list[JobSpec]:
    return [spec(key, url=f"http://{key[0]}.test/{key}") for key in keys]


def claimed(
    store: Store,
    batch: Batch,
    first: Sequence[LastJob],
    now: datetime = NOW,
) -> list[str]:
    """Return the keys of the jobs that a claim takes, in their order."""
    found = store.write(
        claim_jobs, "alice", batch.id, 100, now, first=first, new_token=store.new_token
    )
    return [attempt.job.key for submission in found for attempt in submission.attempts]


def set_jobs(store: Store, *keys: str, **values: object) -> None:
    changed = update(jobs).where(jobs.c.key.in_(keys)).values(**values)
    store.write(lambda tx: tx.execute(changed))


def reversed_jobs(store: Store, batch: Batch) -> list[LastJob]:
    return list(reversed(store.read(last_jobs, batch.id).jobs))


def test_the_last_jobs_are_at_most_ten_for_each_slot(store: Store) -> None:
    batch = begin(store, named(*(f"a{n:02}" for n in range(21))), concurrency=2)
    assert store.read(last_jobs, batch.id).jobs == ()
    claim(store, batch)
    last = store.read(last_jobs, batch.id)
    assert (last.bound, len(last.jobs)) == (2, 19)
    assert [job.host for job in last.jobs] == ["a.test"] * 19
    ids = [job.id for job in last.jobs]
    assert ids == sorted(ids)


def test_with_automatic_concurrency_the_slots_are_those_that_were_learned(store: Store) -> None:
    batch = begin(store, named(*(f"a{n:02}" for n in range(41))), concurrency=AUTO)
    assert store.read(last_jobs, batch.id).jobs == ()  # four slots, until more are known


def test_with_a_budget_the_file_decides_which_jobs_come_first(store: Store) -> None:
    batch = begin(store, named("a", "b"), budget=Budget(steps=1000))
    assert store.read(last_jobs, batch.id).jobs == ()


def test_a_claim_takes_the_first_jobs_and_then_others_in_file_order(store: Store) -> None:
    batch = begin(store, named("a", "b", "c", "d", "e"), concurrency=4)
    by_key = dict(zip("abcde", store.read(last_jobs, batch.id).jobs, strict=True))
    assert claimed(store, batch, [by_key["e"], by_key["c"]]) == ["e", "c", "a", "b"]


def test_a_claim_takes_no_more_than_there_is_room_for(store: Store) -> None:
    batch = begin(store, named("a", "b", "c"), concurrency=2)
    first = reversed_jobs(store, batch)
    assert claimed(store, batch, first) == ["c", "b"]
    assert claimed(store, batch, first) == []


def test_the_first_jobs_are_only_those_that_any_claim_may_take(store: Store) -> None:
    batch = begin(store, named("a", "b", "c", "d", "e"), concurrency=10)
    first = reversed_jobs(store, batch)
    set_jobs(store, "e", available_at=after(60))
    set_jobs(store, "d", unconfirmed=True)
    set_jobs(store, "c", state=JobState.CANCELLED, finished_at=NOW)
    assert claimed(store, batch, first) == ["b", "a"]
    assert claimed(store, batch, first, now=after(61)) == ["e"]


def test_the_first_jobs_are_never_those_of_another_batch(store: Store) -> None:
    other = begin(store, named("a"), name="other")
    first = reversed_jobs(store, other)
    batch = begin(store, named("b"))
    assert claimed(store, batch, first) == ["b"]


def test_no_host_gets_more_jobs_than_its_rule_says(store: Store) -> None:
    rules = {"*": HostRule(concurrency=2)}
    batch = begin(store, named("a1", "b1", "a2", "b2", "b3", "b4"), hosts=rules)
    assert claimed(store, batch, reversed_jobs(store, batch)) == ["b4", "b3", "a2", "a1"]
    assert claimed(store, batch, reversed_jobs(store, batch)) == []


def test_until_the_canary_has_passed_only_its_jobs_run(store: Store) -> None:
    batch = begin(store, named("a", "b", "c"), canary=Canary(jobs=1))
    assert claimed(store, batch, reversed_jobs(store, batch)) == ["a"]


def test_a_part_has_last_jobs_of_its_own(store: Store) -> None:
    batch = begin(store, named(*(f"a{n:02}" for n in range(21))), concurrency=1)
    set_jobs(store, "a05", "a09", part=True)
    last = store.read(last_jobs, batch.id, part=True)
    assert len(last.jobs) == 2
    everything = [LastJob(id, "a.test") for id in range(1, 22)]
    found = store.write(
        claim_jobs,
        "alice",
        batch.id,
        100,
        NOW,
        part=True,
        first=everything,
        new_token=store.new_token,
    )
    assert [each.job.key for one in found for each in one.attempts] == ["a05"]


def test_earlier_runs_on_the_same_api_show_how_long_a_host_takes(store: Store) -> None:
    origin, minute = "https://api.test", timedelta(minutes=1)
    earlier = begin(store, named("a", "b"), name="earlier")
    store.write(bind_to_api, earlier.id, origin)
    first, second = start(store, earlier)
    ended = success(first, started_at=NOW, finished_at=NOW + minute)
    apply_poll(store, "alice", [ended], [], after(100))
    apply_poll(store, "alice", [], [(second, run(second.run_id))], after(10))
    batch = begin(store, named("c"))
    assert store.read(past_durations, batch.id) == []
    store.write(bind_to_api, batch.id, origin)
    assert store.read(past_durations, batch.id) == [("a.test", minute)]
