"""The store's time goes on steadily, whatever happens to the machine's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from batchrunner.runner.monotonic_clock import MAX_DRIFT, MonotonicClock

NOW = datetime(2026, 10, 25, 0, 59, tzinfo=UTC)
HOUR = 3600.0


@dataclass
class Machine:
    """A machine whose clock can be set, and that can sleep."""

    wall: datetime = NOW
    awake: float = 1000.0

    def clock(self) -> MonotonicClock:
        return MonotonicClock(lambda: self.wall, lambda: self.awake)

    def passes(self, seconds: float) -> None:
        self.awake += seconds
        self.wall += timedelta(seconds=seconds)

    def sleeps(self, seconds: float) -> None:
        """Let time pass that the monotonic clock does not see; or set the wall clock by it."""
        self.wall += timedelta(seconds=seconds)


def test_time_passes() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.passes(90)
    assert clock.now() == NOW + timedelta(seconds=90)
    assert clock.jumped_at is None


def test_a_clock_that_is_set_back_goes_on_at_its_pace() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.sleeps(-HOUR)
    assert clock.now() == NOW
    machine.passes(10)
    assert clock.now() == NOW + timedelta(seconds=10)
    assert clock.jumped_at is None


def test_a_sleep_is_noticed_once() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.passes(1)
    machine.sleeps(8 * HOUR)
    woke = clock.now()
    assert woke == NOW + timedelta(hours=8, seconds=1)
    assert (clock.jumped_at, clock.jumped_by) == (woke, timedelta(hours=8))
    machine.passes(HOUR)
    clock.now()
    assert clock.jumped_at == woke


def test_a_small_correction_is_no_jump() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.sleeps(MAX_DRIFT.total_seconds())
    clock.now()
    machine.sleeps(-MAX_DRIFT.total_seconds())
    before = clock.now()
    machine.passes(0.1)
    assert clock.now() >= before
    assert clock.jumped_at is None


def test_it_begins_at_the_stores_time_without_a_jump() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.start_at(NOW + timedelta(hours=1))  # the machine's clock was set back before the start
    machine.passes(5)
    assert clock.now() == NOW + timedelta(hours=1, seconds=5)
    assert clock.jumped_at is None


def test_it_follows_the_stores_time_forward_and_never_back() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.follow(NOW + timedelta(seconds=3))
    assert clock.now() == NOW + timedelta(seconds=3)
    clock.follow(NOW - timedelta(hours=1))
    assert clock.now() == NOW + timedelta(seconds=3)


changes = st.tuples(st.sampled_from(["passes", "sleeps"]), st.floats(-9000, 9000, allow_nan=False))


@given(st.lists(changes, max_size=30))
def test_it_never_goes_back_and_never_waits_longer_than_the_machine_was_awake(
    story: list[tuple[str, float]],
) -> None:
    machine = Machine()
    clock = machine.clock()
    for name, seconds in story:
        shown, awake = clock.now(), machine.awake
        getattr(machine, name)(abs(seconds) if name == "passes" else seconds)
        passed = (clock.now() - shown).total_seconds()
        assert passed >= 0
        # A wait of n seconds is over after n seconds awake, give or take the trim.
        assert passed >= machine.awake - awake - MAX_DRIFT.total_seconds() - 0.001
