"""Ends runs that go on for too long: cancels them, sees that confirmed, and gives them up."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeAlias

from batchrunner.model import (
    ApiError,
    AttemptDecision,
    FailureCategory,
    OpenAttempt,
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
    reset_after_clock_jump,
)
from batchrunner.policy.schedule import Pace, Phase
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import CancelledForDeadline
from batchrunner.runner.run_fetcher import RunFetcher, cancel, chunks

#: An attempt and what the last look showed of its run.
ObservedAttempt: TypeAlias = tuple[OpenAttempt, RunObservation]


class Canceller:
    """How long runs that go on are waited for, and what becomes of them then."""

    def __init__(self, context: RunnerContext, looking: RunFetcher) -> None:
        self._context = context
        self._looking = looking
        self._since = context.now()
        self._unconfirmed = ConditionTimer(context.now())  # cancelled, and shown as alive
        self._lingering = ConditionTimer(context.now())  # they show a result, and no end
        self._begun: dict[tuple[str, RunStatus], datetime | None] = {}  # by the API, as told first
        self._pace = Pace()  # how long runs are RUNNING

    def observe(self, seen: Sequence[ObservedAttempt], going_on: Sequence[ObservedAttempt]) -> None:
        """Note which runs a look showed as alive that should not be, or need not be."""
        now = self._context.now()
        unconfirmed = {a.run_id for a, _ in going_on if a.cancel_reason}
        self._unconfirmed.observe(unconfirmed, now)
        self._unconfirmed.forget(a.run_id for a, _ in seen if a.run_id not in unconfirmed)
        self._lingering.observe((_run_and_result(a, s) for a, s in going_on if lingers(s)), now)

    def learn(self, verdict: AttemptDecision) -> None:
        """Learn from an attempt that was closed how long runs take, and forget it."""
        attempt = verdict.attempt
        if not isinstance(attempt, OpenAttempt):
            return
        if not attempt.cancel_reason:
            began = attempt.started_at or attempt.opened_at
            self._pace = self._pace.learned(self._context.now() - began)
        for status in RunStatus:
            self._begun.pop((attempt.run_id, status), None)

    async def cancel(self, going_on: Sequence[ObservedAttempt]) -> None:
        """Ask the API to cancel what is over its limit and what the user gave up."""
        asked = [a.attempt_id for a, _ in going_on if a.cancel_reason]
        left = [(a, seen) for a, seen in going_on if not a.cancel_reason]
        lingering = [a.attempt_id for a, seen in left if self._lingers(a, seen)]
        await self._write_down(lingering, lingered=True)
        now = self._context.now()
        overdue = [a.attempt_id for a, seen in left if self._is_overdue(a, seen, now)]
        await self._write_down([each for each in overdue if each not in lingering])
        asked += lingering + overdue
        if self._context.phase is Phase.OVER:
            late = [a.attempt_id for a, _ in left if a.attempt_id not in asked]
            await self._recall(late)
            asked += late
        await cancel(self._context, [a.run_id for a, _ in going_on if a.attempt_id in asked])

    async def give_up(self, watched: Sequence[OpenAttempt]) -> list[AttemptDecision]:
        """
        Close attempts whose runs the API never shows as ended: waiting for them has no end.

        Nobody looks at them from here on, so the API is asked to cancel them once more.
        """
        context, now = self._context, self._context.now()
        hopeless = [(a, why) for a in watched if (why := self._why_hopeless(a.run_id))]
        if not hopeless:
            return []
        for chunk in chunks([a.run_id for a, _ in hopeless]):
            with suppress(ApiError):
                await context.api.cancel_many(chunk)
        verdicts = [give_up(attempt, why) for attempt, why in hopeless]
        return await context.offload(
            lambda: context.store.apply(context.owner.id, verdicts, [], now)
        )

    def _why_hopeless(self, run_id: str) -> str | None:
        if self._unconfirmed.has_lasted(run_id, GIVEN_UP_AFTER):
            return "the API was asked to cancel it, and does not show that it ended"
        if self._looking.is_missing(run_id, GIVEN_UP_AFTER):
            return "the API tells nothing about it"
        return None

    def _lingers(self, attempt: OpenAttempt, seen: RunObservation) -> bool:
        return self._lingering.has_lasted(_run_and_result(attempt, seen), LINGERING_AFTER)

    def _is_overdue(self, attempt: OpenAttempt, seen: RunObservation, now: datetime) -> bool:
        """Whether a run is not to be waited for any longer, though it goes on."""
        timed = self._timed(seen)
        if not isinstance(timed, Run) or timed.shown_at is None:
            # Only the ledger's time is left, which may have leapt before this process began.
            attempt = reset_after_clock_jump(attempt, self._since)
        return is_overdue(self._context.policy, attempt, timed, now, self._pace)

    def _timed(self, seen: RunObservation) -> RunObservation:
        """Return a run without the API's own time where that tells another beginning each time."""
        if not isinstance(seen, Run):
            return seen
        begins = seen.started_at or seen.created_at
        known = self._begun.setdefault((seen.run_id, seen.status), begins)
        return seen if known == begins else replace(seen, shown_at=None)

    async def _recall(self, attempt_ids: list[int]) -> None:
        """Note which runs are cancelled for the deadline."""
        if attempt_ids:
            await self._write_down(attempt_ids, recalled=True)
            self._context.notify(CancelledForDeadline(runs=len(attempt_ids)))

    async def _write_down(
        self, attempt_ids: list[int], *, recalled: bool = False, lingered: bool = False
    ) -> None:
        """Write down that runs are going to be cancelled, and why, before it is asked for."""
        context, why = self._context, FailureCategory.TIMED_OUT
        ask = partial(context.store.ask_to_cancel, context.owner.id, attempt_ids, why)
        if attempt_ids:
            await context.offload(lambda: ask(recalled=recalled, lingered=lingered))


def _run_and_result(attempt: OpenAttempt, seen: RunObservation) -> str:
    """Name a run and the result that it shows: one that still grows is no result yet."""
    result = seen.result if isinstance(seen, Run) else None
    return f"{attempt.run_id} {zlib.crc32((result or '').encode())}"
