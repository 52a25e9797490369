"""Every key of a job file, with the type of its value and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from batchrunner.api_facts.run_options import ESCALATION_OPTIONS
from batchrunner.inputs.diff_fields import DiffRule
from batchrunner.inputs.expectations import EXPECT
from batchrunner.inputs.field_types import (
    Boolean,
    BudgetAmount,
    Dollars,
    Duration,
    SlotLength,
    Text,
    WholeNumber,
)
from batchrunner.inputs.grounding_fields import GroundingSetting
from batchrunner.inputs.host_fields import (
    CONCURRENCY,
    CanaryRule,
    CostFactor,
    HostRules,
    StopLossRule,
)
from batchrunner.inputs.looks_field import LooksWord
from batchrunner.inputs.option_fields import OPTION_RULES, OPTIONS
from batchrunner.inputs.page_urls import PageUrl
from batchrunner.inputs.quality_fields import QualityRule
from batchrunner.inputs.record_types import Field
from batchrunner.inputs.retry_rule_fields import EscalationStep, RetryRules, retry_rule_fields

NAME = Text(
    max_length=100,
    pattern=r"[\w. -]+",
    expected="letters, digits, blanks and `.` `_` `-`",
    tip="give the batch a `name` of such characters",
)

#: The keys of a rule in a `policy`.
RULE_FIELDS = retry_rule_fields(
    EscalationStep(
        options={name: OPTIONS[name] for name in ESCALATION_OPTIONS},
        others=("url", "goal", "id", *(name for name in OPTIONS if name not in ESCALATION_OPTIONS)),
        rules=OPTION_RULES,
    )
)
_POLICY = RetryRules(fields=RULE_FIELDS)
_JOB_POLICY = Field(_POLICY, "rules for its failures; they override those of `settings`")

#: The keys of a job that bound how long its runs may take.
LIMITS: Mapping[str, Field] = {
    "queued_limit": Field(
        Duration(maximum=timedelta(days=30)), "maximum time that its runs may wait"
    ),
    "running_limit": Field(
        Duration(maximum=timedelta(days=7)), "maximum time that its runs may take"
    ),
}

#: Most characters of a goal.
MAX_GOAL = 100_000
_GOAL = Field(Text(max_length=MAX_GOAL, one_line=False), "what to do there, in plain words")
_EXPECT = Field(EXPECT, "what the result must be to count as a success")

#: The keys of a job.
JOB_FIELDS: Mapping[str, Field] = {
    "url": Field(PageUrl(), "the page to start on"),
    "goal": _GOAL,
    "id": Field(
        # Keys of jobs without an id are 32 hex digits: the two kinds can never meet.
        Text(
            max_length=200,
            pattern="(?![0-9a-f]{32}$).*",
            expected="something else than 32 hex digits",
            tip="put something in front, for example `job-`",
        ),
        "your own name for the job, which identifies it in later loads",
    ),
    **OPTIONS,
    **LIMITS,
    "policy": _JOB_POLICY,
    "expect": _EXPECT,
}

#: The keys of `defaults`.
DEFAULT_FIELDS: Mapping[str, Field] = {
    "goal": _GOAL,
    **OPTIONS,
    **LIMITS,
    "policy": _JOB_POLICY,
    "expect": _EXPECT,
}

#: The keys of `settings`.
SETTINGS_FIELDS: Mapping[str, Field] = {
    "concurrency": Field(CONCURRENCY, "maximum runs in flight"),
    "max_attempts": Field(WholeNumber(minimum=1, maximum=20), "maximum counted attempts per job"),
    "backoff": Field(
        Duration(maximum=timedelta(days=1)), "upper end of the wait before the first retry"
    ),
    "queued_limit": Field(Duration(maximum=timedelta(days=30)), "maximum time that a run may wait"),
    "running_limit": Field(Duration(maximum=timedelta(days=7)), "maximum time that a run may take"),
    "stuck_after": Field(CostFactor(), "maximum time, in typical run durations, if that is less"),
    "looks": Field(LooksWord(), "how often runs are polled: fewer requests, or earlier results"),
    "marker": Field(Boolean(), "append a reference to goals, so that lost runs can be found"),
    "policy": Field(_POLICY, "rules for failures, by category"),
    "budget": Field(BudgetAmount(), "maximum cost of all runs of the batch"),
    "rate": Field(Dollars(), "what a step costs; needed if the account has no wallet"),
    "hosts": Field(HostRules(), "limits for single hosts; `*` applies to all"),
    "canary": Field(CanaryRule(), "the jobs that run first, and what they must achieve"),
    "stop_loss": Field(
        StopLossRule(), "the most that may be lost to orphans and lost runs before it stops"
    ),
    "every": Field(SlotLength(), "run all jobs anew in each slot of the calendar, as an edition"),
    "time_zone": Field(
        Text(
            max_length=64,
            pattern=r"[A-Za-z][A-Za-z0-9_+/-]*",
            expected="a time zone like `Europe/Berlin` or `UTC`",
        ),
        "the time zone of these slots; without it, that of the machine",
    ),
    "keep_editions": Field(
        WholeNumber(minimum=1), "the newest editions that stay; older ones are removed"
    ),
    "quality": Field(QualityRule(), "what the rows of the batch must be"),
    "grounding": Field(
        GroundingSetting(), "the jobs whose values are searched for in the pages of their runs"
    ),
    "diff": Field(DiffRule(), "what comparisons with other editions overlook"),
}

#: The keys of a file that is a mapping.
SECTIONS: Mapping[str, str] = {
    "name": "the batch's name; without it, the file's",
    "settings": "how the batch is run",
    "defaults": "values for jobs without their own; a job's value replaces the whole default",
    "jobs": "the list of jobs",
}
