"""Fills free slots: intend, create, record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import assert_never

import anyio

from batchrunner.classify import classify_fault, is_not_offered
from batchrunner.model import (
    MOST_RUNS,
    Answer,
    ApiFault,
    Created,
    FailureCategory,
    Refused,
    Submission,
    Unanswered,
)
from batchrunner.policy import settle_refusal, settle_withdrawn
from batchrunner.runner.events import Searching
from batchrunner.runner.matching import output_schema_of, request_of
from batchrunner.runner.shift import AT_ONCE, GLANCE, Shift, of_the_pool
from batchrunner.schema import SubmissionState
from batchrunner.store import StoreError

#: A submission that was intended longer ago than this is sent only with a fresh lease.
STALE = timedelta(seconds=5)


class Submitting:
    """The loop that turns due jobs into runs."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._singly = False  # batch creation is not offered
        self._most = MOST_RUNS  # runs in a create; fewer while the credits suffice for fewer

    async def keep(self) -> None:
        """Claim whatever is due and has room, and submit it; for ever."""
        shift = self._shift
        while True:
            await shift.creates.clear()
            if shift.draining:
                await shift.news.wait(GLANCE)
                continue
            most = 1 if self._singly else self._most
            claimed = await self._claimed(most)
            if claimed:
                await self._submit_all(claimed)
            else:
                await self._wait_for_due()

    async def _claimed(self, most: int) -> list[Submission]:
        """Claim; where the database went away meanwhile, whatever was claimed is in doubt."""
        shift = self._shift
        claim = partial(shift.store.claim, shift.owner.id, shift.batch.id, most)
        try:
            return await shift.offload_once(lambda: claim(shift.now()))
        except StoreError as error:
            if not error.passing:
                raise
        # Nothing of ours is being sent at this moment, so every intent is one that we never saw.
        doubt = partial(shift.store.doubt_intended, shift.owner.id, shift.batch.id)
        await shift.offload(lambda: doubt(shift.now(), "the database went away"))
        shift.doubts.ring()
        return []

    async def _wait_for_due(self) -> None:
        due_at = (await self._shift.standing()).due_at
        wait = (due_at - self._shift.now()).total_seconds() if due_at else GLANCE
        # A job that is due and was not claimed waits for a slot: for news, that is.
        await self._shift.news.wait(min(wait, GLANCE) if wait > 0 else GLANCE)

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
        if shift.draining or len(submission.rides) > self._most:
            verdicts = settle_withdrawn(submission, shift.now())
            await shift.settle(submission, SubmissionState.REFUSED, verdicts, "not sent")
            return
        if shift.now() - submission.intended_at > STALE:
            # It may have been a suspended laptop that held it back: who was taken for dead must
            # not send what others have looked for in vain.
            await shift.renew()
        answer = await self._create(submission)
        match answer:
            case Created(run_ids=run_ids):
                shift.creates.went_well()
                self._most = min(self._most * 2, MOST_RUNS)
                pairs = zip(submission.rides, run_ids, strict=True)
                await shift.record(submission, {ride.attempt_id: run for ride, run in pairs})
            case Refused(fault=fault):
                await self._refused(submission, fault)
            case Unanswered(fault=fault):
                shift.hold([classify_fault(fault)], shift.creates)
                shift.notify(Searching(runs=len(submission.rides), why=fault.message))
                await shift.doubt(submission, shift.now(), fault.message)
            case _:
                assert_never(answer)

    async def _create(self, submission: Submission) -> Answer:
        requests = [request_of(submission, ride) for ride in submission.rides]
        schema = output_schema_of(submission)
        if self._singly:
            return await self._shift.api.create_one(requests[0], schema)
        return await self._shift.api.create(requests, schema)

    async def _refused(self, submission: Submission, fault: ApiFault) -> None:
        shift, count = self._shift, len(submission.rides)
        verdicts = settle_refusal(shift.policy, submission, fault, shift.now(), singly=self._singly)
        if is_not_offered(fault) and not self._singly:
            self._singly = True
        else:
            shift.hold(of_the_pool(verdicts), shift.creates)
        if classify_fault(fault).category is FailureCategory.BILLING_FAILURE:
            self._most = max(count // 2, 1)
        await shift.settle(submission, SubmissionState.REFUSED, verdicts, fault.message)
