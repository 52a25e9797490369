"""Fills free slots: intend, create, record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import assert_never

import anyio

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

#: Seconds; a submission that was intended longer ago is sent only with a fresh lease.
STALE_CLAIM_AFTER = 5.0


class Submitter:
    """The loop that turns due jobs into runs."""

    def __init__(self, shift: RunnerContext) -> None:
        self._shift = shift
        self._credits = CreditNotice(shift)
        self._singly = False  # batch creation is not offered
        self._most = (
            MAX_RUNS_PER_REQUEST  # runs in a create; fewer while the credits suffice for fewer
        )
        self._pause: Pause | None = None  # as it was told last
        self._phase = Phase.OPEN  # as it was told last

    async def run(self) -> None:
        """Claim whatever is due and has room, and submit it; for ever."""
        shift = self._shift
        while True:
            await self._credits.note()
            await shift.create_gate.wait_until_open()
            if self._tell_phase() is not Phase.OPEN or shift.draining:
                await shift.work_changed.wait(DB_POLL_SECONDS)
                continue
            standing = await shift.work_left()
            self._tell(standing.pause)
            # Nobody else is kept from the database by a claim that can bring nothing.
            claimed = await self._claimed() if standing.has_claimable_work(shift.now()) else []
            if claimed:
                shift.budget_used_up = False
                await self._submit_all(claimed)
            else:
                await self._wait_for_due(standing)

    async def _claimed(self) -> list[Submission]:
        """Claim; where the database went away meanwhile, whatever was claimed is in doubt."""
        shift, most = self._shift, 1 if self._singly else self._most
        claim = partial(shift.store.claim, shift.owner.id, shift.batch.id, most)
        try:
            return await shift.offload_once(lambda: claim(shift.now(), shift.key_digest))
        except StoreError as error:
            if not error.passing:
                raise
        # Nothing of ours is being sent at this moment, so every intent is one that we never saw.
        doubt = partial(shift.store.doubt_intended, shift.owner.id, shift.batch.id)
        await shift.offload(lambda: doubt(shift.now(), "the database went away"))
        shift.unanswered_added.notify()
        return []

    async def _wait_for_due(self, standing: WorkLeft) -> None:
        # What is in flight may leave over a part of what is reserved for it.
        idle = (
            not standing.in_flight_here
            and not standing.in_flight_elsewhere
            and standing.pause is None
        )
        self._shift.budget_used_up = idle and standing.has_budget and await self._is_used_up()
        due_at = standing.due_at
        wait = (due_at - self._shift.now()).total_seconds() if due_at else DB_POLL_SECONDS
        # A job that is due and was not claimed waits for a slot: for news, that is.
        await self._shift.work_changed.wait(
            min(wait, DB_POLL_SECONDS) if wait > 0 else DB_POLL_SECONDS
        )

    async def _is_used_up(self) -> bool:
        """Whether it is the budget for which nothing was claimed."""
        shift = self._shift
        purse = await shift.offload(lambda: shift.store.purse(shift.batch.id, shift.now()))
        return purse is not None and purse.used_up

    def _tell(self, pause: Pause | None) -> None:
        """Tell that the batch is paused or resumed, once."""
        if pause != self._pause:
            self._pause = pause
            self._shift.notify(BatchPaused(pause=pause) if pause else BatchResumed())

    def _tell_phase(self) -> Phase:
        """Return where in its window the runner is; tell it where it has changed."""
        shift, phase = self._shift, self._shift.phase
        if phase is not self._phase:
            self._phase = phase
            shift.notify(ScheduleChanged(phase=phase, window=shift.window))
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
        shift = self._shift
        await shift.create_gate.wait_until_open()
        if not await self._is_wanted(submission):
            verdicts = settle_withdrawn(submission, shift.now())
            await shift.close_submission(submission, SubmissionState.REFUSED, verdicts, "not sent")
            return
        hook = shift.webhook_wakeup.webhook_url
        singly = self._singly and len(submission.attempts) == 1
        answer = await self._create(submission, hook, singly=singly)
        match answer:
            case Created(run_ids=run_ids):
                shift.create_gate.record_success()
                shift.credit_block = None
                self._most = min(self._most * 2, MAX_RUNS_PER_REQUEST)
                pairs = zip(submission.attempts, run_ids, strict=True)
                runs = {ride.attempt_id: run for ride, run in pairs}
                if await shift.record_runs(submission, runs):
                    await shift.mark_unanswered(
                        submission, shift.now(), "the answer named other jobs' runs"
                    )
            case Refused(fault=fault) if hook is not None and _is_about_webhooks(fault):
                await self._unhook(submission, fault)
            case Refused(fault=fault):
                await self._refused(submission, fault, singly=singly)
            case Unanswered(fault=fault):
                shift.apply_backpressure([classify_fault(fault)], shift.create_gate)
                shift.notify(CreateUnanswered(runs=len(submission.attempts), reason=fault.message))
                await shift.mark_unanswered(submission, shift.now(), fault.message)
                shift.stop_if_not_api(fault)
            case _:
                assert_never(answer)

    async def _is_wanted(self, submission: Submission) -> bool:
        """Whether a submission may be sent; one that waited may have been overtaken by events."""
        shift = self._shift
        if shift.draining or len(submission.attempts) > (1 if self._singly else self._most):
            return False
        if shift.phase is not Phase.OPEN:
            return False
        waited = (shift.now() - submission.intended_at).total_seconds()
        if waited > DB_POLL_SECONDS and (await shift.work_left()).pause:
            return False
        if waited > STALE_CLAIM_AFTER:
            # It may have been a suspended laptop that held it back: who was taken for dead must
            # not send what others have looked for in vain.
            await shift.renew_lease()
        return True

    async def _create(
        self, submission: Submission, hook: str | None, *, singly: bool
    ) -> CreateAnswer:
        requests = [run_request(submission, ride, hook) for ride in submission.attempts]
        schema = output_schema_of(submission)
        if singly:
            return await self._shift.api.create_one(requests[0], schema)
        return await self._shift.api.create(requests, schema)

    async def _unhook(self, submission: Submission, fault: ApiFault) -> None:
        """Go on without a webhook that is ours: no job is to fail for what it did not ask for."""
        shift = self._shift
        if shift.webhook_wakeup.webhook_url is not None:
            shift.webhook_wakeup.webhook_url = None
            shift.notify(WebhookDropped(reason=fault.message))
        verdicts = settle_without_webhook(submission, shift.now())
        await shift.close_submission(submission, SubmissionState.REFUSED, verdicts, fault.message)

    async def _refused(self, submission: Submission, fault: ApiFault, *, singly: bool) -> None:
        shift, count = self._shift, len(submission.attempts)
        missed = await self._missed() if singly and is_not_offered(fault) else None
        named = singly and missed is None
        verdicts = settle_refusal(shift.policy, submission, fault, shift.now(), singly=named)
        if is_not_offered(fault) and not singly:
            self._singly = True
        elif missed is None:
            self._hold(pool_wide_failures(verdicts), fault)
        if classify_fault(fault).category is FailureCategory.BILLING_FAILURE:
            self._most = max(count // 2, 1)
        await shift.close_submission(submission, SubmissionState.REFUSED, verdicts, fault.message)
        await self._credits.note()
        if missed is not None and not shift.stop_if_not_api(missed):
            shift.apply_backpressure([classify_fault(missed)], shift.create_gate)

    async def _missed(self) -> ApiFault | None:
        """Say why the API does not answer a look that costs nothing; None: it does, or did."""
        shift = self._shift
        if shift.create_gate.has_succeeded or shift.poll_gate.has_succeeded:
            return None
        try:
            await shift.api.check()
        except ApiError as error:
            return error.fault
        shift.poll_gate.record_success()
        return None

    def _hold(self, failures: Sequence[Failed], fault: ApiFault) -> None:
        """Hold creates back; stop where the API is there, and never let us create anything."""
        shift = self._shift
        if failures and is_not_offered(fault) and not shift.create_gate.has_succeeded:
            shift.stop_for(f"The API does not offer to create runs here: {fault.message}")
        else:
            shift.apply_backpressure(failures, shift.create_gate)


def _is_about_webhooks(fault: ApiFault) -> bool:
    return any("webhook" in said.casefold() for said in (fault.message, *fault.issues.values()))
