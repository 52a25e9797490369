"""Fills free slots: intend, create, record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, assert_never

import anyio
from anyio.abc import TaskGroup

from batchrunner.classify import classify_fault, is_not_offered
from batchrunner.model import (
    MAX_RUNS_PER_REQUEST,
    ApiError,
    ApiFault,
    CreateAnswer,
    Created,
    Failed,
    FailureCategory,
    Pause,
    Refused,
    Submission,
    Unanswered,
    WorkLeft,
)
from batchrunner.policy.create_outcome import (
    settle_refusal,
    settle_withdrawn,
    settle_without_webhook,
)
from batchrunner.policy.schedule import Phase
from batchrunner.runner.context import (
    DB_POLL_SECONDS,
    MAX_PARALLEL_REQUESTS,
    RunnerContext,
    StreamedCreate,
    pool_wide_failures,
)
from batchrunner.runner.events import (
    BatchPaused,
    BatchResumed,
    CreateUnanswered,
    ScheduleChanged,
    WebhookDropped,
)
from batchrunner.runner.notices import CreditNotice
from batchrunner.runner.run_matching import output_schema_of, run_request
from batchrunner.store.database import StoreError
from batchrunner.store.schema import SubmissionState
from batchrunner.tinyfish.sse import StreamEvent

#: Seconds; a submission that was intended longer ago is sent only with a fresh lease.
STALE_CLAIM_AFTER = 5.0
#: Seconds in which a stream of events may end after its run has.
STREAM_END_SECONDS = 5.0


class Submitter:
    """The loop that turns due jobs into runs."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._credits = CreditNotice(context)
        self._singly = False  # batch creation is not offered
        self._most = (
            MAX_RUNS_PER_REQUEST  # runs in a create; fewer while the credits suffice for fewer
        )
        self._pause: Pause | None = None  # as it was told last
        self._phase = Phase.OPEN  # as it was told last
        self._streams: TaskGroup  # readers of streams whose runs are known
        self._stream_ended: anyio.Event | None = None  # of the newest stream

    async def run(self) -> None:
        """Claim whatever is due and has room, and submit it; for ever."""
        async with anyio.create_task_group() as self._streams:
            await self._claim_and_submit()

    async def finish_streams(self) -> None:
        """Let the newest stream end, whose run is over."""
        if self._stream_ended is not None:
            with anyio.move_on_after(STREAM_END_SECONDS):
                await self._stream_ended.wait()

    async def _claim_and_submit(self) -> None:
        context = self._context
        while True:
            await self._credits.note()
            await context.create_gate.wait_until_open()
            if self._tell_phase() is not Phase.OPEN or context.draining:
                await context.work_changed.wait(DB_POLL_SECONDS)
                continue
            standing = await context.work_left()
            self._tell(standing.pause)
            # Nobody else is kept from the database by a claim that can bring nothing.
            claimed = await self._claimed() if standing.has_claimable_work(context.now()) else []
            if claimed:
                context.budget_used_up = False
                await self._submit_all(claimed)
            if context.submit_once:
                context.draining = True
                context.work_changed.notify()
            elif not claimed:
                await self._wait_for_due(standing)

    async def _claimed(self) -> list[Submission]:
        """Claim; where the database went away meanwhile, whatever was claimed is in doubt."""
        context, most = self._context, 1 if self._singly else self._most
        claim = partial(context.store.claim, context.owner.id, context.batch.id, most)
        try:
            return await context.offload_once(lambda: claim(context.now(), context.key_digest))
        except StoreError as error:
            if not error.passing:
                raise
        # Nothing of ours is being sent at this moment, so every intent is one that we never saw.
        doubt = partial(context.store.doubt_intended, context.owner.id, context.batch.id)
        await context.offload(lambda: doubt(context.now(), "the database went away"))
        context.unanswered_added.notify()
        return []

    async def _wait_for_due(self, standing: WorkLeft) -> None:
        # What is in flight may leave over a part of what is reserved for it.
        idle = (
            not standing.in_flight_here
            and not standing.in_flight_elsewhere
            and standing.pause is None
        )
        self._context.budget_used_up = idle and standing.has_budget and await self._is_used_up()
        due_at = standing.due_at
        wait = (due_at - self._context.now()).total_seconds() if due_at else DB_POLL_SECONDS
        # A job that is due and was not claimed waits for a slot: for news, that is.
        await self._context.work_changed.wait(
            min(wait, DB_POLL_SECONDS) if wait > 0 else DB_POLL_SECONDS
        )

    async def _is_used_up(self) -> bool:
        """Whether it is the budget for which nothing was claimed."""
        context = self._context
        purse = await context.offload(lambda: context.store.purse(context.batch.id, context.now()))
        return purse is not None and purse.used_up

    def _tell(self, pause: Pause | None) -> None:
        """Tell that the batch is paused or resumed, once."""
        if pause != self._pause:
            self._pause = pause
            self._context.notify(BatchPaused(pause=pause) if pause else BatchResumed())

    def _tell_phase(self) -> Phase:
        """Return where in its window the runner is; tell it where it has changed."""
        context, phase = self._context, self._context.phase
        if phase is not self._phase:
            self._phase = phase
            context.notify(ScheduleChanged(phase=phase, window=context.window))
        return phase

    async def _submit_all(self, submissions: Sequence[Submission]) -> None:
        # While it is being found out how many runs the credits suffice for, one by one.
        limiter = anyio.CapacityLimiter(
            MAX_PARALLEL_REQUESTS if self._most == MAX_RUNS_PER_REQUEST else 1
        )

        async def submit(submission: Submission) -> None:
            async with limiter:
                await self._submit(submission)

        async with anyio.create_task_group() as group:
            for submission in submissions:
                group.start_soon(submit, submission)

    async def _submit(self, submission: Submission) -> None:
        context = self._context
        await context.create_gate.wait_until_open()
        if not await self._is_wanted(submission):
            verdicts = settle_withdrawn(submission, context.now())
            await context.close_submission(
                submission, SubmissionState.REFUSED, verdicts, "not sent"
            )
            return
        hook = context.webhook_wakeup.webhook_url
        singly = self._singly and len(submission.attempts) == 1
        answer = await self._create(submission, hook, singly=singly)
        match answer:
            case Created(run_ids=run_ids):
                context.create_gate.record_success()
                context.credit_block = None
                self._most = min(self._most * 2, MAX_RUNS_PER_REQUEST)
                pairs = zip(submission.attempts, run_ids, strict=True)
                runs = {ride.attempt_id: run for ride, run in pairs}
                if await context.record_runs(submission, runs):
                    await context.mark_unanswered(
                        submission, context.now(), "the answer named other jobs' runs"
                    )
            case Refused(fault=fault) if hook is not None and _is_about_webhooks(fault):
                await self._unhook(submission, fault)
            case Refused(fault=fault):
                await self._refused(submission, fault, singly=singly)
            case Unanswered(fault=fault):
                context.apply_backpressure([classify_fault(fault)], context.create_gate)
                context.notify(
                    CreateUnanswered(runs=len(submission.attempts), reason=fault.message)
                )
                await context.mark_unanswered(submission, context.now(), fault.message)
                context.stop_if_not_api(fault)
            case _:
                assert_never(answer)

    async def _is_wanted(self, submission: Submission) -> bool:
        """Whether a submission may be sent; one that waited may have been overtaken by events."""
        context = self._context
        if context.draining or len(submission.attempts) > (1 if self._singly else self._most):
            return False
        if context.phase is not Phase.OPEN:
            return False
        waited = (context.now() - submission.intended_at).total_seconds()
        if waited > DB_POLL_SECONDS and (await context.work_left()).pause:
            return False
        if waited > STALE_CLAIM_AFTER:
            # It may have been a suspended laptop that held it back: who was taken for dead must
            # not send what others have looked for in vain.
            await context.renew_lease()
        return True

    async def _create(
        self, submission: Submission, hook: str | None, *, singly: bool
    ) -> CreateAnswer:
        requests = [run_request(submission, ride, hook) for ride in submission.attempts]
        schema = output_schema_of(submission)
        if self._context.streamed_create is not None and len(requests) == 1:
            return await self._create_streaming(self._context.streamed_create, requests[0], schema)
        if singly:
            return await self._context.api.create_one(requests[0], schema)
        return await self._context.api.create(requests, schema)

    async def _create_streaming(
        self, how: StreamedCreate, request: Mapping[str, Any], schema: Mapping[str, Any] | None
    ) -> CreateAnswer:
        """Create a run as a stream; return once the stream names it, and read on meanwhile."""
        answers: list[CreateAnswer] = []
        answered, ended = anyio.Event(), anyio.Event()

        def take(event: StreamEvent) -> None:
            if event.run_id is not None:
                answers.append(Created(run_ids=(event.run_id,)))
                answered.set()
            how.on_event(event)

        async def read() -> None:
            answers.append(await how.api.create_streaming(request, schema, take))
            answered.set()
            ended.set()

        self._stream_ended = ended
        self._streams.start_soon(read)
        await answered.wait()
        return answers[0]

    async def _unhook(self, submission: Submission, fault: ApiFault) -> None:
        """Go on without a webhook that is ours: no job is to fail for what it did not ask for."""
        context = self._context
        if context.webhook_wakeup.webhook_url is not None:
            context.webhook_wakeup.webhook_url = None
            context.notify(WebhookDropped(reason=fault.message))
        verdicts = settle_without_webhook(submission, context.now())
        await context.close_submission(submission, SubmissionState.REFUSED, verdicts, fault.message)

    async def _refused(self, submission: Submission, fault: ApiFault, *, singly: bool) -> None:
        context, count = self._context, len(submission.attempts)
        missed = await self._missed() if singly and is_not_offered(fault) else None
        named = singly and missed is None
        verdicts = settle_refusal(context.policy, submission, fault, context.now(), singly=named)
        if is_not_offered(fault) and not singly:
            self._singly = True
        elif missed is None:
            self._hold(pool_wide_failures(verdicts), fault)
        if classify_fault(fault).category is FailureCategory.BILLING_FAILURE:
            self._most = max(count // 2, 1)
        await context.close_submission(submission, SubmissionState.REFUSED, verdicts, fault.message)
        await self._credits.note()
        if missed is not None and not context.stop_if_not_api(missed):
            context.apply_backpressure([classify_fault(missed)], context.create_gate)

    async def _missed(self) -> ApiFault | None:
        """Say why the API does not answer a look that costs nothing; None: it does, or did."""
        context = self._context
        if context.create_gate.has_succeeded or context.poll_gate.has_succeeded:
            return None
        try:
            await context.api.check()
        except ApiError as error:
            return error.fault
        context.poll_gate.record_success()
        return None

    def _hold(self, failures: Sequence[Failed], fault: ApiFault) -> None:
        """Hold creates back; stop where the API is there, and never let us create anything."""
        context = self._context
        if failures and is_not_offered(fault) and not context.create_gate.has_succeeded:
            context.stop_for(f"The API does not offer to create runs here: {fault.message}")
        else:
            context.apply_backpressure(failures, context.create_gate)


def _is_about_webhooks(fault: ApiFault) -> bool:
    return any("webhook" in said.casefold() for said in (fault.message, *fault.issues.values()))
