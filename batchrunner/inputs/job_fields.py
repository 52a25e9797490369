"""Every key that a job file may have, with the shape of its value and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from batchrunner.inputs.expectations import EXPECT
from batchrunner.inputs.field_types import (
    Boolean,
    BudgetAmount,
    Choice,
    Dollars,
    Duration,
    Text,
    Url,
    WholeNumber,
)
from batchrunner.inputs.limits import CONCURRENCY, CanaryRule, CostFactor, HostRules
from batchrunner.inputs.output_schema import OutputSchema
from batchrunner.inputs.record_types import Field, KeyRule, ListOf, MapOf, Record
from batchrunner.inputs.retry_rules import EscalationStep, RetryRules, retry_rule_fields
from batchrunner.model import RUN_OPTIONS
from batchrunner.policy.retry_rules import ESCALATION_OPTIONS

NAME = Text(
    longest=100,
    pattern=r"[\w. -]+",
    says="letters, digits, blanks and `.` `_` `-`",
    tip="give the batch a `name` of such characters",
)

_PROXY = Record(
    fields={
        "enabled": Field(Boolean(), "whether the run goes through a proxy"),
        "type": Field(Choice(words=("tetra", "custom")), "the service's proxies, or your own"),
        "country_code": Field(
            Text(
                longest=100,
                pattern="[A-Z]{2}",
                says="two capital letters",
                tip="use the country's ISO code, for example `DE`",
            ),
            "the country that a tetra proxy is in",
        ),
        "url": Field(Url(), "your own proxy"),
        "username": Field(Text(longest=1000), "the user at your own proxy"),
        "password": Field(Text(longest=1000), "the password at your own proxy"),
    },
    required=("enabled",),
    rules=(
        KeyRule("type", needs="url", given="custom"),
        KeyRule("country_code", needs="type", value="tetra", default="tetra"),
        KeyRule("url", needs="type", value="custom"),
        KeyRule("username", needs="type", value="custom"),
        KeyRule("password", needs="type", value="custom"),
    ),
)

_AGENT = Record(
    fields={
        "mode": Field(Choice(words=("default", "strict")), "how closely the goal is followed"),
        "max_steps": Field(
            WholeNumber(least=1, most=500), "maximum steps of a run; steps are what it costs"
        ),
        "max_duration_seconds": Field(WholeNumber(least=1), "maximum duration of a run"),
        "cursor_style": Field(
            Choice(words=("fish", "standard", "green-pointer")), "the cursor drawn in recordings"
        ),
    }
)

_CAPTURE = Record(
    fields={
        "screenshots": Field(Boolean(), "keep a screenshot of each step"),
        "snapshots": Field(Boolean(), "keep a snapshot of each step"),
        "html": Field(Boolean(), "keep the page's HTML at each step"),
        "elements": Field(Boolean(), "keep the page's elements at each step"),
        "recording": Field(Boolean(), "keep a video"),
    }
)

_OPTIONS: Mapping[str, Field] = {
    "browser_profile": Field(Choice(words=("lite", "stealth")), "the browser that is used"),
    "proxy_config": Field(_PROXY, "the proxy that the browser goes through"),
    "agent_config": Field(_AGENT, "limits and behaviour of the agent"),
    "capture_config": Field(_CAPTURE, "what to keep of the run"),
    "output_schema": Field(OutputSchema(), "the shape that the result must have"),
    "use_vault": Field(Boolean(), "let the run use stored credentials"),
    "credential_item_ids": Field(
        ListOf(item=Text(longest=1000)), "use these credentials only; needs use_vault"
    ),
    "use_profile": Field(Boolean(), "start from a saved browser profile"),
    "profile_id": Field(Text(longest=1000), "the profile to start from; needs use_profile"),
    "webhook_url": Field(
        Url(schemes=("https",)), "an address that the API calls when the run ends"
    ),
    "api_integration": Field(Text(longest=1000), "the name of the tool that calls the API"),
    "feature_flags": Field(MapOf(value=Boolean()), "switches of the API, by name"),
}
#: In the order of the model, which a missing field breaks at import.
OPTIONS = {name: _OPTIONS[name] for name in RUN_OPTIONS}

#: What runs of a job's merged options need of each other.
OPTION_RULES = (
    KeyRule("credential_item_ids", needs="use_vault", value=True),
    KeyRule("profile_id", needs="use_profile", value=True),
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
    "queued_limit": Field(Duration(most=timedelta(days=30)), "maximum time that its runs may wait"),
    "running_limit": Field(Duration(most=timedelta(days=7)), "maximum time that its runs may take"),
}

_GOAL = Field(Text(longest=100_000, one_line=False), "what to do there, in plain words")
_EXPECT = Field(EXPECT, "what the result must be to count as a success")

#: The keys of a job.
JOB_FIELDS: Mapping[str, Field] = {
    "url": Field(Url(schemes=("https", "http")), "the page to start on"),
    "goal": _GOAL,
    "id": Field(
        # Keys of jobs without an id are 32 hex digits: the two kinds can never meet.
        Text(
            longest=200,
            pattern="(?![0-9a-f]{32}$).*",
            says="something else than 32 hex digits",
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
    "max_attempts": Field(WholeNumber(least=1, most=20), "maximum counted attempts per job"),
    "backoff": Field(
        Duration(most=timedelta(days=1)), "upper end of the wait before the first retry"
    ),
    "queued_limit": Field(Duration(most=timedelta(days=30)), "maximum time that a run may wait"),
    "running_limit": Field(Duration(most=timedelta(days=7)), "maximum time that a run may take"),
    "stuck_after": Field(CostFactor(), "maximum time, in typical run durations, if that is less"),
    "marker": Field(Boolean(), "append a reference to goals, so that lost runs can be found"),
    "policy": Field(_POLICY, "rules for failures, by category"),
    "budget": Field(BudgetAmount(), "maximum cost of all runs of the batch"),
    "rate": Field(Dollars(), "what a step costs; needed if the account has no wallet"),
    "hosts": Field(HostRules(), "limits for single hosts; `*` applies to all"),
    "canary": Field(CanaryRule(), "the jobs that run first, and what they must achieve"),
}

#: The keys of a file that is a mapping.
SECTIONS: Mapping[str, str] = {
    "name": "the batch's name; without it, the file's",
    "settings": "how the batch is run",
    "defaults": "values for jobs without their own; a job's value replaces the whole default",
    "jobs": "the list of jobs",
}
