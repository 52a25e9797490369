"""Which results are searched for in their pages, and what is kept of that."""

from __future__ import annotations

from decimal import Decimal

from batchrunner.app.quality import batch_quality
from batchrunner.model.grounding_rule import GroundingRule
from batchrunner.policy.grounding_sample import is_sampled
from batchrunner.store.attempts import apply_poll
from batchrunner.store.claims import claim_jobs
from batchrunner.store.grounding import (
    checked_results,
    grounded_rows,
    result_to_ground,
    results_to_ground,
    store_grounding,
    unchecked_results,
)
from batchrunner.store.leases import end_owner
from batchrunner.store.reports import finished_jobs
from batchrunner.store.store import Store
from tests.fakes import after, begin, claim, enlist, failure, keys, rides, spec, start, success

ALL = GroundingRule(sample=Decimal(1))
HALF = GroundingRule(sample=Decimal("0.5"))
FOUND = {"values": {"name": ["grounded", "Lamp"], "price": ["absent", "3"]}}


def test_a_sample_of_jobs_is_the_same_after_a_restart(store: Store) -> None:
    batch = begin(store, 40, grounding=HALF, concurrency=40)
    chosen = {ride.job.key for ride in rides(claim(store, batch)) if ride.grounded}
    assert chosen == {key for key in keys(40) if is_sampled(HALF, key, {})}
    assert 10 < len(chosen) < 30


def test_jobs_that_use_credentials_or_profiles_are_checked_only_by_name(store: Store) -> None:
    personal = ({"use_vault": True}, {"use_profile": True})
    specs = [spec("a"), *(spec(f"p{n}", options=given) for n, given in enumerate(personal))]
    batch = begin(store, specs, grounding=ALL)
    assert {ride.job.key for ride in rides(claim(store, batch)) if ride.grounded} == {"a"}
    named = GroundingRule(sample=Decimal(1), with_profiles=True)
    assert all(is_sampled(named, each.key, each.options) for each in specs)


def test_nothing_is_chosen_once_the_api_has_refused_to_capture(store: Store) -> None:
    batch = begin(store, 3, grounding=ALL)
    claimed = store.write(claim_jobs, "alice", batch.id, 100, after(0), ground=False)
    assert not any(ride.grounded for ride in rides(claimed))


def test_grounding_changes_no_options_and_no_question(store: Store) -> None:
    batch = begin(store, [spec("a")], grounding=ALL)
    (ride,) = rides(claim(store, batch))
    assert (ride.options, ride.option_overrides) == ({}, {})


def test_delivered_results_are_checked_once_by_their_owner_or_after_its_end(store: Store) -> None:
    batch = begin(store, 3, grounding=ALL, concurrency=3)
    enlist(store, "bob")
    first, second, third = start(store, batch)
    done = [success(first, '{"name": "Lamp", "price": 3}'), success(second), failure(third)]
    assert apply_poll(store, "alice", done, [], after(1))
    read = (results_to_ground, batch.id)
    mine = store.read(*read, "alice", 10, [])
    assert [task.attempt_id for task in mine] == [first.attempt_id, second.attempt_id]
    assert store.read(*read, "bob", 10, []) == []
    assert [each.attempt_id for each in store.read(*read, "alice", 10, [first.attempt_id])] == [
        second.attempt_id
    ]
    assert store.read(result_to_ground, first.attempt_id) == '{"name": "Lamp", "price": 3}'

    assert store.write(store_grounding, first.attempt_id, FOUND)
    assert not store.write(store_grounding, first.attempt_id, {"values": {}}), "it is kept"
    assert store.read(unchecked_results, batch.id) == 1
    assert store.read(checked_results, batch.id) == 1
    store.write(end_owner, "alice", after(2))
    assert [task.attempt_id for task in store.read(*read, "bob", 10, [])] == [second.attempt_id]
    assert list(grounded_rows(store, batch.id)) == [(first.job.key, FOUND)]
    shown = {job.key: job.grounding for job in finished_jobs(store, batch.id)}
    assert shown[first.job.key] == "1 grounded, 1 absent: price"
    assert shown[second.job.key] is None


def test_absent_values_of_many_rows_are_worth_a_look_at_the_batch(store: Store) -> None:
    batch = begin(store, 6, grounding=ALL, concurrency=6)
    attempts = start(store, batch)
    done = [success(each, f'{{"name": "n{n}", "price": {n}}}') for n, each in enumerate(attempts)]
    assert apply_poll(store, "alice", done, [], after(1))
    for each in attempts[:4]:
        assert store.write(store_grounding, each.attempt_id, FOUND)
    report = batch_quality(store, batch)
    (reason,) = report.reasons
    assert (report.verdict, reason.kind, reason.column) == ("look", "absent", "price")
    assert reason.text == "4 of 4 values of `price` are not in the page"
    assert {row.key for row in report.rows} == {each.job.key for each in attempts[:4]}
