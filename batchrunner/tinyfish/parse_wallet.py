"""Reads the wallet of an account leniently: its balance, and the price of a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from batchrunner.api_facts.prices import CURRENCY, STEP_METER_WORDS
from batchrunner.model import Wallet


def read_wallet(found: Mapping[str, Any]) -> Wallet | None:
    """Return the balance and the price of a step; None if the wallet is not in dollars."""
    balance = _amount(found.get("available_balance"))
    if balance is None or found.get("currency", CURRENCY) != CURRENCY:
        return None
    rates = found.get("rates")
    meters = rates.get("meters") if isinstance(rates, dict) else None
    prices = list(_step_prices(meters)) if isinstance(meters, list) else []
    # Of several prices the highest counts, so that a budget is never exceeded.
    return Wallet(balance=balance, rate=max(prices, default=None))


def _step_prices(meters: list[Any]) -> Iterator[Decimal]:
    """Yield the prices of all meters that count steps."""
    for meter in meters:
        if not isinstance(meter, dict) or meter.get("currency", CURRENCY) != CURRENCY:
            continue
        words = f"{meter.get('per') or ''} {meter.get('label') or ''}".lower().split()
        price = _amount(meter.get("unit_amount"))
        if price is not None and price > 0 and not STEP_METER_WORDS.isdisjoint(words):
            yield price


def _amount(text: Any) -> Decimal | None:
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
