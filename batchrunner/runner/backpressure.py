"""Delays or stops all requests of a runner when one failure concerns them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import assert_never

from batchrunner.classify import classify_fault, is_not_offered, is_not_the_api
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    AttemptDecision,
    DelayRequests,
    Failed,
    FailureCategory,
    Snooze,
    StopSubmitting,
)
from batchrunner.policy.backpressure import (
    backpressure,
    barred_since,
    is_barred_for_good,
    is_key_refused,
)
from batchrunner.policy.retry_rules import Policy
from batchrunner.runner.events import Event, RequestsDelayed
from batchrunner.runner.request_gate import RequestGate
from batchrunner.runner.stop_state import StopState
from batchrunner.runner.wakeup import WakeUp


class RequestGates:
    """The gates for creates and polls, which all loops of one runner share."""

    def __init__(
        self,
        *,
        policy: Policy,
        stop: StopState,
        clock_jumped: WakeUp,
        now: Callable[[], datetime],
        notify: Callable[[Event], None],
    ) -> None:
        self.create = RequestGate(now, clock_jumped)
        self.poll = RequestGate(now, clock_jumped)  #: polls, searches and cancels
        self._barred_since: datetime | None = None
        self.credit_block: DelayRequests | None = None  #: the newest create met no credits
        self._policy = policy
        self._stop = stop
        self._now = now
        self._notify = notify

    @property
    def api_has_answered(self) -> bool:
        """Whether the address has answered at least once as the API does."""
        return self.create.has_succeeded or self.poll.has_succeeded

    def meet(self, fault: ApiFault, gate: RequestGate) -> None:
        """Delay requests, or stop, if the fault that a request met at *gate* concerns them all."""
        self.apply_backpressure([classify_fault(fault)], gate, fault.status)

    def apply_backpressure(
        self, failures: Sequence[Failed], gate: RequestGate, status: int | None = None
    ) -> None:
        """
        Delay requests, or stop, if one of the failures met at *gate* concerns them all.

        *status* is the one that a request was refused with.
        """
        is_poll, now = gate is self.poll, self._now()
        effect = backpressure(
            self._policy,
            failures,
            gate.consecutive_failures,
            now,
            reading=is_poll,
            key_refused=is_key_refused(
                status,
                has_worked=self.api_has_answered,
                refusals=gate.refusals,
                refused_for=now - (gate.refused_since or now),
            ),
        )
        match effect:
            case None:
                return
            case DelayRequests():
                gate.record_failure(effect.failure.category)
                self._delay(effect)
            case StopSubmitting():
                self._stop.stop(effect.failure, polling_disabled=is_poll)
            case _:
                assert_never(effect)

    def stop_if_not_api(self, fault: ApiFault) -> bool:
        """
        Stop if the address is not the API's, and return whether it stopped.

        Once the API has answered, its absence is an outage like any other, and a way that is barred
        gets two minutes.
        """
        if fault.kind is ApiFaultKind.BARRED:
            return self._stop_if_barred_for_good(fault)
        if self.api_has_answered or not is_not_the_api(fault):
            return False
        message = f"This address is not the API: {fault.message}"
        failure = Failed(category=FailureCategory.UNREACHABLE, message=message)
        self._stop.stop(failure, polling_disabled=True)
        return True

    def _stop_if_barred_for_good(self, fault: ApiFault) -> bool:
        now = self._now()
        successes = [self.create.succeeded_at, self.poll.succeeded_at]
        succeeded_at = max((each for each in successes if each), default=None)
        self._barred_since = barred_since(self._barred_since, succeeded_at, now)
        if not is_barred_for_good(self._barred_since, succeeded_at, now):
            return False
        self._stop.stop(classify_fault(fault), polling_disabled=True)
        return True

    def _delay(self, effect: DelayRequests) -> None:
        for gate in [self.create] if effect.creates_only else [self.create, self.poll]:
            gate.delay_until(effect.until)
        if effect.failure.category is FailureCategory.BILLING_FAILURE:
            self.credit_block = effect  # reported when it is in the store
        elif self._stop.failure is None:
            self._notify(RequestsDelayed(until=effect.until, failure=effect.failure))


def is_permanent(fault: ApiFault) -> bool:
    """Return whether a search that met this fault will never be answered."""
    refused = classify_fault(fault).category is FailureCategory.REJECTED
    return refused or is_not_offered(fault)


def pool_wide_failures(decisions: Sequence[AttemptDecision]) -> list[Failed]:
    """Return the failures that are not specific to one job: the next job would meet them too."""
    return [
        decision.transition.failure
        for decision in decisions
        if isinstance(decision.transition, Snooze) and decision.transition.max_batch_size is None
    ]
