"""The report of `where`: where the hours and steps of a batch went, in shares that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from batchrunner.app.clock import store_now
from batchrunner.model import Batch, FailureCategory
from batchrunner.model.states import TimeBucket
from batchrunner.model.time_and_cost import CostCause, TimeAndCost
from batchrunner.policy.time_and_cost import shares
from batchrunner.store.store import Store
from batchrunner.store.time_and_cost import batch_time_and_cost

MICROSECOND, SECOND = timedelta(microseconds=1), timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class TimeAndCostReport:
    """Where a batch's hours and steps went; shares are in tenths of a percent."""

    used: TimeAndCost
    step_share: Mapping[CostCause | FailureCategory, int]
    time_share: Mapping[TimeBucket, int]


def report_time_and_cost(store: Store, batch: Batch) -> TimeAndCostReport:
    """Report what each cause of a batch's attempts took, and what its jobs waited for."""
    used = batch_time_and_cost(store, batch.id, store_now(store))
    steps = shares([part.steps for part in used.causes.values()], 1000)
    spans = shares([span // MICROSECOND for span in used.buckets.values()], 1000)
    return TimeAndCostReport(
        used=used,
        step_share=dict(zip(used.causes, steps, strict=True)),
        time_share=dict(zip(used.buckets, spans, strict=True)),
    )


def whole_seconds(parts: Sequence[timedelta], whole: timedelta) -> list[int]:
    """Round spans of time to seconds that add up to the seconds of *whole*."""
    return shares([part // MICROSECOND for part in parts], round(whole / SECOND))
