"""The failure categories: one row per category, with its handling and its texts for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from batchrunner.model.findings import Verdict
from batchrunner.model.retry_rule import RetryRule
from batchrunner.model.states import JobState, TimeBucket


class FailureCategory(StrEnum):
    """Why an attempt failed. `CATEGORIES` has everything else about each category."""

    SYSTEM_FAILURE = "system_failure"
    AGENT_FAILURE = "agent_failure"
    BILLING_FAILURE = "billing_failure"
    UNKNOWN = "unknown"
    GOAL_FAILURE = "goal_failure"
    BLOCKED = "blocked"
    INVALID_RESULT = "invalid_result"
    TIMED_OUT = "timed_out"
    RUN_CANCELLED = "run_cancelled"
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    UNANSWERED = "unanswered"
    LOST = "lost"


#: What a job file may have a rule for: a category of failures, or suspect results.
RuleKey = FailureCategory | Literal[Verdict.SUSPECT]


class FixedBy(StrEnum):
    """Who can do something about a failure."""

    SERVICE = "service"  #: the API's operator; the user can only try again later
    JOB = "job"  #: whoever writes the job: its url, goal, options, or what it expects
    ACCOUNT = "account"  #: whoever pays for the account and manages its keys
    USER = "user"  #: the user has to decide, or has decided


class RequestEffect(StrEnum):
    """What a failure of one request means for all other requests."""

    NONE = "none"  #: they continue
    STOP = "stop"  #: as DELAY_BY_KIND, and if that does not help, nothing more is submitted
    DELAY_ALL = "delay_all"  #: all requests wait
    DELAY_CREATES = "delay_creates"  #: creates wait, reads continue
    DELAY_BY_KIND = "delay_alike"  #: a failed create delays creates, a failed read delays all


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """Everything that is a fact about one failure category."""

    meaning: str  #: why the attempt failed, in one line
    advice: str  #: what a final failure means to the user, and what to do about it
    fixed_by: FixedBy
    rule: RetryRule = field(default_factory=RetryRule)  #: in force where no job file has another
    fixed_answer: str | None = None  #: what always happens; None: a job file may have rules for it
    ends_in: JobState = JobState.FAILED  #: state of a job that it ends
    counted: bool = True  #: uses up an attempt
    concerns_one_job: bool = False  #: uncounted, unless it turns out to concern a single job
    request_effect: RequestEffect = RequestEffect.NONE
    waits_in: TimeBucket = TimeBucket.HELD  #: what a job waits for after it, if it did not count
    against_host: bool = False  #: may be the fault of the job's host
    from_result: bool = False  #: can be found by judging a stored result again
    retry_suggested: bool = True  #: trying again may help without any change
    retried_only_if_named: bool = False  #: a plain `retry` leaves its jobs alone
    api_advice: str | None = None  #: what to do where a single API call met it

    @property
    def never_counted(self) -> bool:
        """Whether no attempt with this outcome may count."""
        return not self.counted and not self.concerns_one_job

    @property
    def passes_by_itself(self) -> bool:
        """Whether the same request is going to work later, without anybody's help."""
        return not self.counted and self.fixed_by is FixedBy.SERVICE


_PUT_BACK = "put back, uncounted"
_FAILS = "fails at once"
_ONCE = RetryRule(attempts=1)
_TWICE = RetryRule(attempts=2)

#: Why `blocked` has an escalation by default: docs/adr/0010.
_ESCALATED = RetryRule(
    attempts=3,
    then=(
        {"browser_profile": "stealth"},
        {"browser_profile": "stealth", "proxy_config": {"enabled": True}},
    ),
)

CATEGORIES: Mapping[FailureCategory, Category] = {
    FailureCategory.SYSTEM_FAILURE: Category(
        meaning="the run failed because the service broke",
        advice="the service broke each time; try again later",
        fixed_by=FixedBy.SERVICE,
        against_host=True,
    ),
    FailureCategory.AGENT_FAILURE: Category(
        meaning="the run failed, and the API blames the input",
        advice="the input needs fixing: check the url and the goal",
        fixed_by=FixedBy.JOB,
        rule=_ONCE,
        against_host=True,
        retry_suggested=False,
    ),
    FailureCategory.BILLING_FAILURE: Category(
        meaning="the account has no credits",
        advice="the account has no credits",
        fixed_by=FixedBy.ACCOUNT,
        fixed_answer=_PUT_BACK,
        counted=False,
        request_effect=RequestEffect.DELAY_CREATES,
        waits_in=TimeBucket.CREDITS,
        api_advice="add credits to the account, then give the same command again",
    ),
    FailureCategory.UNKNOWN: Category(
        meaning="the run failed, and the API gave no reason that is known here",
        advice="the API gave no reason that is known here; try again later",
        fixed_by=FixedBy.SERVICE,
        against_host=True,
    ),
    FailureCategory.GOAL_FAILURE: Category(
        meaning="the result says that the goal was missed, or it is empty",
        advice="the page did not give what the goal asks for",
        fixed_by=FixedBy.JOB,
        rule=_TWICE,
        against_host=True,
        from_result=True,
    ),
    FailureCategory.BLOCKED: Category(
        meaning="a captcha, a login or a bot wall",
        advice="a captcha, a login or a bot wall; stealth and a proxy were tried, unless a policy "
        "says otherwise",
        fixed_by=FixedBy.JOB,
        rule=_ESCALATED,
        against_host=True,
        from_result=True,
    ),
    FailureCategory.INVALID_RESULT: Category(
        meaning="the result breaks the job's `output_schema` or `expect`",
        advice="the result is not what output_schema or expect asks for",
        fixed_by=FixedBy.JOB,
        rule=_TWICE,
        from_result=True,
    ),
    FailureCategory.TIMED_OUT: Category(
        meaning="the run waited or ran for longer than its limit, and was cancelled",
        advice="queued or running for longer than its limit, and cancelled",
        fixed_by=FixedBy.JOB,
        against_host=True,
    ),
    FailureCategory.RUN_CANCELLED: Category(
        meaning="the run was cancelled by you or by someone else",
        advice="cancelled on request or by somebody else",
        fixed_by=FixedBy.USER,
        fixed_answer="the job is cancelled",
        ends_in=JobState.CANCELLED,
    ),
    FailureCategory.REJECTED: Category(
        meaning="the API refused the request because of the job",
        advice="the API refused the request; mend the job, under a new `id` if it has one",
        fixed_by=FixedBy.JOB,
        rule=_ONCE,
        fixed_answer=_FAILS,
        retry_suggested=False,
    ),
    FailureCategory.UNAUTHORIZED: Category(
        meaning="the key is refused, or the account may not use an option of the job",
        advice="the account lacks the right for an option of this job",
        fixed_by=FixedBy.ACCOUNT,
        fixed_answer=_PUT_BACK,
        counted=False,
        concerns_one_job=True,
        request_effect=RequestEffect.STOP,
        retry_suggested=False,
    ),
    FailureCategory.THROTTLED: Category(
        meaning="the API answered 429: too many requests",
        advice="the API was busy",
        fixed_by=FixedBy.SERVICE,
        fixed_answer=_PUT_BACK,
        counted=False,
        request_effect=RequestEffect.DELAY_ALL,
        api_advice="wait a minute, then give the same command again",
    ),
    FailureCategory.UNREACHABLE: Category(
        meaning="the API could not be reached",
        advice="the API could not be reached",
        fixed_by=FixedBy.SERVICE,
        fixed_answer=_PUT_BACK,
        counted=False,
        request_effect=RequestEffect.DELAY_BY_KIND,
        api_advice="check with `batchrunner doctor`, or try again later",
    ),
    FailureCategory.UNANSWERED: Category(
        meaning="a run may exist, and the program cannot find out",
        advice="a run may exist and be paid for; retry puts it back only where it is named",
        fixed_by=FixedBy.USER,
        rule=_ONCE,
        fixed_answer=_FAILS,
        retry_suggested=False,
        retried_only_if_named=True,
    ),
    FailureCategory.LOST: Category(
        meaning="the API gave a run id and no longer knows the run",
        advice="the API no longer knows the run, and it may be paid for; retry puts it back only "
        "where it is named",
        fixed_by=FixedBy.USER,
        retry_suggested=False,
        retried_only_if_named=True,
    ),
}

#: Failures that are not the job's fault: they never use up an attempt.
NOT_COUNTED = frozenset(each for each, row in CATEGORIES.items() if not row.counted)
#: A suspect result is bought again only where a job file says so.
SUSPECT_RULE = _ONCE
#: Failures that a job file may have rules for.
CONFIGURABLE = tuple(each for each, row in CATEGORIES.items() if row.fixed_answer is None)
