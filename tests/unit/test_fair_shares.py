"""How live runners share the slots of a batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batchrunner.policy.fair_shares import LEFT_AFTER, TURN, LeftSlots, slot_share

NOW = datetime(2026, 12, 1, 2, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def owners(count: int) -> list[str]:
    return [f"owner-{n}" for n in range(count)]


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 5, 7, 10, 200])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_the_shares_add_up_to_the_slots_at_any_moment(bound: int, count: int) -> None:
    for turn in range(count):
        shares = [slot_share(bound, owners(count), me, NOW + turn * TURN) for me in owners(count)]
        assert sum(shares) == bound
        assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(("bound", "count"), [(1, 2), (2, 3), (7, 4), (5, 4)])
def test_over_all_turns_every_runner_gets_the_same(bound: int, count: int) -> None:
    totals = {
        sum(slot_share(bound, owners(count), me, NOW + turn * TURN) for turn in range(count))
        for me in owners(count)
    }
    assert totals == {bound}


def test_a_runner_takes_its_own_share_at_once_and_the_rest_when_others_have_left_it() -> None:
    left = LeftSlots()
    assert left.take(10, 5, NOW) == 5
    assert left.ripe_at() == NOW + LEFT_AFTER
    assert left.take(5, 0, NOW + SECOND) == 0
    assert left.take(5, 0, NOW + LEFT_AFTER) == 5
    assert left.ripe_at() is None


def test_what_others_have_taken_meanwhile_is_not_left() -> None:
    left = LeftSlots()
    assert left.take(6, 0, NOW) == 0
    assert left.take(2, 0, NOW + SECOND) == 0
    assert left.take(6, 0, NOW + LEFT_AFTER) == 2, "four of them have been free for a second only"
    assert left.take(4, 0, NOW + LEFT_AFTER + SECOND) == 0
    assert left.take(4, 0, NOW + 2 * LEFT_AFTER) == 4


def test_slots_that_were_all_taken_are_left_anew() -> None:
    left = LeftSlots()
    assert left.take(3, 0, NOW) == 0
    assert left.take(0, 0, NOW + SECOND) == 0
    assert left.ripe_at() is None
    assert left.take(3, 0, NOW + LEFT_AFTER) == 0


def test_after_a_long_time_without_a_look_slots_are_left_anew() -> None:
    left = LeftSlots()
    assert left.take(3, 1, NOW) == 1
    assert left.take(3, 1, NOW + timedelta(minutes=9)) == 1
    assert left.take(2, 0, NOW) == 0, "the clock was set back"


def test_a_runner_above_its_share_takes_no_slot_at_once() -> None:
    assert LeftSlots().take(3, -4, NOW) == 0
    assert LeftSlots().take(-2, 4, NOW) == 0
