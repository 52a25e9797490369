"""Fills free slots: claims due jobs, sends create requests, records the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import anyio
from anyio.abc import TaskGroup

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.classify import classify_fault, is_blocked, is_not_offered, is_not_the_api
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    CreateAnswer,
    Created,
    Failed,
    FailureCategory,
    Pause,
    Refused,
    RequestFailed,
    Submission,
    Unanswered,
    WorkLeft,
)
from batchrunner.model.marker_removal import unmarked_answer
from batchrunner.policy.create_outcome import (
    is_certain,
    refused_as_batch,
    settle_not_created,
    settle_refusal,
    settle_withdrawn,
    settle_without_webhook,
)
from batchrunner.policy.fair_shares import LeftSlots
from batchrunner.policy.schedule import Phase
from batchrunner.runner.backpressure import pool_wide_failures
from batchrunner.runner.context import DB_POLL_SECONDS, MAX_PARALLEL_REQUESTS, RunnerContext
from batchrunner.runner.create_route import CreateRoute
from batchrunner.runner.events import (
    BatchPaused,
    BatchResumed,
    CreateUnanswered,
    GroundingDropped,
    ScheduleChanged,
    WebhookDropped,
)
from batchrunner.runner.last_jobs import LastJobsFirst
from batchrunner.runner.limit_learner import LimitLearner
from batchrunner.runner.notices import CreditNotice
from batchrunner.runner.offload import StoreOutage
from batchrunner.runner.refusal_check import RefusalCheck
from batchrunner.runner.run_matching import output_schema_of, run_request
from batchrunner.runner.submission_record import mark_unanswered, record_runs, settle_submission
from batchrunner.store.claims import budget_status, claim_jobs
from batchrunner.store.database import StoreError
from batchrunner.store.errors import OwnerForgotten
from batchrunner.store.fair_shares import want_nothing, want_slots
from batchrunner.store.schema import SubmissionState
from batchrunner.store.submissions import mark_intended_unanswered

#: Seconds; a submission that was claimed longer ago is sent only with a fresh lease.
STALE_CLAIM_AFTER = 5.0


def newest_attempt(claimed: Sequence[Submission], before: int, owner_id: str) -> int:
    """
    Return the id of the newest attempt of an owner; the newest are never removed, so it only grows.

    Raises:
        OwnerForgotten: The database has forgotten attempts: an older copy has taken its place.
    """
    ids = [attempt.attempt_id for submission in claimed for attempt in submission.attempts]
    if ids and min(ids) <= before:
        raise OwnerForgotten(owner_id)
    return max([before, *ids])


class Submitter:
    """The loop that turns due jobs into runs."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._credits = CreditNotice(context)
        self._refusal_check = RefusalCheck(context)
        self._route = CreateRoute()
        self._limit = LimitLearner(context)
        self._last_jobs = LastJobsFirst(context)
        #: Runs in a create request; fewer while the credits cover fewer.
        self._max_runs = MAX_RUNS_PER_REQUEST
        self._newest_attempt = 0  # id of the newest attempt that this owner has opened
        self._left = LeftSlots()
        self._wants_slots = True  # other runners leave it its share
        self._outage = StoreOutage(context.now, context.notify)
        self._reported_pause: Pause | None = None
        self._reported_phase = Phase.OPEN
        self._streams: TaskGroup  # reads streams of runs in the background

    async def run(self) -> None:
        """Claim all jobs that are due and fit into free slots, and submit them; forever."""
        async with anyio.create_task_group() as self._streams:
            await self._claim_and_submit()

    async def _claim_and_submit(self) -> None:
        context = self._context
        await context.stop.audited.wait()  # perhaps another database runs this batch
        while True:
            await self._credits.note()
            await context.gates.create.wait_until_open()
            if self._report_phase() is not Phase.OPEN or context.stop.draining:
                context.jobs_left = False
                await self._want_nothing()
                await context.work_changed.wait(DB_POLL_SECONDS)
                continue
            work_left = await context.work_left()
            context.jobs_left = work_left.due_at is not None
            self._report_pause(work_left.pause)
            # A claim that cannot bring anything would only keep others from the database.
            claimed = []
            if work_left.has_claimable_work(context.now()):
                await self._refusal_check.confirm_due()
                claimed = await self._claim()
            else:
                await self._wait_for_share(work_left)
            self._wants_slots = True
            if claimed:
                context.stop.budget_used_up = False
                await self._submit_all(claimed)
            if context.submit_once:
                context.stop.drain()
            elif not claimed:
                await self._wait_for_due(work_left)

    async def _wait_for_share(self, work_left: WorkLeft) -> None:
        """Ask other runners for a share if they have all slots; nothing is left by them now."""
        context = self._context
        self._left.forget()
        if work_left.is_left_out(context.now()):
            await context.write(want_slots, context.owner.id, context.batch.id, context.now())

    async def _want_nothing(self) -> None:
        """Tell other runners once that they need not leave slots to this one."""
        if self._wants_slots:
            self._wants_slots = False
            await self._context.write(want_nothing, self._context.owner.id)

    async def _claim(self) -> list[Submission]:
        """Claim due jobs; if the database fails meanwhile, the claimed jobs are unanswered."""
        context, max_runs = self._context, 1 if self._route.singly else self._max_runs
        first = await self._last_jobs.order()
        try:
            claimed = await context.offload_once(
                lambda: context.store.write(
                    claim_jobs,
                    context.owner.id,
                    context.batch.id,
                    max_runs,
                    context.now(),
                    context.key_digest,
                    part=context.part,
                    ground=context.captures_html,
                    first=first,
                    new_token=context.store.new_token,
                    left=None if context.submit_once else self._left,
                )
            )
        except StoreError as error:
            if not error.passing:
                raise
            # A nearly full disk may have room for everything else.
            self._outage.note(error)
        else:
            self._outage.end()
            self._newest_attempt = newest_attempt(claimed, self._newest_attempt, context.owner.id)
            self._last_jobs.claimed(each.job.id for one in claimed for each in one.attempts)
            return claimed
        await self._give_up_claim()
        return []

    async def _give_up_claim(self) -> None:
        context = self._context
        # This runner sends nothing now, so every intended submission is one that it never saw.
        await context.write(
            mark_intended_unanswered,
            context.owner.id,
            context.batch.id,
            context.now(),
            "the database went away",
        )
        context.unanswered_added.notify()

    async def _wait_for_due(self, work_left: WorkLeft) -> None:
        # Runs in flight may cost less than was reserved for them.
        in_flight = work_left.in_flight_here or work_left.in_flight_elsewhere
        is_idle = not in_flight and work_left.pause is None
        is_used_up = is_idle and work_left.has_budget and await self._is_budget_used_up()
        self._context.stop.budget_used_up = is_used_up
        due_at = work_left.due_at
        wait = (due_at - self._context.now()).total_seconds() if due_at else DB_POLL_SECONDS
        # A job that is due and was not claimed waits for a slot.
        seconds = min(wait, DB_POLL_SECONDS) if wait > 0 else DB_POLL_SECONDS
        if ripe_at := self._left.ripe_at():
            seconds = min(seconds, max((ripe_at - self._context.now()).total_seconds(), 0.01))
        await self._context.work_changed.wait(seconds)

    async def _is_budget_used_up(self) -> bool:
        """Return whether nothing was claimed because of the budget."""
        context = self._context
        budget = await context.offload(
            lambda: context.store.read(
                budget_status, context.batch.id, context.now(), part=context.part
            )
        )
        return budget is not None and budget.used_up

    def _report_pause(self, pause: Pause | None) -> None:
        """Report once that the batch is paused or resumed."""
        if pause != self._reported_pause:
            self._reported_pause = pause
            self._context.notify(BatchPaused(pause=pause) if pause else BatchResumed())

    def _report_phase(self) -> Phase:
        """Return where in its window the runner is; report it when it has changed."""
        context, phase = self._context, self._context.phase
        if phase is not self._reported_phase:
            self._reported_phase = phase
            context.notify(ScheduleChanged(phase=phase, window=context.window))
        return phase

    async def _submit_all(self, submissions: Sequence[Submission]) -> None:
        # One at a time while it is unknown how many runs the credits or the account's limit cover.
        all_covered = self._max_runs == MAX_RUNS_PER_REQUEST and not self._limit.is_met
        all_covered &= not self._route.trying
        limiter = anyio.CapacityLimiter(MAX_PARALLEL_REQUESTS if all_covered else 1)

        async def submit(submission: Submission) -> None:
            async with limiter:
                await self._submit(submission)

        async with anyio.create_task_group() as group:
            for submission in submissions:
                group.start_soon(submit, submission)

    async def _submit(self, submission: Submission) -> None:
        """Send a claimed submission, and write what the answer means."""
        context = self._context
        await context.gates.create.wait_until_open()
        if not await self._is_wanted(submission):
            decisions = settle_withdrawn(submission, context.now())
            refused = SubmissionState.REFUSED
            await settle_submission(
                context, submission, refused, decisions, "not sent", certain=True
            )
            return
        webhook_url = context.webhook_wakeup.webhook_url
        singly = self._route.singly and len(submission.attempts) == 1
        answer = await self._create(submission, webhook_url, singly=singly)
        match answer:
            case Created(run_ids=run_ids):
                self._route.note_created(singly=singly)
                await self._record(submission, run_ids)
            case Refused(fault=fault) if webhook_url is not None and _is_about_webhooks(fault):
                await self._drop_webhook(submission, fault)
            case Refused(fault=fault) if _is_about_captures(fault, submission):
                await self._drop_captures(submission, fault)
            case Refused(fault=fault):
                await self._close_refused(submission, fault, singly=singly)
            case Unanswered(fault=fault):
                await self._mark_unanswered(submission, fault, singly=singly)
            case _:
                assert_never(answer)

    async def _is_wanted(self, submission: Submission) -> bool:
        """Return whether a submission may still be sent; it may have waited at a gate."""
        context = self._context
        max_runs = 1 if self._route.singly else self._max_runs
        if context.stop.draining or len(submission.attempts) > max_runs:
            return False
        if self._limit.was_claimed_before_refusal(submission):
            return False
        if context.phase is not Phase.OPEN:
            return False
        waited = (context.now() - submission.intended_at).total_seconds()
        if waited > DB_POLL_SECONDS and (await context.work_left()).pause:
            return False
        if waited > STALE_CLAIM_AFTER:
            # The machine may have slept. If other runners took this owner for dead, searched for
            # the submission and did not find it, sending it now would create a second run.
            await context.renew_lease()
        return True

    async def _create(
        self, submission: Submission, webhook_url: str | None, *, singly: bool
    ) -> CreateAnswer:
        """Send the create request, once; no layer below repeats it."""
        requests = [run_request(each, webhook_url) for each in submission.attempts]
        schema = output_schema_of(submission)
        answer = await self._send(requests, schema, singly=singly)
        # An error may repeat the goal that it is about.
        return unmarked_answer(answer, [each.marker for each in submission.attempts])

    async def _send(
        self, requests: Sequence[dict[str, Any]], schema: dict[str, Any] | None, *, singly: bool
    ) -> CreateAnswer:
        api, streamed_create = self._context.api, self._context.streamed_create
        if streamed_create is not None and len(requests) == 1:
            return await streamed_create.create(self._streams, requests[0], schema)
        if singly:
            return await api.create_one(requests[0], schema)
        return await api.create(requests, schema)

    async def _record(self, submission: Submission, run_ids: Sequence[str]) -> None:
        context = self._context
        context.gates.create.record_success()
        context.gates.credit_block = None
        self._max_runs = min(self._max_runs * 2, MAX_RUNS_PER_REQUEST)
        pairs = zip(submission.attempts, run_ids, strict=True)
        runs = {attempt.attempt_id: run_id for attempt, run_id in pairs}
        if await record_runs(context, submission, runs):
            reason = "the answer named other jobs' runs"
            await mark_unanswered(context, submission, context.now(), reason)
        await self._limit.accepted()

    async def _mark_unanswered(
        self, submission: Submission, fault: ApiFault, *, singly: bool
    ) -> None:
        """Note that the runs may exist: the reconciler searches for them."""
        context = self._context
        if is_blocked(fault):
            self._route.note_refused(singly=singly)
        await self._limit.refused(len(submission.attempts), fault)
        context.gates.meet(fault, context.gates.create)
        context.notify(CreateUnanswered(runs=len(submission.attempts), reason=fault.message))
        await mark_unanswered(context, submission, context.now(), fault.message)
        if is_not_the_api(fault) and (read_fault := await self._read_fault()):
            context.gates.stop_if_not_api(read_fault)

    async def _drop_webhook(self, submission: Submission, fault: ApiFault) -> None:
        """Go on without our webhook: no job may fail for an option that it did not ask for."""
        context = self._context
        if context.webhook_wakeup.webhook_url is not None:
            context.webhook_wakeup.webhook_url = None
            context.notify(WebhookDropped(reason=fault.message))
        decisions = settle_without_webhook(submission, context.now())
        refused = SubmissionState.REFUSED
        await settle_submission(context, submission, refused, decisions, fault.message)

    async def _drop_captures(self, submission: Submission, fault: ApiFault) -> None:
        """Go on without pages for grounding: no job may fail for an option that it did not have."""
        context = self._context
        if context.captures_html:
            context.captures_html = False
            context.notify(GroundingDropped(reason=fault.message))
        await self._put_back(submission, fault)

    async def _close_refused(
        self, submission: Submission, fault: ApiFault, *, singly: bool
    ) -> None:
        """Close a refused submission; change how creates are sent if that was the reason."""
        context, gates = self._context, self._context.gates
        if await self._limit.refused(len(submission.attempts), fault):
            await self._put_back(submission, fault)
            return
        not_offered, works = is_not_offered(fault), self._route.batch_works
        if not singly and refused_as_batch(submission, fault, batch_works=works):
            self._route.note_refused(singly=singly)
            await self._put_back(submission, fault)
            return
        read_fault = await self._read_fault() if singly and not_offered else None
        names_job = singly and read_fault is None
        decisions = settle_refusal(
            context.policy, submission, fault, context.now(), singly=names_job
        )
        pool_wide = pool_wide_failures(decisions)
        if is_blocked(fault) and pool_wide if singly else not_offered:
            self._route.note_refused(singly=singly)
        if read_fault is None and not (not_offered and not singly):
            self._delay_or_stop(pool_wide, fault)
        if classify_fault(fault).category is FailureCategory.BILLING_FAILURE:
            self._max_runs = max(len(submission.attempts) // 2, 1)
        refused, certain = SubmissionState.REFUSED, is_certain(fault)
        await settle_submission(
            context, submission, refused, decisions, fault.message, certain=certain
        )
        await self._credits.note()
        if read_fault is not None and not gates.stop_if_not_api(read_fault):
            gates.meet(read_fault, gates.create)
        if fault.kind is ApiFaultKind.BARRED:
            gates.stop_if_not_api(fault)

    async def _put_back(self, submission: Submission, fault: ApiFault) -> None:
        """Close a submission that was refused for no job's fault; its jobs are sent otherwise."""
        decisions = settle_not_created(submission, fault, self._context.now())
        refused = SubmissionState.REFUSED
        await settle_submission(self._context, submission, refused, decisions, fault.message)

    async def _read_fault(self) -> ApiFault | None:
        """Return why the API does not answer a free read; None if it answers or has answered."""
        context = self._context
        if context.gates.api_has_answered:
            return None
        try:
            await context.api.check()
        except RequestFailed as error:
            return error.fault
        context.gates.poll.record_success()
        return None

    def _delay_or_stop(self, failures: Sequence[Failed], fault: ApiFault) -> None:
        """Delay creates; stop if this API has never offered to create a run."""
        context, create_gate = self._context, self._context.gates.create
        if failures and is_not_offered(fault) and not create_gate.has_succeeded:
            message = f"The API does not offer to create runs here: {fault.message}"
            failure = Failed(category=FailureCategory.UNREACHABLE, message=message)
            context.stop.stop(failure, polling_disabled=False)
        else:
            context.gates.apply_backpressure(failures, create_gate, fault.status)


def _is_about_webhooks(fault: ApiFault) -> bool:
    return any("webhook" in text.casefold() for text in (fault.message, *fault.issues.values()))


def _is_about_captures(fault: ApiFault, submission: Submission) -> bool:
    """Return whether a request was refused for what grounding captures beside the jobs' options."""
    if not any(attempt.grounded for attempt in submission.attempts):
        return False
    said = (fault.message, *map(str, fault.issues), *fault.issues.values())
    return any("capture" in text.casefold() or "html" in text.casefold() for text in said)
