"""What a poll or a failed request showed → the attempt's outcome and failure category; pure."""

from __future__ import annotations

import re
from dataclasses import replace

from batchrunner.api_facts.error_codes import (
    NOT_OFFERED_STATUSES,
    TRANSIENT_STATUSES,
    WRONG_ADDRESS_STATUSES,
)
from batchrunner.judge import judge_result
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    Expectations,
    Failed,
    FailureCategory,
    Finish,
    Judgement,
    NotFound,
    Outcome,
    Remark,
    Run,
    RunError,
    RunObservation,
    RunStatus,
    Succeeded,
    Transition,
    Unreadable,
    Verdict,
)
from batchrunner.model.categories import CATEGORIES
from batchrunner.text.json_size import is_parsable

#: `error.category` of a failed run → ours (Runs page); anything else is UNKNOWN.
CATEGORY_BY_RUN_CATEGORY = {
    "SYSTEM_FAILURE": FailureCategory.SYSTEM_FAILURE,
    "AGENT_FAILURE": FailureCategory.AGENT_FAILURE,
    "BILLING_FAILURE": FailureCategory.BILLING_FAILURE,
}

#: Codes of API errors that matter more than the status.
CATEGORY_BY_CODE = {
    "INSUFFICIENT_CREDITS": FailureCategory.BILLING_FAILURE,
    "CONTENT_POLICY_VIOLATION": FailureCategory.REJECTED,
}

#: Longest code and message that are kept: the database stores them for each attempt.
MAX_CODE_LENGTH, MAX_MESSAGE_LENGTH = 200, 10_000

#: HTTP status of an API error → category; for 403 and other statuses see `classify_fault`.
CATEGORY_BY_STATUS = {
    400: FailureCategory.REJECTED,
    401: FailureCategory.UNAUTHORIZED,
    402: FailureCategory.BILLING_FAILURE,
    403: FailureCategory.UNAUTHORIZED,
    413: FailureCategory.REJECTED,
    422: FailureCategory.REJECTED,
    429: FailureCategory.THROTTLED,
}

#: Code of a result that could not be read: it is paid for, and another run would not help.
UNREADABLE = "unreadable"

#: Code of a success whose result is too large to be parsed: it is kept, not judged and not shown.
SET_ASIDE = "set_aside"

#: Words about a lack of credits, but not about a feature that is missing in a subscription.
_LACK_OF_CREDITS = re.compile(
    r"\bcredits?\b|(no|active|expired) subscription|balance|payment|add money", re.IGNORECASE
)

_NOTHING_EXPECTED = Expectations()


def classify(
    observation: RunObservation,
    *,
    cancel_reason: FailureCategory | None = None,
    expectations: Expectations = _NOTHING_EXPECTED,
    after_result: bool = False,
) -> Outcome | None:
    """
    Say what an observation of a run means; None while the run has not ended.

    *cancel_reason* is the reason why we asked the API to cancel the run, if we did. *expectations*
    are what its result is judged by. *after_result* means that the run was cancelled because it
    showed its result and did not end; the result of any other cancelled run may be incomplete.
    """
    match observation:
        case NotFound():
            return Failed(
                category=FailureCategory.LOST,
                message=f"The API no longer knows run {observation.run_id}",
            )
        case Unreadable():
            return Failed(
                category=FailureCategory.INVALID_RESULT,
                code=UNREADABLE,
                message=f"The API's answer about this run cannot be read: {observation.message}",
            )
        case Run():
            if after_result and observation.status is RunStatus.CANCELLED and observation.result:
                return _classify_result(observation, expectations)
            return _classify_run(observation, cancel_reason, expectations)


def classify_fault(fault: ApiFault) -> Failed:
    """Say what a failed request means for its jobs."""
    if fault.kind is not ApiFaultKind.STATUS or fault.status is None:
        category = FailureCategory.UNREACHABLE
    elif fault.status < 500 and (fault.code or "").upper() in CATEGORY_BY_CODE:
        category = CATEGORY_BY_CODE[(fault.code or "").upper()]
    elif fault.status == 403 and _LACK_OF_CREDITS.search(fault.message):
        # Legacy accounts get 403 FORBIDDEN where newer ones get 402. Only the message differs from
        # that of a 403 for an option that needs a right.
        category = FailureCategory.BILLING_FAILURE
    else:
        category = CATEGORY_BY_STATUS.get(fault.status, _category_of_other_status(fault.status))
    return Failed(
        category=category,
        message=fault.message,
        code=fault.code,
        retry_after=fault.retry_after,
        advice=fault.advice,
        help=fault.help,
    )


def _category_of_other_status(status: int) -> FailureCategory:
    """Return the category of a status that is not in the table."""
    if 400 <= status < 500 and status not in TRANSIENT_STATUSES:
        return FailureCategory.REJECTED
    return FailureCategory.UNREACHABLE


def is_not_offered(fault: ApiFault) -> bool:
    """Whether the API has no such endpoint, as opposed to refusing the request."""
    return fault.kind is ApiFaultKind.STATUS and fault.status in NOT_OFFERED_STATUSES


def is_blocked(fault: ApiFault) -> bool:
    """Whether the API, or a gateway in front of it, passes no request to this endpoint."""
    credits = classify_fault(fault).category is FailureCategory.BILLING_FAILURE
    return fault.status in (403, *NOT_OFFERED_STATUSES) and not credits


def shortened(text: str, limit: int) -> str:
    """Return *text*, cut with a note if it is longer than *limit* characters."""
    return text if len(text) <= limit else f"{text[:limit]}… (cut: {len(text):,} characters)"


def is_not_the_api(fault: ApiFault) -> bool:
    """Whether a server, the API or another, says that there is nothing at the address."""
    return (
        fault.kind in (ApiFaultKind.STATUS, ApiFaultKind.MALFORMED)
        and fault.status in WRONG_ADDRESS_STATUSES
    )


def _classify_run(
    run: Run, cancel_reason: FailureCategory | None, expectations: Expectations
) -> Outcome | None:
    match run.status:
        case RunStatus.PENDING | RunStatus.RUNNING:
            return None
        case RunStatus.COMPLETED:
            return _classify_result(run, expectations)
        case RunStatus.FAILED:
            return _classify_run_error(run.error)
        case RunStatus.CANCELLED:
            return _classify_cancelled(cancel_reason)


def _classify_result(run: Run, expectations: Expectations) -> Outcome:
    """Judge the result of a completed run: COMPLETED does not mean that the goal was met."""
    return outcome_of(judge_result(run.result, expectations, run.schema_errors), run.result)


def outcome_of(judgement: Judgement, result: str | None) -> Outcome:
    """Return what a judgement of *result* means for the attempt: only a bad result fails."""
    if failure := judgement.failure:
        # The message may come from the result, which can be very long.
        return replace(failure, message=shortened(failure.message, MAX_MESSAGE_LENGTH))
    is_judged = result is None or is_parsable(result)
    return Succeeded(
        remark=None if is_judged else _set_aside(result or ""),
        verdict=judgement.verdict,
        findings=judgement.findings,
    )


def verdict_of_transition(transition: Transition) -> Verdict | None:
    """Return the verdict on the result of the attempt that a transition closes; None without."""
    if transition.failure is not None:
        return verdict_of_failure(transition.failure)
    return transition.verdict if isinstance(transition, Finish) else None


def verdict_of_failure(failure: Failed) -> Verdict | None:
    """Return `bad` if the judge decided so; None if the failure is not about a result."""
    if CATEGORIES[failure.category].from_result and failure.code != UNREADABLE:
        return Verdict.BAD
    return None


def _set_aside(result: str) -> Remark:
    return Remark(
        code=SET_ASIDE,
        message=f"The result ({len(result) / 1e6:.1f} MB) is too large to be judged and shown: it "
        "is kept as it came, and `batchrunner result` prints it",
    )


def _classify_cancelled(cancel_reason: FailureCategory | None) -> Failed:
    if cancel_reason is FailureCategory.TIMED_OUT:
        return Failed(
            category=cancel_reason, message="The run was over its time limit and was cancelled"
        )
    by = "on request" if cancel_reason else "by somebody else"
    return Failed(category=FailureCategory.RUN_CANCELLED, message=f"The run was cancelled {by}")


def _classify_run_error(error: RunError | None) -> Failed:
    if error is None:
        return Failed(category=FailureCategory.UNKNOWN, message="The run failed without a reason")
    return Failed(
        category=CATEGORY_BY_RUN_CATEGORY.get(
            (error.category or "").upper(), FailureCategory.UNKNOWN
        ),
        message=error.message,
        code=error.code,
        retry_after=error.retry_after,
    )
