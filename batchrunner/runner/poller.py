"""Polls the runs in flight to their end: poll, classify, decide, apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

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
from batchrunner.model.hosts import host_of
from batchrunner.policy.poll_interval import (
    MAX_SAVED_POLLS,
    POLL_RULES,
    WEBHOOK_POLL_GAP,
    InFlight,
    in_flight_now,
    poll_interval,
    typical_duration,
)
from batchrunner.policy.run_decision import (
    believed_after,
    decide_run,
    has_started_before_cancel,
    is_lost,
    reset_after_clock_jump,
)
from batchrunner.policy.schedule import Phase
from batchrunner.runner.backpressure import pool_wide_failures
from batchrunner.runner.canceller import Canceller, ObservedAttempt
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import DB_POLL_SECONDS, RunnerContext
from batchrunner.runner.events import StartedBeforeCancel
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
        self._rule = POLL_RULES[context.batch.settings.looks]
        self._missing = ConditionTimer(context.now(), self._rule.longest_rarely)
        self._vanished = VanishedRuns(context)
        self._canceller = Canceller(context, self._fetcher)
        self._parked_hosts = ParkedHostNotice(context)
        self._slot_tuner = SlotTuner(context)
        self._webhook_asked = False  # a webhook asked for this poll
        self._webhooks_arrive = False  # a webhook reported the newest runs that ended
        self._all_were_over = True  # no poll has shown a run that goes on: each pays at once
        self._knows_stop = False  # the newest poll began after the user asked to stop
        self._saved_polls = 0.0  # polls that were put off, and that webhooks may use up

    async def poll(self) -> bool:
        """
        Poll all runs in flight once, and wait until the next poll is worthwhile.

        Returns whether a run goes on, as far as it shows.
        """
        context = self._context
        await context.gates.poll.wait_until_open()
        self._webhook_asked = context.webhook_wakeup.take_pending()
        self._knows_stop = context.stop.asked
        attempts = await self._open_attempts()
        if not attempts:
            await context.work_changed.wait(DB_POLL_SECONDS)
            return False
        observed, ended, open_now = await self._fetch(attempts), 0, attempts
        if observed is not None:
            now, observed = context.now(), self._canceller.completed(observed)
            decisions, unfinished = await self._decide_offloaded(observed, now)
            unfinished = await self._apply(decisions, unfinished, now)
            await self._canceller.cancel(observed, unfinished)
            ended, open_now = len(decisions), [attempt for attempt, _ in unfinished]
        if given_up := await self._canceller.give_up(attempts):
            report_closed(context, given_up)
        all_over = ended == len(attempts)
        self._all_were_over &= all_over
        if self._fetcher.put_off:
            await context.clock_jumped.wait(PUT_OFF_SECONDS)
        elif not self._all_were_over:
            await self._wait_for_next_poll(open_now or attempts, ended)
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
            self._report_started(applied)
            await self._parked_hosts.report_changes(applied)
        return [(_with_observation(a, run, now), run) for a, run in unfinished]

    def _report_started(self, applied: Sequence[AttemptDecision]) -> None:
        """Report what runs cost that had started before they could be cancelled at a stop."""
        paid = [decision.run for decision in applied if has_started_before_cancel(decision)]
        if paid:
            steps = sum(run.steps or 0 for run in paid if run)
            self._context.notify(StartedBeforeCancel(runs=len(paid), steps=steps))

    def _learn(self, applied: Sequence[AttemptDecision]) -> None:
        """Learn how long runs take from attempts that were closed."""
        for decision in applied:
            if isinstance(decision.attempt, OpenAttempt):
                self._canceller.forget(decision.attempt.run_id)
                self._context.durations.learn(decision.attempt, self._context.now())
                self._learn_of_host(decision.attempt, decision.run)

    def _learn_of_host(self, attempt: OpenAttempt, run: Run | None) -> None:
        """Learn how long a run takes on its host, by the API's times if it shows them."""
        if attempt.cancel_reason is not None or run is None:
            return
        took = self._context.now() - (attempt.started_at or attempt.opened_at)
        if run.started_at and run.finished_at and run.finished_at >= run.started_at:
            took = run.finished_at - run.started_at
        self._context.durations.by_host.learn(host_of(attempt.url), took)

    async def _wait_for_next_poll(self, attempts: Sequence[OpenAttempt], ended: int) -> None:
        """
        Wait until the next poll is worthwhile: *ended* runs have ended, those of *attempts* go on.

        A webhook brings it forward by as much as earlier polls were put off: on average there are
        no more polls than without webhooks, however many webhooks arrive.
        """
        context, rule = self._context, self._rule
        now = context.now()
        ages = [now - a.started_at for a in attempts if a.started_at and not a.cancel_reason]
        typical = typical_duration(context.durations.running, ages)
        in_flight = self._in_flight(attempts, ended, now, queue_known=typical is None)
        interval = poll_interval(rule, typical, in_flight)
        await self._slot_tuner.learn(rule, interval, typical)
        began, usual = anyio.current_time(), interval.total_seconds()
        longest = poll_interval(rule, typical, in_flight, webhooks_expected=self._webhooks_arrive)
        if self._knows_stop or not context.stop.asked:
            await context.webhook_wakeup.wait(min(longest, context.until_over).total_seconds())
        if context.stop.asked and not self._knows_stop:
            # The next poll cancels runs that have not started.
            await context.clock_jumped.wait(WEBHOOK_POLL_GAP.total_seconds())
        elif context.webhook_wakeup.pending:
            shortest = min(WEBHOOK_POLL_GAP.total_seconds(), usual)
            soonest = max(usual * (1 - self._saved_polls), shortest)
            await context.clock_jumped.wait(began + soonest - anyio.current_time())
        intervals = (anyio.current_time() - began) / usual
        self._saved_polls = min(max(self._saved_polls + intervals - 1, 0.0), MAX_SAVED_POLLS)

    def _in_flight(
        self, attempts: Sequence[OpenAttempt], ended: int, now: datetime, *, queue_known: bool
    ) -> InFlight:
        context = self._context
        return in_flight_now(
            attempts,
            ended,
            now,
            queue_known=queue_known or self._slot_tuner.queue_found,
            jobs_left=context.jobs_left,
            stopping=context.stop.draining or context.phase is Phase.OVER,
        )


def _with_observation(
    attempt: OpenAttempt, observation: RunObservation, now: datetime
) -> OpenAttempt:
    if not isinstance(observation, Run):
        return attempt
    starts = observation.status is RunStatus.RUNNING and attempt.started_at is None
    started_at = now if starts else attempt.started_at
    return replace(attempt, status=observation.status, started_at=started_at)
