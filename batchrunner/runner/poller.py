"""Follows runs to their end: look, classify, decide, apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import ApiError, AttemptDecision, OpenAttempt, Run, RunObservation, RunStatus
from batchrunner.policy.poll_interval import (
    MAX_POLL_SECONDS,
    MAX_SAVED_POLLS,
    WEBHOOK_POLL_GAP,
    poll_interval,
)
from batchrunner.policy.run_decision import LOST_AFTER, decide_run, reset_after_clock_jump
from batchrunner.runner.canceller import Canceller
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import DB_POLL_SECONDS, RunnerContext, pool_wide_failures
from batchrunner.runner.events import AttemptsClosed
from batchrunner.runner.mismatch_fixer import MismatchFixer
from batchrunner.runner.notices import ParkedHostNotice
from batchrunner.runner.run_fetcher import RunFetcher
from batchrunner.runner.slot_tuner import SlotTuner


class Poller:
    """The loop that looks at runs in flight, all of them in as few requests as can be."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._typical: timedelta | None = None
        self._looking = RunFetcher(context)
        self._stopping = Canceller(context, self._looking)
        self._rematching = MismatchFixer(context)
        self._hinted = False  # a hint asked for this look
        self._hints_come = False  # one did when runs were last seen to have ended
        self._saved = 0.0  # looks that were put off, and may be spent on hints
        self._missing = ConditionTimer(
            context.now(), MAX_POLL_SECONDS
        )  # the API does not know them
        self._slots = SlotTuner(context)
        self._hosts = ParkedHostNotice(context)

    async def poll(self) -> bool:
        """
        Look once, and wait until the next look is worth it.

        Returns whether there was anything to look at.
        """
        context = self._context
        await context.poll_gate.wait_until_open()
        self._hinted = context.webhook_wakeup.take_pending()
        watched = await self._watched()
        if not watched:
            await context.work_changed.wait(DB_POLL_SECONDS)
            return False
        try:
            sightings = await self._looking.fetch([attempt.run_id for attempt in watched])
        except ApiError as error:
            # A lost look is not a lost run: nothing follows but to look again.
            context.stop_if_not_api(error.fault)
            context.apply_backpressure([classify_fault(error.fault)], context.poll_gate)
        else:
            context.poll_gate.record_success()
            seen = [(a, sightings[a.run_id]) for a in watched if a.run_id in sightings]
            wrong = await self._rematching.fix(seen)
            seen = [(a, sighting) for a, sighting in seen if a.submission_id not in wrong]
            going_on = await self._judge(seen)
            self._stopping.observe(seen, going_on)
            await self._stopping.cancel(going_on)
        self._tell(await self._stopping.give_up(watched))
        oldest = context.now() - min(attempt.opened_at for attempt in watched)
        await self._slots.learn(poll_interval(self._typical, oldest), self._typical)
        await self._rest(oldest)
        return True

    async def _rest(self, oldest: timedelta) -> None:
        """
        Wait until the next look is worth it.

        A hint brings it forward, for as long as looks were put off before: on balance there are
        no more looks than without hints, however many there are.
        """
        context, began = self._context, anyio.current_time()
        usual = poll_interval(self._typical, oldest).total_seconds()
        longest = poll_interval(self._typical, oldest, hinted=self._hints_come)
        await context.webhook_wakeup.wait(longest.total_seconds())
        if context.webhook_wakeup.pending:
            soonest = max(usual * (1 - self._saved), min(WEBHOOK_POLL_GAP.total_seconds(), usual))
            await context.clock_jumped.wait(began + soonest - anyio.current_time())
        looks = (anyio.current_time() - began) / usual
        self._saved = min(max(self._saved + looks - 1, 0.0), MAX_SAVED_POLLS)

    async def _watched(self) -> list[OpenAttempt]:
        context = self._context
        watched = await context.offload(
            lambda: context.store.watched(context.owner.id, context.batch.id)
        )
        leapt_at = context.clock.jumped_at
        return [reset_after_clock_jump(attempt, leapt_at) for attempt in watched]

    async def _judge(
        self, seen: Sequence[tuple[OpenAttempt, RunObservation]]
    ) -> list[tuple[OpenAttempt, RunObservation]]:
        """Apply what follows from a look; return the attempts whose runs go on, as seen."""
        context, now = self._context, self._context.now()
        self._missing.observe((a.run_id for a, s in seen if not isinstance(s, Run)), now)
        self._missing.forget(a.run_id for a, s in seen if isinstance(s, Run))
        judged = [(a, s, self._verdict(a, s, now)) for a, s in seen]
        verdicts = [verdict for _, _, verdict in judged if verdict]
        going_on = [(a, s) for a, s, verdict in judged if verdict is None]
        applied = await context.offload(
            lambda: context.store.apply(context.owner.id, verdicts, going_on, now)
        )
        if applied:
            self._hints_come = self._hinted or context.webhook_wakeup.pending
            self._learn(applied)
            context.apply_backpressure(pool_wide_failures(applied), context.create_gate)
            self._tell(applied)
            await self._hosts.tell(applied)
        return [
            (_with_observation(attempt, sighting, now), sighting) for attempt, sighting in going_on
        ]

    def _verdict(
        self, attempt: OpenAttempt, seen: RunObservation, now: datetime
    ) -> AttemptDecision | None:
        """Judge a run; one that is missing only after looks that were answered, one by one."""
        if not isinstance(seen, Run) and not self._missing.has_lasted(attempt.run_id, LOST_AFTER):
            return None
        return decide_run(self._context.policy, attempt, seen, now)

    def _tell(self, applied: Sequence[AttemptDecision]) -> None:
        """Tell which attempts were closed; their slots are free."""
        if applied:
            self._context.notify(AttemptsClosed(decisions=tuple(applied)))
            self._context.work_changed.notify()

    def _learn(self, applied: Sequence[AttemptDecision]) -> None:
        """Learn how long runs take: an average in which the last dozens count most."""
        for verdict in applied:
            self._stopping.learn(verdict)
            if isinstance(verdict.attempt, OpenAttempt):
                took = self._context.now() - verdict.attempt.opened_at
                if not verdict.attempt.cancel_reason:
                    self._context.pace = self._context.pace.learned(took)
                before = took if self._typical is None else self._typical
                self._typical = before + (took - before) / 32


def _with_observation(attempt: OpenAttempt, sighting: RunObservation, now: datetime) -> OpenAttempt:
    if not isinstance(sighting, Run):
        return attempt
    starts = sighting.status is RunStatus.RUNNING and attempt.started_at is None
    return replace(
        attempt, status=sighting.status, started_at=now if starts else attempt.started_at
    )
