"""Budgets, rates and reservations: how they are parsed, and what they allow."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.inputs.yaml import JobFileErrors, parse
from batchrunner.model import Budget, Rate, RateSource, Settings, Wallet
from batchrunner.policy.budget import affordable, budget_of, limit_of, max_steps, rate_in_force
from batchrunner.tinyfish.parse_wallet import read_wallet

WALLET = Rate(amount=Decimal("0.016"), origin=RateSource.WALLET)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("500 steps", Budget(steps=500)),
        ("1 step", Budget(steps=1)),
        ("16,500 steps", Budget(steps=16_500)),
        ("$20", Budget(money=Decimal(20))),
        ("$1,000.50", Budget(money=Decimal("1000.50"))),
    ],
)
def test_a_budget_is_steps_or_dollars(text: str, budget: Budget) -> None:
    assert budget_of(text) == budget
    assert budget_of(str(budget)) == budget, "a stored budget is parsed to the same value"


@pytest.mark.parametrize(
    "text",
    ["", "500", "0 steps", "$0", "-5 steps", "$-5", "20$", "20 USD", "1,5 steps", "$1e3", "$NaN"],
)
def test_a_text_that_is_not_clearly_a_budget_is_none(text: str) -> None:
    assert budget_of(text) is None


def mistakes(settings: str) -> list[tuple[int, int, str | None]]:
    text = f"settings:\n  {settings}\njobs:\n  - url: https://a.example\n    goal: x\n"
    with pytest.raises(JobFileErrors) as caught:
        parse(text, file="jobs.yaml", name="jobs")
    return [(m.line, m.column, m.tip) for m in caught.value.problems]


def test_a_mistake_is_reported_with_its_location_and_a_suggestion() -> None:
    assert mistakes("budget: 500") == [(2, 11, "say of what: `500 steps` or `$500`")]
    assert mistakes("budget: 12.5") == [(2, 11, "say of what: `$12.5`")]
    assert mistakes("budget: [20]") == [(2, 11, None)]
    assert mistakes("rate: 0.016") == [(2, 9, "write `$0.016`")]
    assert mistakes("rate: a lot") == [(2, 9, None)]


def test_a_job_file_sets_both() -> None:
    text = "settings: {budget: $20, rate: $0.016}\njobs: [{url: https://a.example, goal: x}]\n"
    settings = parse(text, file="jobs.yaml", name="jobs").settings
    assert (settings.budget, settings.rate) == (Budget(money=Decimal(20)), Decimal("0.016"))


def test_dollars_are_converted_to_whole_steps_and_never_to_too_many() -> None:
    assert limit_of(Budget(money=Decimal(20)), WALLET) == 1250
    assert limit_of(Budget(money=Decimal("0.015")), WALLET) == 0
    assert limit_of(Budget(money=Decimal(20)), None) == 0
    assert limit_of(Budget(steps=7), None) == 7


@given(
    st.decimals(Decimal("0.01"), 10_000, places=2),
    st.decimals(Decimal("0.0001"), 1, places=4),
)
def test_the_steps_of_a_budget_cost_no_more_than_the_budget(money: Decimal, price: Decimal) -> None:
    steps = limit_of(Budget(money=money), Rate(amount=price, origin=RateSource.WALLET))
    assert steps * price <= money < (steps + 1) * price


def test_the_higher_rate_is_in_force() -> None:
    cheap, expensive = Settings(rate=Decimal("0.01")), Settings(rate=Decimal("0.02"))
    assert rate_in_force(cheap, WALLET.amount) == WALLET
    found = rate_in_force(expensive, WALLET.amount)
    assert found is not None
    assert found.origin is RateSource.JOB_FILE
    assert rate_in_force(Settings(), None) is None
    assert rate_in_force(Settings(), Decimal(0)) is None


def test_a_run_may_take_its_own_maximum_or_else_the_apis() -> None:
    assert max_steps({"agent_config": {"max_steps": 12}}) == 12
    assert max_steps({"agent_config": {"mode": "strict"}}) == 150
    assert max_steps({}) == 150
    assert max_steps({"agent_config": {"max_steps": 12}}, longest=14) == 14


@given(st.lists(st.integers(1, 500)), st.integers(-100, 5000))
def test_as_many_runs_are_affordable_as_fit_and_no_more(needs: list[int], room: int) -> None:
    chosen = affordable(needs, room)
    count = len(chosen)
    assert chosen == list(range(count))
    assert sum(needs[:count]) <= max(room, 0)
    assert count == len(needs) or sum(needs[: count + 1]) > room


def test_only_a_probe_that_does_not_fit_is_skipped() -> None:
    assert affordable([150, 10, 20, 10], 35, probes={0}) == [1, 2]
    assert affordable([150, 10], 35, probes={1}) == []


def meter(**fields: Any) -> dict[str, Any]:
    return {"label": "Agent step", "unit_amount": "0.016", "currency": "USD", **fields}


@pytest.mark.parametrize(
    ("found", "wallet"),
    [
        ({"available_balance": "-1.5"}, Wallet(balance=Decimal("-1.5"), rate=None)),
        ({"available_balance": "3", "rates": None}, Wallet(balance=Decimal(3), rate=None)),
        (
            {"available_balance": "3", "rates": {"meters": [meter(), 7, {}]}},
            Wallet(balance=Decimal(3), rate=Decimal("0.016")),
        ),
        (
            {"available_balance": "3", "rates": {"meters": [meter(), meter(unit_amount="0.02")]}},
            Wallet(balance=Decimal(3), rate=Decimal("0.02")),
        ),
        (
            {
                "available_balance": 3,
                "rates": {"meters": [meter(label="Browser", per="minute"), meter(currency="EUR")]},
            },
            Wallet(balance=Decimal(3), rate=None),
        ),
        ({"available_balance": "3", "currency": "EUR"}, None),
        ({"available_balance": "much"}, None),
        ({}, None),
    ],
)
def test_a_wallet_is_read_leniently(found: dict[str, Any], wallet: Wallet | None) -> None:
    assert read_wallet(found) == wallet
