"""Polls the runs in flight to their end: poll, classify, decide, apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import anyio

from batchrunner.model import (
    AttemptDecision,
    NotFound,
    OpenAttempt,
    RequestFailed,
    Run,
    RunObservation,
    RunStatus,
)
from batchrunner.policy.poll_interval import (
    MAX_POLL_INTERVAL,
    MAX_SAVED_POLLS,
    WEBHOOK_POLL_GAP,
    poll_interval,
)
from batchrunner.policy.run_decision import (
    believed_after,
    decide_run,
    is_lost,
    reset_after_clock_jump,
)
from batchrunner.runner.backpressure import pool_wide_failures
from batchrunner.runner.canceller import Canceller, ObservedAttempt
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import DB_POLL_SECONDS, RunnerContext
from batchrunner.runner.mismatch_fixer import MismatchFixer
from batchrunner.runner.notices import ParkedHostNotice
from batchrunner.runner.run_fetcher import RunFetcher
from batchrunner.runner.slot_tuner import SlotTuner
from batchrunner.runner.submission_record import report_closed
from batchrunner.runner.vanished_runs import VanishedRuns
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.tinyfish.client import result_bytes

#: Results that are judged between other tasks; more are judged in a thread.
MAX_INLINE_RESULT_BYTES = 64 * 1024
#: Seconds between two polls of which the first did not read every run.
PUT_OFF_SECONDS = 2.0


class Poller:
    """The loop that polls all runs in flight, in as few requests as possible."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._fetcher = RunFetcher(context)
        self._mismatch_fixer = MismatchFixer(context)
        self._missing = ConditionTimer(context.now(), MAX_POLL_INTERVAL)
        self._vanished = VanishedRuns(context)
        self._canceller = Canceller(context, self._fetcher)
        self._parked_hosts = ParkedHostNotice(context)
        self._slot_tuner = SlotTuner(context)
        self._webhook_asked = False  # a webhook asked for this poll
        self._webhooks_arrive = False  # a webhook reported the newest runs that ended
        self._all_were_over = True  # no poll has shown a run that goes on: each pays at once
        self._saved_polls = 0.0  # polls that were put off, and that webhooks may use up

    async def poll(self) -> bool:
        """
        Poll all runs in flight once, and wait until the next poll is worthwhile.

        Returns whether a run goes on, as far as it shows.
        """
        context = self._context
        await context.gates.poll.wait_until_open()
        self._webhook_asked = context.webhook_wakeup.take_pending()
        attempts = await self._open_attempts()
        if not attempts:
            await context.work_changed.wait(DB_POLL_SECONDS)
            return False
        observed, all_over = await self._fetch(attempts), False
        if observed is not None:
            now, observed = context.now(), self._canceller.completed(observed)
            decisions, unfinished = await self._decide_offloaded(observed, now)
            unfinished = await self._apply(decisions, unfinished, now)
            await self._canceller.cancel(observed, unfinished)
            all_over = not unfinished and len(observed) == len(attempts)
        self._all_were_over &= all_over
        if given_up := await self._canceller.give_up(attempts):
            report_closed(context, given_up)
        oldest = context.now() - min(attempt.opened_at for attempt in attempts)
        if self._fetcher.put_off:
            await context.clock_jumped.wait(PUT_OFF_SECONDS)
        elif not self._all_were_over:
            await self._wait_for_next_poll(oldest)
        return not all_over

    async def _open_attempts(self) -> list[OpenAttempt]:
        context = self._context
        attempts = await context.offload(
            lambda: context.store.read(runs_in_flight, context.owner.id, context.batch.id)
        )
        jumped_at = context.clock.jumped_at
        return [reset_after_clock_jump(attempt, jumped_at) for attempt in attempts]

    async def _fetch(self, attempts: Sequence[OpenAttempt]) -> list[ObservedAttempt] | None:
        """Fetch the attempts' runs; None if the API showed none of them."""
        context = self._context
        try:
            observations = await self._fetcher.fetch([attempt.run_id for attempt in attempts])
        except RequestFailed as error:
            # A failed poll is not a failed run: nothing follows, except that we poll again.
            context.gates.stop_if_not_api(error.fault)
            context.gates.meet(error.fault, context.gates.poll)
            return None
        context.gates.poll.record_success()
        observed = [(a, observations[a.run_id]) for a in attempts if a.run_id in observations]
        mixed_up = await self._mismatch_fixer.fix(observed)
        return [(a, run) for a, run in observed if a.submission_id not in mixed_up]

    async def _decide_offloaded(
        self, observed: Sequence[ObservedAttempt], now: datetime
    ) -> tuple[list[AttemptDecision], list[ObservedAttempt]]:
        """Decide; in a thread if results are long, as judging them takes seconds."""
        certain = await self._certain(observed, now)
        if result_bytes(run for _, run in observed) <= MAX_INLINE_RESULT_BYTES:
            return self._decide(certain, observed, now)
        return await self._context.offload_once(lambda: self._decide(certain, observed, now))

    async def _certain(
        self, observed: Sequence[ObservedAttempt], now: datetime
    ) -> list[ObservedAttempt]:
        """Return the observations that count: a run must be missing for long, and be gone."""
        self._missing.observe((a.run_id for a, run in observed if not isinstance(run, Run)), now)
        self._missing.forget(a.run_id for a, run in observed if isinstance(run, Run))
        certain = [(a, run) for a, run in observed if self._has_lasted(a, run, now)]
        gone = await self._vanished.confirm([a for a, run in certain if isinstance(run, NotFound)])
        return [(a, run) for a, run in certain if not isinstance(run, NotFound) or a.run_id in gone]

    def _decide(
        self, certain: Sequence[ObservedAttempt], observed: Sequence[ObservedAttempt], now: datetime
    ) -> tuple[list[AttemptDecision], list[ObservedAttempt]]:
        """Classify what is certain; return decisions, and the attempts whose runs go on."""
        decided = [decide_run(self._context.policy, a, run, now) for a, run in certain]
        decisions = [decision for decision in decided if decision]
        closed = {decision.attempt.attempt_id for decision in decisions}
        return decisions, [(a, run) for a, run in observed if a.attempt_id not in closed]

    def _has_lasted(self, attempt: OpenAttempt, observation: RunObservation, now: datetime) -> bool:
        """Return whether an observation counts: a run must be missing for a while in polls."""
        if isinstance(observation, Run):
            return True
        after = believed_after(observation)
        return self._missing.has_lasted(attempt.run_id, after) and is_lost(attempt, now, after)

    async def _apply(
        self,
        decisions: Sequence[AttemptDecision],
        unfinished: Sequence[ObservedAttempt],
        now: datetime,
    ) -> list[ObservedAttempt]:
        """Write everything in one transaction; return the unfinished attempts as they are now."""
        context = self._context
        applied = await context.offload(
            lambda: apply_poll(context.store, context.owner.id, decisions, unfinished, now)
        )
        if applied:
            self._webhooks_arrive = self._webhook_asked or context.webhook_wakeup.pending
            self._learn(applied)
            failures = pool_wide_failures(applied)
            context.gates.apply_backpressure(failures, context.gates.create)
            report_closed(context, applied)
            await self._parked_hosts.report_changes(applied)
        return [(_with_observation(a, run, now), run) for a, run in unfinished]

    def _learn(self, applied: Sequence[AttemptDecision]) -> None:
        """Learn how long runs take from attempts that were closed."""
        for decision in applied:
            if isinstance(decision.attempt, OpenAttempt):
                self._canceller.forget(decision.attempt.run_id)
                self._context.durations.learn(decision.attempt, self._context.now())

    async def _wait_for_next_poll(self, oldest: timedelta) -> None:
        """
        Wait until the next poll is worthwhile.

        A webhook brings it forward by as much as earlier polls were put off: on average there are
        no more polls than without webhooks, however many webhooks arrive.
        """
        context, typical = self._context, self._context.durations.typical
        interval = poll_interval(typical, oldest)
        await self._slot_tuner.learn(interval, typical)
        began, usual = anyio.current_time(), interval.total_seconds()
        longest = poll_interval(typical, oldest, webhooks_expected=self._webhooks_arrive)
        await context.webhook_wakeup.wait(longest.total_seconds())
        if context.webhook_wakeup.pending:
            shortest = min(WEBHOOK_POLL_GAP.total_seconds(), usual)
            soonest = max(usual * (1 - self._saved_polls), shortest)
            await context.clock_jumped.wait(began + soonest - anyio.current_time())
        intervals = (anyio.current_time() - began) / usual
        self._saved_polls = min(max(self._saved_polls + intervals - 1, 0.0), MAX_SAVED_POLLS)


def _with_observation(
    attempt: OpenAttempt, observation: RunObservation, now: datetime
) -> OpenAttempt:
    if not isinstance(observation, Run):
        return attempt
    starts = observation.status is RunStatus.RUNNING and attempt.started_at is None
    started_at = now if starts else attempt.started_at
    return replace(attempt, status=observation.status, started_at=started_at)
