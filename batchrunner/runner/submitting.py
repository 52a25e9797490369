"""Fills free slots: intend, create, record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import assert_never

import anyio

from batchrunner.classify import classify_fault, is_not_offered
from batchrunner.model import (
    MOST_RUNS,
    Answer,
    ApiError,
    ApiFault,
    Created,
    Failed,
    FailureCategory,
    Pause,
    Refused,
    Standing,
    Submission,
    Unanswered,
)
from batchrunner.policy import settle_refusal, settle_unhooked, settle_withdrawn
from batchrunner.policy.windows import Phase
from batchrunner.runner.credits import Credits
from batchrunner.runner.events import Paused, Resumed, Searching, Timed, Unhooked
from batchrunner.runner.matching import output_schema_of, request_of
from batchrunner.runner.shift import AT_ONCE, GLANCE, Shift, of_the_pool
from batchrunner.schema import SubmissionState
from batchrunner.store import StoreError

#: Seconds; a submission that was intended longer ago is sent only with a fresh lease.
STALE = 5.0


class Submitting:
    """The loop that turns due jobs into runs."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._credits = Credits(shift)
        self._singly = False  # batch creation is not offered
        self._most = MOST_RUNS  # runs in a create; fewer while the credits suffice for fewer
        self._pause: Pause | None = None  # as it was told last
        self._phase = Phase.OPEN  # as it was told last

    async def keep(self) -> None:
        """Claim whatever is due and has room, and submit it; for ever."""
        shift = self._shift
        while True:
            await self._credits.note()
            await shift.creates.clear()
            if self._tell_phase() is not Phase.OPEN or shift.draining:
                await shift.news.wait(GLANCE)
                continue
            standing = await shift.standing()
            self._tell(standing.pause)
            # Nobody else is kept from the database by a claim that can bring nothing.
            claimed = await self._claimed() if standing.invites(shift.now()) else []
            if claimed:
                shift.spent = False
                await self._submit_all(claimed)
            else:
                await self._wait_for_due(standing)

    async def _claimed(self) -> list[Submission]:
        """Claim; where the database went away meanwhile, whatever was claimed is in doubt."""
        shift, most = self._shift, 1 if self._singly else self._most
        claim = partial(shift.store.claim, shift.owner.id, shift.batch.id, most)
        try:
            return await shift.offload_once(lambda: claim(shift.now(), shift.key))
        except StoreError as error:
            if not error.passing:
                raise
        # Nothing of ours is being sent at this moment, so every intent is one that we never saw.
        doubt = partial(shift.store.doubt_intended, shift.owner.id, shift.batch.id)
        await shift.offload(lambda: doubt(shift.now(), "the database went away"))
        shift.doubts.ring()
        return []

    async def _wait_for_due(self, standing: Standing) -> None:
        # What is in flight may leave over a part of what is reserved for it.
        idle = not standing.mine and not standing.others and standing.pause is None
        self._shift.spent = idle and standing.budgeted and await self._is_used_up()
        due_at = standing.due_at
        wait = (due_at - self._shift.now()).total_seconds() if due_at else GLANCE
        # A job that is due and was not claimed waits for a slot: for news, that is.
        await self._shift.news.wait(min(wait, GLANCE) if wait > 0 else GLANCE)

    async def _is_used_up(self) -> bool:
        """Whether it is the budget for which nothing was claimed."""
        shift = self._shift
        purse = await shift.offload(lambda: shift.store.purse(shift.batch.id, shift.now()))
        return purse is not None and purse.used_up

    def _tell(self, pause: Pause | None) -> None:
        """Tell that the batch is paused or resumed, once."""
        if pause != self._pause:
            self._pause = pause
            self._shift.notify(Paused(pause=pause) if pause else Resumed())

    def _tell_phase(self) -> Phase:
        """Return where in its window the runner is; tell it where it has changed."""
        shift, phase = self._shift, self._shift.phase
        if phase is not self._phase:
            self._phase = phase
            shift.notify(Timed(phase=phase, window=shift.window))
        return phase

    async def _submit_all(self, submissions: Sequence[Submission]) -> None:
        # While it is being found out how many runs the credits suffice for, one by one.
        limiter = anyio.CapacityLimiter(AT_ONCE if self._most == MOST_RUNS else 1)

        async def submit(submission: Submission) -> None:
            async with limiter:
                await self._submit(submission)

        async with anyio.create_task_group() as group:
            for submission in submissions:
                group.start_soon(submit, submission)

    async def _submit(self, submission: Submission) -> None:
        shift = self._shift
        await shift.creates.clear()
        if not await self._is_wanted(submission):
            verdicts = settle_withdrawn(submission, shift.now())
            await shift.settle(submission, SubmissionState.REFUSED, verdicts, "not sent")
            return
        hook = shift.hints.address
        singly = self._singly and len(submission.rides) == 1
        answer = await self._create(submission, hook, singly=singly)
        match answer:
            case Created(run_ids=run_ids):
                shift.creates.went_well()
                shift.dry = None
                self._most = min(self._most * 2, MOST_RUNS)
                pairs = zip(submission.rides, run_ids, strict=True)
                runs = {ride.attempt_id: run for ride, run in pairs}
                if await shift.record(submission, runs):
                    await shift.doubt(submission, shift.now(), "the answer named other jobs' runs")
            case Refused(fault=fault) if hook is not None and _is_about_webhooks(fault):
                await self._unhook(submission, fault)
            case Refused(fault=fault):
                await self._refused(submission, fault, singly=singly)
            case Unanswered(fault=fault):
                shift.hold([classify_fault(fault)], shift.creates)
                shift.notify(Searching(runs=len(submission.rides), why=fault.message))
                await shift.doubt(submission, shift.now(), fault.message)
                shift.leave(fault)
            case _:
                assert_never(answer)

    async def _is_wanted(self, submission: Submission) -> bool:
        """Whether a submission may be sent; one that waited may have been overtaken by events."""
        shift = self._shift
        if shift.draining or len(submission.rides) > (1 if self._singly else self._most):
            return False
        if shift.phase is not Phase.OPEN:
            return False
        waited = (shift.now() - submission.intended_at).total_seconds()
        if waited > GLANCE and (await shift.standing()).pause:
            return False
        if waited > STALE:
            # It may have been a suspended laptop that held it back: who was taken for dead must
            # not send what others have looked for in vain.
            await shift.renew()
        return True

    async def _create(self, submission: Submission, hook: str | None, *, singly: bool) -> Answer:
        requests = [request_of(submission, ride, hook) for ride in submission.rides]
        schema = output_schema_of(submission)
        if singly:
            return await self._shift.api.create_one(requests[0], schema)
        return await self._shift.api.create(requests, schema)

    async def _unhook(self, submission: Submission, fault: ApiFault) -> None:
        """Go on without a webhook that is ours: no job is to fail for what it did not ask for."""
        shift = self._shift
        if shift.hints.address is not None:
            shift.hints.address = None
            shift.notify(Unhooked(why=fault.message))
        verdicts = settle_unhooked(submission, shift.now())
        await shift.settle(submission, SubmissionState.REFUSED, verdicts, fault.message)

    async def _refused(self, submission: Submission, fault: ApiFault, *, singly: bool) -> None:
        shift, count = self._shift, len(submission.rides)
        missed = await self._missed() if singly and is_not_offered(fault) else None
        named = singly and missed is None
        verdicts = settle_refusal(shift.policy, submission, fault, shift.now(), singly=named)
        if is_not_offered(fault) and not singly:
            self._singly = True
        elif missed is None:
            self._hold(of_the_pool(verdicts), fault)
        if classify_fault(fault).category is FailureCategory.BILLING_FAILURE:
            self._most = max(count // 2, 1)
        await shift.settle(submission, SubmissionState.REFUSED, verdicts, fault.message)
        await self._credits.note()
        if missed is not None and not shift.leave(missed):
            shift.hold([classify_fault(missed)], shift.creates)

    async def _missed(self) -> ApiFault | None:
        """Say why the API does not answer a look that costs nothing; None: it does, or did."""
        shift = self._shift
        if shift.creates.proven or shift.looks.proven:
            return None
        try:
            await shift.api.check()
        except ApiError as error:
            return error.fault
        shift.looks.went_well()
        return None

    def _hold(self, failures: Sequence[Failed], fault: ApiFault) -> None:
        """Hold creates back; stop where the API is there, and never let us create anything."""
        shift = self._shift
        if failures and is_not_offered(fault) and not shift.creates.proven:
            shift.give_up(f"The API does not offer to create runs here: {fault.message}")
        else:
            shift.hold(failures, shift.creates)


def _is_about_webhooks(fault: ApiFault) -> bool:
    return any("webhook" in said.casefold() for said in (fault.message, *fault.issues.values()))
