"""Cancels runs that are over their limit or unwanted, and gives up on runs that never end."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from batchrunner.model import (
    AttemptDecision,
    FailureCategory,
    NotFound,
    OpenAttempt,
    RequestFailed,
    Run,
    RunObservation,
    RunStatus,
)
from batchrunner.policy.run_decision import (
    GIVEN_UP_AFTER,
    LINGERING_AFTER,
    give_up,
    is_overdue,
    lingers,
    may_cancel_at_stop,
    next_cancel,
    reset_after_clock_jump,
    with_cancel_answer,
)
from batchrunner.policy.schedule import Phase
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import CancelledAtStop, CancelledForDeadline
from batchrunner.runner.run_fetcher import RunFetcher, cancel, chunks
from batchrunner.store.attempts import apply_poll, request_cancel, request_cancel_at_stop

#: An attempt and what the newest poll showed of its run.
ObservedAttempt: TypeAlias = tuple[OpenAttempt, RunObservation]


class Canceller:
    """Decides for how long to wait for a run, and ends it after that."""

    def __init__(self, context: RunnerContext, fetcher: RunFetcher) -> None:
        self._context = context
        self._fetcher = fetcher
        self._started_at = context.now()
        self._unconfirmed = ConditionTimer(context.now())  # cancelled, but shown as unfinished
        self._lingering = ConditionTimer(context.now())  # with a result, but unfinished
        self._unknown = ConditionTimer(context.now())  # the API does not know it
        # How often a run was asked to be cancelled, and when it may be asked again.
        self._asked: dict[str, tuple[int, datetime]] = {}
        self._answers: dict[str, RunStatus] = {}  # what the API said to that
        # When the API first said that a run was created or started, by its status.
        self._first_shown: dict[tuple[str, RunStatus], datetime | None] = {}

    async def cancel(
        self, observed: Sequence[ObservedAttempt], unfinished: Sequence[ObservedAttempt]
    ) -> None:
        """Ask the API to cancel runs that are over their limit, or that the user gave up."""
        self._observe(observed, unfinished)
        wanted = [(a, run) for a, run in unfinished if not a.cancel_reason]
        lingering = [a.attempt_id for a, run in wanted if self._lingers(a, run)]
        await self._record(lingering, after_result=True)
        now = self._context.now()
        overdue = [a.attempt_id for a, run in wanted if self._is_overdue(a, run, now)]
        await self._record([each for each in overdue if each not in lingering])
        to_cancel = [a.attempt_id for a, _ in unfinished if a.cancel_reason] + lingering + overdue
        if self._context.phase is Phase.OVER:
            late = [a.attempt_id for a, _ in wanted if a.attempt_id not in to_cancel]
            await self._record_for_deadline(late)
            to_cancel += late
        to_cancel += await self._record_at_stop(wanted, to_cancel)
        await self._ask([a.run_id for a, _ in unfinished if a.attempt_id in to_cancel])

    async def _ask(self, run_ids: Sequence[str]) -> None:
        """Ask the API to cancel runs; those that were asked for lately get time to end."""
        now, never = self._context.now(), (0, self._started_at)
        due = [run_id for run_id in run_ids if self._asked.get(run_id, never)[1] <= now]
        for run_id in due:
            times = self._asked.get(run_id, never)[0]
            self._asked[run_id] = times + 1, now + next_cancel(times)
        self._answers |= await cancel(self._context, due)

    def completed(self, observed: Sequence[ObservedAttempt]) -> list[ObservedAttempt]:
        """Return what a poll showed, completed by the answers to earlier cancels."""
        answers = self._answers
        return [(a, with_cancel_answer(run, answers.get(a.run_id))) for a, run in observed]

    async def give_up(self, attempts: Sequence[OpenAttempt]) -> list[AttemptDecision]:
        """
        Close attempts whose runs the API never shows as ended: waiting for them would never end.

        These runs are not polled any more, so the API is asked once more to cancel them.
        """
        context, now = self._context, self._context.now()
        hopeless = [(a, reason) for a in attempts if (reason := self._why_hopeless(a.run_id))]
        if not hopeless:
            return []
        for chunk in chunks([a.run_id for a, _ in hopeless]):
            with suppress(RequestFailed):
                await context.api.cancel_many(chunk)
        decisions = [give_up(attempt, reason) for attempt, reason in hopeless]
        return await context.offload(
            lambda: apply_poll(context.store, context.owner.id, decisions, [], now)
        )

    def forget(self, run_id: str) -> None:
        """Forget a run whose attempt is closed."""
        self._asked.pop(run_id, None)
        self._answers.pop(run_id, None)
        for status in RunStatus:
            self._first_shown.pop((run_id, status), None)

    def _observe(
        self, observed: Sequence[ObservedAttempt], unfinished: Sequence[ObservedAttempt]
    ) -> None:
        """Note which runs are unfinished although they were cancelled or have a result."""
        now = self._context.now()
        unconfirmed = {a.run_id for a, _ in unfinished if a.cancel_reason}
        self._unconfirmed.observe(unconfirmed, now)
        self._unconfirmed.forget(a.run_id for a, _ in observed if a.run_id not in unconfirmed)
        unknown = {a.run_id for a, run in unfinished if isinstance(run, NotFound)}
        self._unknown.observe(unknown, now)
        self._unknown.forget(a.run_id for a, _ in observed if a.run_id not in unknown)
        lingering = (_run_and_result(a, run) for a, run in unfinished if lingers(run))
        self._lingering.observe(lingering, now)

    def _why_hopeless(self, run_id: str) -> str | None:
        if self._unconfirmed.has_lasted(run_id, GIVEN_UP_AFTER):
            return "the API was asked to cancel it, and does not show that it ended"
        if self._unknown.has_lasted(run_id, GIVEN_UP_AFTER):
            return "the API no longer knows it, and shows nothing that proves that it is gone"
        if self._fetcher.is_unmentioned(run_id, GIVEN_UP_AFTER):
            return "the API says nothing about it"
        return None

    def _lingers(self, attempt: OpenAttempt, observation: RunObservation) -> bool:
        key = _run_and_result(attempt, observation)
        return self._lingering.has_lasted(key, LINGERING_AFTER)

    def _is_overdue(self, attempt: OpenAttempt, observation: RunObservation, now: datetime) -> bool:
        """Return whether a run has gone on for longer than its limit."""
        observation = self._without_changing_times(observation)
        if not isinstance(observation, Run) or observation.shown_at is None:
            # Only the store's time is left; it may have jumped before this process began.
            attempt = reset_after_clock_jump(attempt, self._started_at)
        context = self._context
        return is_overdue(context.policy, attempt, observation, now, context.durations.running)

    def _without_changing_times(self, observation: RunObservation) -> RunObservation:
        """Return a run without the API's own time if the API changes the run's start each time."""
        if not isinstance(observation, Run):
            return observation
        begins = observation.started_at or observation.created_at
        known = self._first_shown.setdefault((observation.run_id, observation.status), begins)
        return observation if known == begins else replace(observation, shown_at=None)

    async def _record_at_stop(
        self, wanted: Sequence[ObservedAttempt], others: Sequence[int]
    ) -> list[int]:
        """Write which runs are going to be cancelled because they have not started; return them."""
        context = self._context
        asked, landing = context.stop.asked, context.phase is Phase.LANDING
        if not (asked or landing) or not context.stop.knows_its_runs:
            return []
        now = context.now()
        waiting = [
            attempt
            for attempt, run in wanted
            if attempt.attempt_id not in others
            and may_cancel_at_stop(attempt, run, now, at_once=asked)
        ]
        new = [each.attempt_id for each in waiting if not each.cancelled_at_stop]
        if new:
            await context.write(request_cancel_at_stop, context.owner.id, new)
            context.notify(CancelledAtStop(runs=len(new)))
        return [each.attempt_id for each in waiting]

    async def _record_for_deadline(self, attempt_ids: list[int]) -> None:
        if attempt_ids:
            await self._record(attempt_ids, for_deadline=True)
            self._context.notify(CancelledForDeadline(runs=len(attempt_ids)))

    async def _record(
        self, attempt_ids: list[int], *, for_deadline: bool = False, after_result: bool = False
    ) -> None:
        """Write that runs are going to be cancelled, and why, before the request is sent."""
        context, reason = self._context, FailureCategory.TIMED_OUT
        if attempt_ids:
            await context.offload(
                lambda: context.store.write(
                    request_cancel,
                    context.owner.id,
                    attempt_ids,
                    reason,
                    for_deadline=for_deadline,
                    after_result=after_result,
                )
            )


def _run_and_result(attempt: OpenAttempt, observation: RunObservation) -> str:
    """Name a run and the result that it shows: a result that still grows is not complete."""
    result = observation.result if isinstance(observation, Run) else None
    return f"{attempt.run_id} {zlib.crc32((result or '').encode())}"
