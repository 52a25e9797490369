"""The canary: which jobs run first, and which results open the gate."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import Budget, Canary, Rate, RateSource
from batchrunner.policy.canary import GateDecision, Sample, choose_canary, gate

RATE = Rate(amount=Decimal("0.01"), origin=RateSource.JOB_FILE)


def sample(good: int, jobs: int = 20, open: int = 0, steps: int = 200) -> Sample:
    return Sample(jobs=jobs, open=open, good=good, steps=steps)


def opened(found: GateDecision | None) -> bool:
    assert found is not None
    return found.opened


def test_the_canary_is_spread_over_hosts() -> None:
    kinds = [(f"host-{n // 100}", "the price") for n in range(500)]
    hosts = Counter(kinds[index][0] for index in choose_canary(kinds, 10))
    assert hosts == {f"host-{n}": 2 for n in range(5)}


def test_with_too_many_hosts_the_chosen_ones_are_spread_over_the_file() -> None:
    kinds = [(f"host-{n}", "the price") for n in range(1000)]
    assert choose_canary(kinds, 4) == [0, 250, 500, 750]


def test_goals_alternate_on_a_host() -> None:
    kinds = [("a.test", "the price")] * 50 + [("a.test", "the name")] * 50
    assert choose_canary(kinds, 4) == [0, 1, 50, 51]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"))), st.integers(1, 30))
def test_the_canary_has_the_requested_number_of_jobs(
    kinds: list[tuple[str, str]], count: int
) -> None:
    indexes = choose_canary(kinds, count)
    assert len(set(indexes)) == len(indexes) == min(count, len(kinds))
    assert indexes == sorted(indexes)


def test_nothing_is_decided_before_the_last_job_has_ended() -> None:
    assert gate(Canary(jobs=20, success_rate=Decimal("0.5")), sample(0, open=1), None) is None


def test_the_gate_opens_at_the_required_rate_and_not_below() -> None:
    canary = Canary(jobs=20, success_rate=Decimal("0.8"))
    found = gate(canary, sample(16), None)
    assert found is not None
    assert found.opened
    shut = gate(canary, sample(15), None)
    assert shut is not None
    assert not shut.opened
    assert "15 of 20 jobs succeeded (75%)" in shut.says
    assert "at least 80% were to succeed" in shut.says


def test_the_cost_of_a_success_includes_all_failures() -> None:
    steps = Canary(jobs=20, row_cost=Budget(steps=20))
    assert opened(gate(steps, sample(10, steps=200), None))
    assert not opened(gate(steps, sample(9, steps=200), None))
    money = Canary(jobs=20, row_cost=Budget(money=Decimal("0.20")))
    assert opened(gate(money, sample(10, steps=200), RATE))
    assert not opened(gate(money, sample(9, steps=200), RATE))


def test_dollars_without_a_rate_or_no_success_keep_the_gate_closed() -> None:
    money = Canary(jobs=20, row_cost=Budget(money=Decimal("0.20")))
    assert not opened(gate(money, sample(10), None))
    assert not opened(gate(money, sample(0), RATE))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), max_size=40),
    st.integers(1, 8),
)
def test_a_stream_of_jobs_gives_the_canary_that_all_of_them_give(
    kinds: list[tuple[str, str]], count: int
) -> None:
    by_host: dict[str, list[tuple[int, int]]] = {}
    for index, (host, goal) in enumerate(kinds):
        turn = sum(kind == (host, goal) for kind in kinds[:index])
        by_host.setdefault(host, []).append((turn, index))
    hosts = [[index for _, index in sorted(turns)] for turns in by_host.values()]
    if len(hosts) > count:
        hosts = [hosts[at * len(hosts) // count] for at in range(count)]
    rounds = [queue[turn] for turn in range(len(kinds)) for queue in hosts if turn < len(queue)]
    assert choose_canary(iter(kinds), count) == sorted(rounds[:count])
