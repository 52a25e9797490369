"""The time and cost report: all time and all steps are in exactly one part."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchrunner.app.budget import cents
from batchrunner.model import FailureCategory, Rate, RateSource
from batchrunner.model.states import TimeBucket
from batchrunner.model.time_and_cost import (
    BatchHistory,
    CostCause,
    PastAttempt,
    PastJob,
    Span,
    TimeAndCost,
    TimeAndCostShare,
)
from batchrunner.policy.time_and_cost import shares, time_and_cost
from tests.fakes import NOW, after

#: A runner worked all the time.
ALWAYS = (Span(since=NOW, until=after(36_000)),)


def tried(opened: float, closed: float | None, **given: Any) -> PastAttempt:
    """Build a usual attempt: answered after 1 s, started after 3 s, ended 2 s before it closed."""
    usual: dict[str, Any] = {
        "opened_at": after(opened),
        "closed_at": None if closed is None else after(closed),
        "cause": CostCause.SUCCEEDED if closed is not None else CostCause.IN_FLIGHT,
        "answered_at": after(opened + 1),
        "unanswered": False,
        "started_at": after(opened + 3),
        "ended_at": None if closed is None else after(closed - 2),
        "retry_at": None,
        "counted": True,
        "steps": None if closed is None else 4,
        "ran": True,
    }
    return PastAttempt(**{**usual, **given})


def job(*attempts: PastAttempt, finished: float | None = None, loaded: float = 0) -> PastJob:
    at = None if finished is None else after(finished)
    return PastJob(loaded_at=after(loaded), finished_at=at, attempts=attempts)


def report(
    *jobs: PastJob,
    until: float = 1000,
    attended: tuple[Span, ...] = ALWAYS,
    orphans: tuple[int | None, ...] = (),
    **holds: list[tuple[float, float]],
) -> TimeAndCost:
    stopped = {
        TimeBucket(name): tuple(Span(since=after(a), until=after(b)) for a, b in spans)
        for name, spans in holds.items()
    }
    history = BatchHistory(attended=attended, holds=stopped)
    return time_and_cost(jobs, lambda: orphans, history, after(until))


def seconds(found: TimeAndCost) -> dict[str, float]:
    return {str(bucket): span.total_seconds() for bucket, span in found.buckets.items() if span}


def test_the_time_of_a_success_is_split_at_each_event() -> None:
    found = report(job(tried(100, 160), finished=160))
    assert seconds(found) == {
        "turn": 100,
        "creating": 1,
        "queued": 2,
        "running": 55,
        "landed": 2,
    }
    assert found.causes == {
        CostCause.SUCCEEDED: TimeAndCostShare(attempts=1, steps=4, time=timedelta(seconds=60))
    }


def test_a_retry_waits_for_its_backoff_and_then_for_its_turn() -> None:
    blocked = tried(0, 60, cause=FailureCategory.BLOCKED, retry_at=after(90))
    found = report(job(blocked, tried(100, 160), finished=160))
    assert (seconds(found)["retry"], seconds(found)["turn"]) == (30, 10)
    assert found.causes[FailureCategory.BLOCKED].steps == 4
    assert found.whole.steps == 8


def test_waiting_that_is_not_the_jobs_fault_is_in_the_bucket_of_its_cause() -> None:
    no_credits = tried(
        0, 1, cause=FailureCategory.BILLING_FAILURE, retry_at=after(61), counted=False, ran=False
    )
    busy = tried(61, 62, cause=FailureCategory.THROTTLED, retry_at=after(92), counted=False)
    found = seconds(report(job(no_credits, busy), until=92))
    assert (found["credits"], found["held"]) == (60, 30)
    assert "retry" not in found


def test_of_several_holds_the_first_in_the_list_counts() -> None:
    worked = (Span(since=after(100), until=after(900)), Span(since=after(200), until=after(300)))
    found = report(job(), attended=worked, paused=[(50, 150), (850, 950)], credits=[(0, 400)])
    assert seconds(found) == {
        "unattended": 50 + 50,
        "paused": 100 + 100,
        "credits": 250,
        "turn": 450,
    }


def test_an_open_attempt_counts_until_now_and_is_unbilled() -> None:
    found = report(job(tried(10, None, started_at=None)), until=50)
    assert seconds(found) == {"turn": 10, "creating": 1, "queued": 39}
    assert found.causes[CostCause.IN_FLIGHT] == TimeAndCostShare(
        attempts=1, unbilled=1, time=timedelta(seconds=40)
    )


def test_the_time_of_an_unanswered_create_has_its_own_bucket() -> None:
    found = report(job(tried(0, 200, unanswered=True, answered_at=after(70)), finished=200))
    assert (seconds(found)["in_doubt"], "creating" in seconds(found)) == (70, False)


def test_orphans_cost_steps_and_no_time_of_a_job() -> None:
    found = report(orphans=(3, None))
    assert found.causes == {CostCause.ORPHANS: TimeAndCostShare(attempts=2, unbilled=1, steps=3)}
    assert (found.time, found.jobs) == (timedelta(0), 0)


moments = st.integers(-500, 1500)
spans = st.lists(st.tuples(moments, moments), max_size=4)
#: Clocks may be set, and the API's clock may be wrong: times come in any order.
attempts = st.builds(
    tried,
    moments,
    st.none() | moments,
    answered_at=st.none() | moments.map(after),
    started_at=st.none() | moments.map(after),
    ended_at=st.none() | moments.map(after),
    retry_at=st.none() | moments.map(after),
    cause=st.sampled_from([*CostCause, *FailureCategory]),
    counted=st.booleans(),
    steps=st.none() | st.integers(0, 500),
)
jobs = st.builds(
    lambda tries, finished, loaded: job(*tries, finished=finished, loaded=loaded),
    st.lists(attempts, max_size=4),
    st.none() | moments,
    st.integers(-500, 1000),
)


@given(st.lists(jobs, max_size=4), spans, spans, spans)
def test_parts_add_up_to_the_whole_even_if_clocks_were_set(
    all_jobs: list[PastJob], work: Any, paused: Any, no_credits: Any
) -> None:
    attended = tuple(Span(since=after(a), until=after(b)) for a, b in work)
    found = report(*all_jobs, attended=attended, paused=paused, credits=no_credits, orphans=(7,))
    assert all(span >= timedelta(0) for span in found.buckets.values())
    assert found.time == sum((duration(each) for each in all_jobs), timedelta(0)), (
        "time was counted twice, or left out"
    )
    bills = [a.steps or 0 for each in all_jobs for a in each.attempts]
    assert found.whole.steps == sum(bills) + 7


def duration(each: PastJob) -> timedelta:
    end: datetime = min(each.finished_at or after(1000), after(1000))
    return max(end - each.loaded_at, timedelta(0))


@given(st.lists(st.integers(0, 10**15), max_size=20), st.integers(0, 10**6))
def test_rounded_shares_add_up_and_none_is_1_or_more_away(parts: list[int], whole: int) -> None:
    found, total = shares(parts, whole), sum(parts)
    assert sum(found) == (whole if total else 0)
    for part, share in zip(parts, found, strict=True):
        assert total == 0 or abs(share * total - part * whole) < total


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=9),
    st.decimals("0.0001", "9", places=4),
)
def test_parts_shown_in_cents_add_up_to_the_whole_that_is_shown(
    parts: list[int], amount: Any
) -> None:
    shown = cents(parts, Rate(amount=amount, origin=RateSource.WALLET))
    whole = [round(float(each.removeprefix("$")) * 100) for each in shown]
    assert sum(whole[:-1]) == whole[-1]
