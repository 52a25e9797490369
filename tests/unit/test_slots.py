"""Slots: what a queue shows about an account's limit."""

from __future__ import annotations

from datetime import timedelta

from batchrunner.model import AUTO
from batchrunner.model.job_file import MAX_CONCURRENCY
from batchrunner.policy.slots import (
    FIRST_CONCURRENCY,
    Capacity,
    SlotUsage,
    concurrency_limit,
    learn_slots,
)

POLL_INTERVAL, TYPICAL = timedelta(seconds=5), timedelta(seconds=60)


def seen(running: int, *, fresh: int = 0, waiting: int = 0) -> SlotUsage:
    return SlotUsage(running=running, fresh=fresh, waiting=waiting)


def bound_of(known: Capacity) -> int:
    return known.limit(POLL_INTERVAL, TYPICAL)


def test_the_limit_is_as_asked_and_with_auto_as_learned() -> None:
    assert concurrency_limit(12, 3) == 12
    assert concurrency_limit(AUTO, 8) == 8
    assert concurrency_limit(AUTO, None) == FIRST_CONCURRENCY


def test_slots_are_found_within_a_few_polls() -> None:
    for limit in (1, 3, 7, 20, 100):
        known, most, polls = Capacity(), FIRST_CONCURRENCY, 0
        while not known.found:
            running = min(limit, most)
            known = learn_slots(known, seen(running, waiting=most - running), most)
            most, polls = bound_of(known), polls + 1
        assert known.slots == limit
        assert polls <= 10


def test_no_queue_with_all_runs_in_flight_means_that_there_may_be_more_slots() -> None:
    assert learn_slots(Capacity(slots=4), seen(5), 5).slots > 5
    assert learn_slots(Capacity(slots=4, found=True), seen(5), 5).slots == 6


def test_runs_that_were_just_submitted_show_nothing() -> None:
    known = Capacity(slots=4)
    assert learn_slots(known, seen(3, fresh=2), 5) == known


def test_unused_slots_show_nothing() -> None:
    known = Capacity(slots=9, found=True)
    assert learn_slots(known, seen(4), 10) == known


def test_one_poll_between_two_runs_does_not_lose_a_slot_and_two_do() -> None:
    known = Capacity(slots=7, found=True)
    once = learn_slots(known, seen(6, waiting=2), 8)
    assert once.slots == 7
    assert learn_slots(once, seen(7, waiting=1), 8).slots == 7
    assert learn_slots(once, seen(5, waiting=2), 8).slots == 6


def test_a_stuck_run_uses_no_slot_and_hides_none() -> None:
    full = SlotUsage(running=4, fresh=0, waiting=0, stuck=2)
    assert learn_slots(Capacity(slots=4), full, 6).slots > 4
    assert Capacity(slots=4).limit(POLL_INTERVAL, None, stuck=2) == 7


def test_if_other_programs_use_all_slots_one_is_kept() -> None:
    known = Capacity(slots=7, found=True)
    for _ in range(2):
        known = learn_slots(known, seen(0, waiting=8), 8)
    assert known.slots == 1


def test_a_few_runs_wait_for_slots_that_become_free_between_two_polls() -> None:
    assert Capacity(slots=7).limit(POLL_INTERVAL, None) == 8
    assert Capacity(slots=100).limit(timedelta(seconds=5), timedelta(seconds=50)) == 115
    assert Capacity(slots=5000).limit(POLL_INTERVAL, TYPICAL) == MAX_CONCURRENCY
