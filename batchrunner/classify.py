"""Evidence → outcome; pure and total."""

from __future__ import annotations

import re
from dataclasses import replace

from batchrunner.api_facts.error_codes import (
    NOT_OFFERED_STATUSES,
    TRANSIENT_STATUSES,
    WRONG_ADDRESS_STATUSES,
)
from batchrunner.judge import judge
from batchrunner.model import (
    ApiFault,
    Expectations,
    Failed,
    FailureCategory,
    FaultKind,
    NotFound,
    Outcome,
    Run,
    RunError,
    RunObservation,
    RunStatus,
    Succeeded,
    Unreadable,
)

#: `error.category` of a failed run → ours (Runs page); anything else is UNKNOWN.
CATEGORY_BY_RUN_CATEGORY = {
    "SYSTEM_FAILURE": FailureCategory.SYSTEM_FAILURE,
    "AGENT_FAILURE": FailureCategory.AGENT_FAILURE,
    "BILLING_FAILURE": FailureCategory.BILLING_FAILURE,
}

#: Codes of API errors that say more than their status, whichever it is.
CATEGORY_BY_CODE = {
    "INSUFFICIENT_CREDITS": FailureCategory.BILLING_FAILURE,
    "CONTENT_POLICY_VIOLATION": FailureCategory.REJECTED,
}

#: Characters of what an error says that are kept: a ledger holds it once for each attempt.
LONGEST_CODE, LONGEST_MESSAGE = 200, 10_000

#: HTTP status of an API error → category; 403 is looked at more closely, the rest is UNREACHABLE.
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

#: A plan or subscription that lacks a feature is not meant: that is no lack of credits.
_CREDITS = re.compile(
    r"\bcredits?\b|(no|active|expired) subscription|balance|payment|add money", re.IGNORECASE
)

_NOTHING_EXPECTED = Expectations()


def classify(
    sighting: RunObservation,
    *,
    cancelling: FailureCategory | None = None,
    expectations: Expectations = _NOTHING_EXPECTED,
    lingered: bool = False,
) -> Outcome | None:
    """
    Say what a look at a run means; None while the run is still going.

    *cancelling* is why we asked the API to cancel the run, if we did; *expectations* are what its
    result is judged by. It *lingered* if it was cancelled because it showed its result and did not
    end: of any other run that was cancelled a result may be a part.
    """
    match sighting:
        case NotFound():
            return Failed(
                category=FailureCategory.LOST,
                message=f"The API no longer knows run {sighting.run_id}",
            )
        case Unreadable():
            return Failed(
                category=FailureCategory.INVALID_RESULT,
                code=UNREADABLE,
                message=f"The API's answer about this run cannot be read: {sighting.message}",
            )
        case Run():
            if lingered and sighting.status is RunStatus.CANCELLED and sighting.result:
                return _classify_result(sighting, expectations)
            return _classify_run(sighting, cancelling, expectations)


def classify_fault(fault: ApiFault) -> Failed:
    """Say what a request that failed means for the jobs that it was about."""
    if fault.kind is not FaultKind.STATUS or fault.status is None:
        category = FailureCategory.UNREACHABLE
    elif fault.status < 500 and (fault.code or "").upper() in CATEGORY_BY_CODE:
        category = CATEGORY_BY_CODE[(fault.code or "").upper()]
    elif fault.status == 403 and _CREDITS.search(fault.message):
        # Legacy accounts answer 403 FORBIDDEN where newer ones answer 402; only the words differ
        # from the 403 for a gated field.
        category = FailureCategory.BILLING_FAILURE
    else:
        category = CATEGORY_BY_STATUS.get(fault.status, _otherwise(fault.status))
    return Failed(
        category=category, message=fault.message, code=fault.code, retry_after=fault.retry_after
    )


def _otherwise(status: int) -> FailureCategory:
    """Return the category of a status that no source names."""
    if 400 <= status < 500 and status not in TRANSIENT_STATUSES:
        return FailureCategory.REJECTED
    return FailureCategory.UNREACHABLE


def is_not_offered(fault: ApiFault) -> bool:
    """Whether the API says that it has no such endpoint, rather than refusing the request."""
    return fault.kind is FaultKind.STATUS and fault.status in NOT_OFFERED_STATUSES


def shortened(text: str, most: int) -> str:
    """Return *text*, cut with a note where it is longer than *most* characters."""
    return text if len(text) <= most else f"{text[:most]}… (cut: {len(text):,} characters)"


def is_not_the_api(fault: ApiFault) -> bool:
    """Whether a server, be it the API or another, says that there is nothing at the address."""
    return (
        fault.kind in (FaultKind.STATUS, FaultKind.MALFORMED)
        and fault.status in WRONG_ADDRESS_STATUSES
    )


def _classify_run(
    run: Run, cancelling: FailureCategory | None, expectations: Expectations
) -> Outcome | None:
    match run.status:
        case RunStatus.PENDING | RunStatus.RUNNING:
            return None
        case RunStatus.COMPLETED:
            return _classify_result(run, expectations)
        case RunStatus.FAILED:
            return _classify_run_error(run.error)
        case RunStatus.CANCELLED:
            return _classify_cancelled(cancelling)


def _classify_result(run: Run, expectations: Expectations) -> Outcome:
    """Say what a result means: that a browser has done its work is no goal met (Runs page)."""
    failure = judge(run.result, expectations, run.schema_errors)
    # A result's own words become the message, and a result may be a book.
    brief = failure and replace(failure, message=shortened(failure.message, LONGEST_MESSAGE))
    return brief or Succeeded()


def _classify_cancelled(cancelling: FailureCategory | None) -> Failed:
    if cancelling is FailureCategory.TIMED_OUT:
        return Failed(
            category=cancelling, message="The run was over its time limit and was cancelled"
        )
    by = "on request" if cancelling else "by somebody else"
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
