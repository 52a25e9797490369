"""The account of a night: every hour and every credit in exactly one part."""

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

#: A runner worked all night.
ALL_NIGHT = (Span(since=NOW, until=after(36_000)),)


def tried(opened: float, closed: float | None, **given: Any) -> PastAttempt:
    """Build an attempt that went as most do: answered after 1 s, started after 3, ended 2 early."""
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


def told(
    *jobs: PastJob,
    until: float = 1000,
    attended: tuple[Span, ...] = ALL_NIGHT,
    orphans: tuple[int | None, ...] = (),
    **halts: list[tuple[float, float]],
) -> TimeAndCost:
    stopped = {
        TimeBucket(name): tuple(Span(since=after(a), until=after(b)) for a, b in spans)
        for name, spans in halts.items()
    }
    background = BatchHistory(attended=attended, holds=stopped)
    return time_and_cost(jobs, lambda: orphans, background, after(until))


def seconds(found: TimeAndCost) -> dict[str, float]:
    return {str(stage): span.total_seconds() for stage, span in found.buckets.items() if span}


def test_a_good_rows_time_is_cut_at_what_befell_it() -> None:
    found = told(job(tried(100, 160), finished=160))
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


def test_a_retry_waits_for_its_moment_and_then_for_its_turn() -> None:
    blocked = tried(0, 60, cause=FailureCategory.BLOCKED, retry_at=after(90))
    found = told(job(blocked, tried(100, 160), finished=160))
    assert (seconds(found)["retry"], seconds(found)["turn"]) == (30, 10)
    assert found.causes[FailureCategory.BLOCKED].steps == 4
    assert found.whole.steps == 8


def test_waiting_that_is_not_the_jobs_fault_is_told_by_its_cause() -> None:
    dry = tried(
        0, 1, cause=FailureCategory.BILLING_FAILURE, retry_at=after(61), counted=False, ran=False
    )
    busy = tried(61, 62, cause=FailureCategory.THROTTLED, retry_at=after(92), counted=False)
    found = seconds(told(job(dry, busy), until=92))
    assert (found["credits"], found["held"]) == (60, 30)
    assert "retry" not in found


def test_of_several_reasons_the_first_in_the_list_counts() -> None:
    worked = (Span(since=after(100), until=after(900)), Span(since=after(200), until=after(300)))
    found = told(job(), attended=worked, paused=[(50, 150), (850, 950)], credits=[(0, 400)])
    assert seconds(found) == {
        "unattended": 50 + 50,
        "paused": 100 + 100,
        "credits": 250,
        "turn": 450,
    }


def test_an_attempt_that_is_open_counts_until_now_and_what_it_costs_is_not_known() -> None:
    found = told(job(tried(10, None, started_at=None)), until=50)
    assert seconds(found) == {"turn": 10, "creating": 1, "queued": 39}
    assert found.causes[CostCause.IN_FLIGHT] == TimeAndCostShare(
        attempts=1, unbilled=1, time=timedelta(seconds=40)
    )


def test_the_time_of_a_create_in_doubt_is_told_apart() -> None:
    found = told(job(tried(0, 200, unanswered=True, answered_at=after(70)), finished=200))
    assert (seconds(found)["in_doubt"], "creating" in seconds(found)) == (70, False)


def test_orphans_are_paid_for_and_take_no_jobs_time() -> None:
    found = told(orphans=(3, None))
    assert found.causes == {CostCause.ORPHANS: TimeAndCostShare(attempts=2, unbilled=1, steps=3)}
    assert (found.time, found.jobs) == (timedelta(0), 0)


moments = st.integers(-500, 1500)
spans = st.lists(st.tuples(moments, moments), max_size=4)
#: Clocks may be set, and the API's may be wrong: anything comes in any order.
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
def test_parts_add_up_to_the_whole_whatever_clocks_have_done(
    lives: list[PastJob], work: Any, paused: Any, dry: Any
) -> None:
    attended = tuple(Span(since=after(a), until=after(b)) for a, b in work)
    found = told(*lives, attended=attended, paused=paused, credits=dry, orphans=(7,))
    assert all(span >= timedelta(0) for span in found.buckets.values())
    assert found.time == sum((lived(life) for life in lives), timedelta(0)), (
        "an hour was counted twice, or left out"
    )
    bills = [a.steps or 0 for life in lives for a in life.attempts]
    assert found.whole.steps == sum(bills) + 7


def lived(life: PastJob) -> timedelta:
    end: datetime = min(life.finished_at or after(1000), after(1000))
    return max(end - life.loaded_at, timedelta(0))


@given(st.lists(st.integers(0, 10**15), max_size=20), st.integers(0, 10**6))
def test_rounded_shares_add_up_and_none_is_a_whole_one_away(parts: list[int], whole: int) -> None:
    found, total = shares(parts, whole), sum(parts)
    assert sum(found) == (whole if total else 0)
    for part, share in zip(parts, found, strict=True):
        assert total == 0 or abs(share * total - part * whole) < total


@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=9),
    st.decimals("0.0001", "9", places=4),
)
def test_what_is_shown_in_cents_adds_up_to_the_whole_that_is_shown(
    parts: list[int], amount: Any
) -> None:
    shown = cents(parts, Rate(amount=amount, origin=RateSource.WALLET))
    whole = [round(float(each.removeprefix("$")) * 100) for each in shown]
    assert sum(whole[:-1]) == whole[-1]
