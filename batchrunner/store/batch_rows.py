"""Batches as values: the settings in force, the price of a step, and whether it is paused."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

from batchrunner.model import Batch, Pause, Rate, Settings
from batchrunner.policy.budget import rate_in_force
from batchrunner.store.serialization import budget_of, quality_stop_of, settings_of

#: Settings that `set` can replace.
SET_LATER = ("concurrency", "budget")


def settings_in_force(row: Any) -> Settings:
    """Return a batch's settings, with the values that replaced some of them."""
    settings = settings_of(row.settings)
    if row.budget is not None:
        settings = replace(settings, budget=budget_of(json.loads(row.budget)))
    return settings if row.concurrency is None else replace(settings, concurrency=row.concurrency)


def rate_of(row: Any) -> Rate | None:
    """Return what a step of a batch costs, and the source of that price."""
    return rate_in_force(
        settings_in_force(row), Decimal(row.step_price) if row.step_price else None
    )


def batch_of(row: Any) -> Batch:
    """Return the batch of a row."""
    return Batch(
        id=row.id,
        name=row.name,
        settings=settings_in_force(row),
        api_origin=row.api_origin,
        pause=pause_of(row),
        step_price=rate_of(row),
        series=row.series,
        edition=row.edition,
        quality_stop=quality_stop_of(row.quality_stop),
    )


def pause_of(row: Any) -> Pause | None:
    """Return since when and why a batch is paused; None if it is not."""
    return Pause(since=row.paused_at, reason=row.pause_reason) if row.paused_at else None
