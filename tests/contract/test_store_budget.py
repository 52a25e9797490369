"""Budgets: what is reserved with a claim, what is spent, and what frees it again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from batchrunner.api_facts.limits import DEFAULT_STEP_LIMIT, MAX_STEPS
from batchrunner.model import (
    Batch,
    Budget,
    BudgetStatus,
    FailureCategory,
    HostRule,
    RateSource,
    RetryRule,
)
from batchrunner.policy.create_outcome import settle_absent, settle_unanswered
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import find_batch, load_jobs
from batchrunner.store.budget import UNCLEAR_AFTER, set_budget, set_step_price
from batchrunner.store.claims import budget_status
from batchrunner.store.orphans import add_orphans, adopt_late_runs, close_orphans
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.store.submissions import mark_unanswered, settle_submission
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    close_as_absent,
    enlist,
    failure,
    job_file,
    postpone,
    retry,
    rides,
    run,
    spec,
    start,
    success,
)


def bounded(key: str, most: int) -> Any:
    return spec(key, options={"agent_config": {"max_steps": most}})


def jobs(count: int, most: int = 10) -> list[Any]:
    return [bounded(f"job-{n:03}", most) for n in range(count)]


def poor(store: Store, steps: int, specs: Any, **settings: Any) -> Batch:
    return begin(store, specs, budget=Budget(steps=steps), concurrency=50, **settings)


def budget_of(store: Store, batch: Batch, seconds: float = 0) -> BudgetStatus:
    found = store.read(budget_status, batch.id, after(seconds))
    assert found is not None
    return found


def test_a_claim_reserves_what_its_runs_may_cost_at_most(store: Store) -> None:
    batch = poor(store, 35, jobs(10))
    assert len(rides(claim(store, batch))) == 3
    found = budget_of(store, batch)
    assert (found.spent, found.reserved, found.room, found.needs) == (0, 30, 5, 10)
    assert claim(store, batch) == []
    assert not found.used_up, "what is in flight may free some of it"


def test_the_budget_is_common_to_all_owners(store: Store) -> None:
    batch = poor(store, 35, jobs(10))
    enlist(store, "bob")
    assert len(rides(claim(store, batch, "bob"))) == 3
    assert claim(store, batch, "alice") == []


def test_what_a_run_did_not_use_is_free_again_and_what_it_used_is_not(store: Store) -> None:
    batch = poor(store, 30, jobs(10))
    first, second, third = start(store, batch)
    apply_poll(store, "alice", [success(first, steps=4), success(second, steps=10)], [], NOW)
    found = budget_of(store, batch)
    assert (found.spent, found.reserved, found.room) == (14, 10, 6)
    assert claim(store, batch) == []
    apply_poll(store, "alice", [success(third, steps=0)], [], NOW)
    assert len(rides(claim(store, batch))) == 1


def test_without_max_steps_a_run_is_reckoned_with_what_the_api_lets_it_take(store: Store) -> None:
    batch = poor(store, 2 * DEFAULT_STEP_LIMIT + 1, 10)
    assert len(rides(claim(store, batch))) == 2


def test_a_rung_that_changes_max_steps_changes_what_is_reserved(store: Store) -> None:
    rule = RetryRule(then=({"agent_config": {"max_steps": 90}},))
    policy = {FailureCategory.GOAL_FAILURE: rule}
    batch = poor(store, 100, jobs(1), policy=policy)
    (attempt,) = start(store, batch)
    met = retry(attempt, category=FailureCategory.GOAL_FAILURE, steps=9)
    climbs = replace(met.transition, escalation_steps={FailureCategory.GOAL_FAILURE: 1})
    apply_poll(store, "alice", [replace(met, transition=climbs)], [], NOW)
    assert budget_of(store, batch).needs == 90
    assert len(rides(claim(store, batch))) == 1
    assert budget_of(store, batch).reserved == 90


def test_jobs_are_not_passed_by_for_cheaper_ones_behind_them(store: Store) -> None:
    batch = poor(store, 40, [bounded("a", 10), bounded("b", 100), bounded("c", 10)])
    assert [ride.job.key for ride in rides(claim(store, batch))] == ["a"]


def test_a_refused_submission_reserves_nothing(store: Store) -> None:
    batch = poor(store, 10, jobs(2))
    (submission,) = claim(store, batch)
    decisions = [postpone(ride) for ride in submission.attempts]
    store.write(
        settle_submission, "alice", submission, SubmissionState.REFUSED, decisions, NOW, "refused"
    )
    assert budget_of(store, batch).room == 10


def test_a_submission_in_doubt_stays_reserved_until_it_cannot_turn_up(store: Store) -> None:
    batch = poor(store, 10, jobs(2))
    (submission,) = claim(store, batch)
    store.write(mark_unanswered, "alice", submission, NOW, "no answer")
    assert budget_of(store, batch).reserved == 10
    decisions = settle_absent(submission, NOW)
    close_as_absent(store, submission, decisions, late_check_at=after(60))
    assert budget_of(store, batch).reserved == 10
    assert claim(store, batch) == []
    later = UNCLEAR_AFTER / timedelta(seconds=1)
    assert budget_of(store, batch, later - 0.001).reserved == 10
    assert budget_of(store, batch, later).reserved == 0
    assert len(rides(claim(store, batch, now=after(later)))) == 1


def test_a_run_that_nobody_can_tell_of_counts_at_its_worst_for_good(store: Store) -> None:
    batch = poor(store, 25, jobs(3))
    (submission,) = claim(store, batch)
    decisions = settle_unanswered(submission, "no answer")
    store.write(
        settle_submission,
        "alice",
        submission,
        SubmissionState.UNDECIDED,
        decisions,
        NOW,
        "no answer",
    )
    found = budget_of(store, batch, 1_000_000)
    assert (found.spent, found.unclear, found.reserved) == (0, 20, 0)
    assert found.used_up


@pytest.mark.parametrize("category", [FailureCategory.LOST, FailureCategory.TIMED_OUT])
def test_a_run_that_ended_without_a_bill_counts_at_its_worst(
    store: Store, category: FailureCategory
) -> None:
    batch = poor(store, 10, jobs(2))
    (attempt,) = start(store, batch)
    apply_poll(store, "alice", [failure(attempt, category)], [], NOW)
    found = budget_of(store, batch)
    assert (found.unclear, found.used_up) == (10, True)


def test_an_orphan_counts_at_its_worst_until_its_bill_is_known(store: Store) -> None:
    batch = poor(store, 20, jobs(3))
    (submission,) = claim(store, batch)
    decisions = settle_absent(submission, NOW)
    close_as_absent(store, submission, decisions, late_check_at=after(60))
    store.write(add_orphans, batch.id, submission, ["stray-1", "stray-2"], NOW)
    later = 1_000_000
    assert budget_of(store, batch, later).reserved == 20
    store.write(close_orphans, [("stray-1", run("stray-1", steps=3)), ("stray-2", None)], NOW)
    found = budget_of(store, batch, later)
    assert (found.spent, found.unclear, found.reserved) == (3, 10, 0)


def test_a_run_that_was_adopted_late_is_reserved_as_it_was(store: Store) -> None:
    batch = poor(store, 20, jobs(1))
    (submission,) = claim(store, batch)
    decisions = settle_absent(submission, NOW)
    close_as_absent(store, submission, decisions, late_check_at=after(60))
    runs = {submission.attempts[0].attempt_id: "late"}
    assert store.write(adopt_late_runs, "alice", batch.id, submission, runs, after(70)) == 1
    assert budget_of(store, batch, 1_000_000).reserved == 10


def test_a_run_that_took_more_than_it_may_raises_what_is_reserved_for_all(store: Store) -> None:
    batch = poor(store, 100, jobs(20))
    attempts = start(store, batch)
    apply_poll(store, "alice", [success(attempts[0], steps=14)], [], NOW)
    found = budget_of(store, batch)
    assert (found.reserved, found.needs) == (9 * 14, 14)


def test_attempts_of_an_older_program_count_at_the_most_that_the_api_takes(
    store: Store, engine: Engine
) -> None:
    batch = poor(store, 10_000, jobs(2))
    claim(store, batch)
    with engine.begin() as tx:
        tx.execute(text("UPDATE attempts SET reserved_steps = NULL"))
    assert budget_of(store, batch).reserved == 2 * MAX_STEPS


def test_a_budget_that_is_raised_counts_at_once(store: Store) -> None:
    batch = poor(store, 5, jobs(3))
    assert claim(store, batch) == []
    store.write(set_budget, batch.id, Budget(steps=20))
    assert len(rides(claim(store, batch))) == 2
    store.write(set_budget, batch.id, None)
    assert store.read(budget_status, batch.id, NOW) is None
    assert len(rides(claim(store, batch))) == 1


def test_what_was_set_holds_until_the_file_says_another_budget(store: Store) -> None:
    batch = poor(store, 5, jobs(3))
    store.write(set_budget, batch.id, None)
    same = store.write(
        load_jobs, job_file(jobs(3), budget=Budget(steps=5), concurrency=50), NOW
    ).batch
    assert same.settings.budget is None
    other = store.write(
        load_jobs, job_file(jobs(3), budget=Budget(steps=7), concurrency=50), NOW
    ).batch
    assert other.settings.budget == Budget(steps=7)


def test_money_buys_steps_at_the_dearer_of_the_two_rates(store: Store) -> None:
    money = Budget(money=Decimal("1.00"))
    batch = begin(store, jobs(9), budget=money, rate=Decimal("0.016"))
    assert budget_of(store, batch).limit == 62
    store.write(set_step_price, batch.id, Decimal("0.010"))
    assert budget_of(store, batch).limit == 62
    store.write(set_step_price, batch.id, Decimal("0.020"))
    assert budget_of(store, batch).limit == 50
    found = store.read(find_batch, batch.name)
    assert found is not None
    assert found.step_price is not None
    assert (found.step_price.amount, found.step_price.origin) == (
        Decimal("0.020"),
        RateSource.WALLET,
    )


@pytest.mark.parametrize("cheaper", [Decimal("0.010"), None])
def test_a_price_that_falls_does_not_make_what_was_spent_cheaper(
    store: Store, cheaper: Decimal | None
) -> None:
    batch = begin(store, jobs(9), budget=Budget(money=Decimal("1.00")))
    store.write(set_step_price, batch.id, Decimal("0.050"))
    store.write(set_step_price, batch.id, Decimal("0.020"))
    assert budget_of(store, batch).limit == 50, "nothing is spent yet"
    start(store, batch)
    store.write(set_step_price, batch.id, cheaper)
    assert budget_of(store, batch).limit == 50
    store.write(set_step_price, batch.id, Decimal("0.100"))
    assert budget_of(store, batch).limit == 10


def test_a_job_that_waits_for_its_host_does_not_use_the_budget_up(store: Store) -> None:
    spaced = {"shop.example": HostRule(spacing=timedelta(seconds=60))}
    batch = poor(store, 30, jobs(3), hosts=spaced)
    (attempt,) = start(store, batch)
    apply_poll(store, "alice", [success(attempt, steps=10)], [], NOW)
    assert not budget_of(store, batch, 1).used_up, "it may go in a minute"
    assert budget_of(store, batch, 61).needs == 10
    store.write(set_budget, batch.id, Budget(steps=19))
    assert budget_of(store, batch, 1).used_up, "it may not, however long one waits"


def test_money_buys_nothing_where_nobody_knows_what_a_step_costs(store: Store) -> None:
    batch = begin(store, jobs(2), budget=Budget(money=Decimal(1000)))
    assert claim(store, batch) == []
    assert budget_of(store, batch).used_up


def test_a_batch_without_a_budget_keeps_what_its_runs_may_cost(store: Store) -> None:
    batch = begin(store, jobs(4))
    assert store.read(budget_status, batch.id, NOW) is None
    start(store, batch)
    store.write(set_budget, batch.id, Budget(steps=100))
    assert budget_of(store, batch).reserved == 40


def test_the_reservation_holds_over_claims_at_the_same_time(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch = poor(store, 95, jobs(40))
    names = [f"owner-{n}" for n in range(4)]
    enlist(store, *names)
    stores = {name: open_store() for name in names}

    def claims(name: str) -> int:
        return sum(len(rides(claim(stores[name], batch, name, most=1))) for _ in range(5))

    with ThreadPoolExecutor(len(names)) as pool:
        assert sum(pool.map(claims, names)) == 9
    assert budget_of(store, batch).reserved == 90


def test_only_the_batchs_own_runs_are_in_its_budget(store: Store) -> None:
    start(store, begin(store, jobs(5)))
    file = job_file(jobs(5), name="other", budget=Budget(steps=20))
    other = store.write(load_jobs, file, NOW).batch
    assert budget_of(store, other).room == 20
    assert len(rides(claim(store, other))) == 2
