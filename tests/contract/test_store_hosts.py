"""What hosts may get, which of them are parked, the canary and the queue, on every database."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from batchrunner.model import (
    AUTO,
    AttemptDecision,
    Canary,
    FailureCategory,
    HostResult,
    HostRule,
    JobSpec,
    JobState,
    OpenAttempt,
    RunStatus,
)
from batchrunner.model.hosts import MAX_PROBES, host_of
from batchrunner.policy.host_breaker import FIRST_PARK, PARK_AFTER_FAILURES
from batchrunner.policy.slots import FIRST_CONCURRENCY, QUEUE_LAG, SlotUsage
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import parked_hosts
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import resume_batch, set_concurrency
from batchrunner.store.host_breaker import unpark_hosts
from batchrunner.store.reports import batch_counts, work_left
from batchrunner.store.slot_usage import slot_usage, store_learned_concurrency
from batchrunner.store.store import Store
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    enlist,
    failure,
    job_file,
    rides,
    run,
    spec,
    start,
    success,
)

GOAL = FailureCategory.GOAL_FAILURE


def specs(*hosts: str, each: int = 3) -> list[JobSpec]:
    """Return so many jobs on each host, host by host."""
    return [spec(f"{host}-{n}", url=f"https://{host}/{n}") for host in hosts for n in range(each)]


def claimed_hosts(store: Store, batch: object, **more: object) -> Counter[str]:
    return Counter(host_of(ride.url) for ride in rides(claim(store, batch, **more)))  # type: ignore[arg-type]


def with_host_result(
    decision: AttemptDecision, *, passed: bool, opened: float = 0
) -> AttemptDecision:
    host = host_of(decision.attempt.url)
    result = HostResult(
        host=host, passed=passed, opened_at=after(opened), park_after=PARK_AFTER_FAILURES
    )
    return replace(decision, host_result=result)


def break_host(store: Store, watched: list[OpenAttempt], now: float = 0) -> None:
    """Let attempts fail in a way that speaks against their hosts."""
    decisions = [
        with_host_result(failure(each, GOAL), passed=False, opened=now) for each in watched
    ]
    assert apply_poll(store, "alice", decisions, [], after(now))


def test_a_host_gets_no_more_than_its_bound_and_others_go_in_its_place(store: Store) -> None:
    rules = {"a.test": HostRule(concurrency=1)}
    batch = begin(store, specs("a.test", "b.test", each=5), concurrency=4, hosts=rules)
    assert claimed_hosts(store, batch) == {"a.test": 1, "b.test": 3}
    batch = store.write(
        load_jobs, job_file(specs("a.test", "c.test"), name="more", hosts=rules), NOW
    ).batch
    assert claimed_hosts(store, batch) == {"a.test": 1, "c.test": 3}, "bounds are a batch's own"


def test_far_more_jobs_of_a_full_host_than_fit_a_page_hide_nobody_behind_them(store: Store) -> None:
    rules = {"*": HostRule(concurrency=2)}
    jobs = [*specs("a.test", "b.test", "c.test", each=120), *specs("d.test", each=1)]
    batch = begin(store, jobs, concurrency=100, hosts=rules)
    assert claimed_hosts(store, batch) == {"a.test": 2, "b.test": 2, "c.test": 2, "d.test": 1}
    assert claim(store, batch, now=after(1)) == []


def test_a_spaced_host_is_due_again_only_after_its_time(store: Store) -> None:
    rules = {"a.test": HostRule(spacing=timedelta(seconds=10))}
    batch = begin(store, specs("a.test", each=3), hosts=rules)
    (first,) = start(store, batch)
    assert apply_poll(store, "alice", [success(first)], [], after(1))
    assert claim(store, batch, now=after(9)) == [], "its last run has ended, but not long ago"
    assert claimed_hosts(store, batch, now=after(10)) == {"a.test": 1}


def test_a_host_is_parked_probed_by_one_and_back_after_a_success(store: Store) -> None:
    batch = begin(
        store, specs("a.test", each=PARK_AFTER_FAILURES + 5) + specs("b.test"), concurrency=10
    )
    break_host(store, start(store, batch))
    (parked,) = store.read(parked_hosts, batch.id)
    assert (parked.host, parked.failures, parked.waiting) == ("a.test", PARK_AFTER_FAILURES, 5)
    assert parked.probe_at == NOW + FIRST_PARK
    assert claimed_hosts(store, batch, now=after(5)) == {"b.test": 3}
    due = FIRST_PARK.total_seconds()
    assert claim(store, batch, now=after(due - 1)) == []
    enlist(store, "alice", now=after(due))
    probe = next(each for each in start(store, batch, now=after(due)) if "a.test" in each.url)
    assert claim(store, batch, now=after(due + 60)) == [], "a second probe beside the first"
    back = with_host_result(success(probe), passed=True, opened=due)
    assert apply_poll(store, "alice", [back], [], after(due + 61))
    assert store.read(parked_hosts, batch.id) == []
    assert claimed_hosts(store, batch, now=after(due + 62)) == {"a.test": 4}


def test_after_enough_probes_in_vain_nobody_waits_and_new_jobs_elsewhere_change_that(
    store: Store,
) -> None:
    jobs = specs("a.test", each=PARK_AFTER_FAILURES + MAX_PROBES + 3)
    batch = begin(store, jobs, concurrency=PARK_AFTER_FAILURES)
    break_host(store, start(store, batch))
    for _ in range(MAX_PROBES):
        assert not store.read(work_left, "alice", batch.id).given_up
        (parked,) = store.read(parked_hosts, batch.id)
        due = (parked.probe_at - NOW).total_seconds()
        enlist(store, "alice", now=after(due))
        break_host(store, start(store, batch, now=after(due)), due)
    standing = store.read(work_left, "alice", batch.id)
    assert standing.given_up
    assert standing.due_at is not None, "its jobs are still to be done"
    store.write(load_jobs, job_file([*jobs, spec("b", url="https://b.test/")]), NOW)
    assert not store.read(work_left, "alice", batch.id).given_up


def test_a_parked_host_can_be_let_go_by_name(store: Store) -> None:
    batch = begin(
        store, specs("a.test", each=PARK_AFTER_FAILURES + 1), concurrency=PARK_AFTER_FAILURES
    )
    break_host(store, start(store, batch))
    assert store.write(unpark_hosts, batch.id, ["b.test"]) == 0
    assert store.write(unpark_hosts, batch.id, ["a.test"]) == 1
    assert claimed_hosts(store, batch, now=after(1)) == {"a.test": 1}


def test_failures_told_by_two_runners_add_up(store: Store) -> None:
    batch = begin(
        store, specs("a.test", each=PARK_AFTER_FAILURES + 1), concurrency=PARK_AFTER_FAILURES
    )
    watched = start(store, batch)
    break_host(store, watched[:4])
    break_host(store, watched[4:9], 1)
    assert store.read(parked_hosts, batch.id) == []
    break_host(store, watched[9:], 2)
    (parked,) = store.read(parked_hosts, batch.id)
    assert (parked.failures, parked.since) == (PARK_AFTER_FAILURES, after(2))


# ---- the canary ----

CANARY = Canary(jobs=4, success_rate=Decimal("0.75"))


def test_only_the_canary_goes_until_all_of_it_has_ended(store: Store) -> None:
    batch = begin(store, specs("a.test", "b.test", each=10), canary=CANARY, concurrency=50)
    watched = start(store, batch)
    assert Counter(host_of(each.url) for each in watched) == {"a.test": 2, "b.test": 2}
    assert apply_poll(store, "alice", [success(each) for each in watched[:3]], [], after(1))
    assert claim(store, batch, now=after(2)) == []
    assert apply_poll(store, "alice", [failure(watched[3])], [], after(3))
    assert len(rides(claim(store, batch, now=after(4)))) == 16


def test_a_canary_that_brings_too_little_pauses_the_batch_until_it_is_resumed(store: Store) -> None:
    batch = begin(store, specs("a.test", "b.test", each=10), canary=CANARY, concurrency=50)
    watched = start(store, batch)
    decisions = [success(watched[0]), success(watched[1]), *map(failure, watched[2:])]
    assert apply_poll(store, "alice", decisions, [], after(1))
    assert claim(store, batch, now=after(2)) == []
    standing = store.read(work_left, "alice", batch.id)
    assert standing.canary_failed
    assert standing.pause is not None
    assert standing.pause.reason is not None
    assert "2 of 4 jobs succeeded (50%)" in standing.pause.reason
    assert store.write(resume_batch, batch.id, after(3))
    assert not store.read(work_left, "alice", batch.id).canary_failed
    assert len(rides(claim(store, batch, now=after(4)))) == 16


def test_jobs_that_are_added_later_need_no_canary_of_their_own(store: Store) -> None:
    batch = begin(store, specs("a.test", each=4), canary=CANARY)
    watched = start(store, batch)
    assert apply_poll(store, "alice", [success(each) for each in watched], [], after(1))
    more = [*specs("a.test", each=4), *specs("b.test", each=5)]
    store.write(load_jobs, job_file(more, canary=CANARY), after(2))
    assert len(rides(claim(store, batch, now=after(3)))) == 5


# ---- the queue ----


def test_a_batch_that_finds_its_bound_itself_begins_with_a_few(store: Store) -> None:
    batch = begin(store, 50, concurrency=AUTO)
    assert len(rides(claim(store, batch))) == FIRST_CONCURRENCY
    store.write(store_learned_concurrency, batch.id, 20)
    assert len(rides(claim(store, batch, now=after(1)))) == 20 - FIRST_CONCURRENCY
    store.write(set_concurrency, batch.id, 22)
    assert len(rides(claim(store, batch, now=after(2)))) == 2
    assert store.read(slot_usage, batch.id, NOW) is None, "the user has said how many"


def look(store: Store, watched: list[OpenAttempt], running: int, seconds: float) -> None:
    """Write a look that saw the first runs RUNNING and the others PENDING."""
    seen = [
        (each, run(each.run_id, RunStatus.RUNNING if n < running else RunStatus.PENDING))
        for n, each in enumerate(watched)
    ]
    apply_poll(store, "alice", [], seen, after(seconds))


def test_the_queue_tells_those_that_wait_from_those_that_were_only_just_submitted(
    store: Store,
) -> None:
    batch = begin(store, 9, concurrency=AUTO)
    store.write(store_learned_concurrency, batch.id, 9)
    watched = start(store, batch)
    look(store, watched, 6, 1)
    lag = QUEUE_LAG.total_seconds()
    assert store.read(slot_usage, batch.id, after(lag - 1)) == (
        SlotUsage(running=6, fresh=3, waiting=0),
        9,
    )
    assert store.read(slot_usage, batch.id, after(lag)) == (
        SlotUsage(running=6, fresh=0, waiting=3),
        9,
    )


def test_a_run_that_others_have_passed_by_is_stuck_and_not_waiting(store: Store) -> None:
    batch = begin(store, 5, concurrency=AUTO)
    store.write(store_learned_concurrency, batch.id, 1)
    (stuck,) = start(store, batch)
    store.write(store_learned_concurrency, batch.id, 5)
    later = start(store, batch, now=after(60))
    ordered = [*(each for each in later if each.run_id != stuck.run_id), stuck]
    look(store, ordered, 4, 61)
    found = store.read(slot_usage, batch.id, after(600))
    assert found == (SlotUsage(running=4, fresh=0, waiting=0, stuck=1), 5)
    assert store.read(batch_counts, batch.id).jobs[JobState.RUNNING] == 5
