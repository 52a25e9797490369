"""Learns how many runs at once the account accepts, from creates that the API refuses with 429."""

from __future__ import annotations

from datetime import datetime

from batchrunner.model import ApiFault, Submission
from batchrunner.policy.account_limit import AccountLimit, is_about_runs, refusal_wait
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import AccountLimitMet
from batchrunner.store import account_limit


class LimitLearner:
    """What this runner's creates show of the account's limit; the store has it, for all runners."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._known: AccountLimit | None = None
        self._read = False
        self._refused_at: datetime | None = None
        self._refusals = 0  # with 429, since the newest create that was accepted
        self._first_refused_at: datetime | None = None  # of these

    @property
    def is_met(self) -> bool:
        """Whether creates were refused for the limit: they are sent one after the other then."""
        return self._known is not None

    def was_claimed_before_refusal(self, submission: Submission) -> bool:
        """Whether a submission was claimed before the newest refusal, and so may be too large."""
        return self._refused_at is not None and submission.intended_at < self._refused_at

    async def refused(self, count: int, fault: ApiFault) -> bool:
        """Learn from a refused create of *count* runs; return whether it was above the limit."""
        context, now = self._context, self._context.now()
        if fault.status != 429:
            return False
        self._refusals += 1
        self._first_refused_at = self._first_refused_at or now
        about_runs = is_about_runs(
            fault,
            reads_refused=context.gates.poll.is_throttled,
            rate_refusals=self._refusals,
            refused_for=now - self._first_refused_at,
        )
        if not about_runs:
            return False
        batch_id, asked = context.batch.id, fault.retry_after
        before = self._known
        learned, in_flight = await context.offload(
            lambda: context.store.write(account_limit.record_refusal, batch_id, count, now, asked)
        )
        self._known, self._refused_at = learned, context.now()
        context.gates.create.delay_until(now + refusal_wait(learned, in_flight, asked))
        if before is None or before.bound != learned.bound:
            context.notify(AccountLimitMet(most=learned.bound))
        return True

    async def accepted(self) -> None:
        """Learn from a create whose runs are stored."""
        self._refusals, self._first_refused_at = 0, None
        context = self._context
        if not self._read:
            self._read = True
            self._known = await context.offload(
                lambda: context.store.read(account_limit.account_limit, context.batch.id)
            )
        if self._known is not None:
            self._known = await context.offload(
                lambda: context.store.write(account_limit.record_acceptance, context.batch.id)
            )
            context.work_changed.notify()
