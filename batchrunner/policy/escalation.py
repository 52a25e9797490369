"""Escalation: which changed options an attempt runs with, and what it shows of its host; pure."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from batchrunner.model import (
    EscalationResult,
    Failed,
    FailureCategory,
    Finish,
    Job,
    JobState,
    RetryRule,
    Snooze,
    Transition,
)
from batchrunner.model.categories import CATEGORIES
from batchrunner.model.hosts import host_of
from batchrunner.policy.retry_rules import Policy

#: Failures in a row on a step, without a success, after which new jobs skip it.
STEP_CLOSED_AFTER = 3
#: Of this many new jobs of a host that starts on a higher step, one tries the step below.
STEP_PROBE_EVERY = 10

#: Settings of a proxy that may be shown; the others say whose account pays for it.
_HARMLESS_PROXY_SETTINGS = ("enabled", "type", "country_code")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepHistory:
    """What the attempts on one escalation step have shown of a host."""

    step: int
    passed: int  #: successes
    consecutive_failures: int  #: failures since the newest success


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptStart:
    """The escalation steps that an attempt runs on, and the options of its job they change."""

    escalation_steps: Mapping[FailureCategory, int] = field(default_factory=dict)
    escalation_ids: Mapping[FailureCategory, str] = field(default_factory=dict)
    option_overrides: Mapping[str, Any] = field(default_factory=dict)


def escalation_id(category: FailureCategory, rule: RetryRule, options: Mapping[str, Any]) -> str:
    """
    Return a digest of an escalation: what was learned on one says nothing about another.

    Jobs with different values of the *options* that it changes have different escalations, because
    their lowest steps differ.
    """
    named = {name for step in rule.escalation for name in step}
    own = {name: options[name] for name in named if name in options}
    return _digest(category, json.dumps([own, *rule.escalation], sort_keys=True))


@lru_cache(maxsize=1024)
def _digest(category: FailureCategory, steps: str) -> str:
    return hashlib.sha256(f"{category} {steps}".encode()).hexdigest()[:16]


# ---- where an attempt starts ----


def learned_step(history: Sequence[StepHistory], top: int) -> int:
    """
    Return the step on which new jobs of a host start; *top* is the highest.

    New jobs skip each step that keeps failing, if that step or a higher one has ever passed. So
    they skip nothing on a host where the lowest step passes, or where no step helps.
    """
    by_step = {each.step: each for each in history}
    highest = max((each.step for each in history if each.passed), default=0)
    step = 0
    while (
        step < min(highest, top)
        and step in by_step
        and by_step[step].consecutive_failures >= STEP_CLOSED_AFTER
    ):
        step += 1
    return step


def is_probe(key: str) -> bool:
    """Whether the job with this key tests if its host has become easier; constant for a key."""
    return zlib.crc32(f"probe:{key}".encode()) % STEP_PROBE_EVERY == 0


def start_of_attempt(
    policy: Policy,
    job: Job,
    url: str,
    options: Mapping[str, Any],
    histories: Mapping[tuple[str, str], Sequence[StepHistory]],
) -> AttemptStart:
    """
    Say on which escalation steps the next attempt at *job* runs.

    These are the steps that the job itself has reached, or higher ones if its host's *histories*
    (by host and escalation id) suggest so. *options* are the job's own.
    """
    chosen: dict[FailureCategory, int] = {}
    ids: dict[FailureCategory, str] = {}
    changed: dict[str, Any] = {}
    for category, rule in policy.escalations(job).items():
        top = len(rule.escalation)
        reached = min(job.escalation_steps.get(category, 0), top)
        ids[category] = escalation_id(category, rule, options)
        learned = learned_step(histories.get((host_of(url), ids[category]), ()), top)
        if learned and not reached and is_probe(job.key):
            learned -= 1
        steps = _changes_by_step(category, rule, options)
        step = _skip_repeated(steps, max(reached, learned), options)
        if step:
            chosen[category] = step
            changed |= steps[step]
    overrides = {name: value for name, value in changed.items() if options.get(name) != value}
    return AttemptStart(escalation_steps=chosen, escalation_ids=ids, option_overrides=overrides)


def _changes_by_step(
    category: FailureCategory, rule: RetryRule, options: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Return what each step changes, lowest first; a default rule keeps the job's own options."""
    if rule.then is not CATEGORIES[category].rule.then:
        return [{}, *rule.escalation]
    return [
        {},
        *({name: step[name] for name in step if name not in options} for step in rule.escalation),
    ]


def _skip_repeated(
    steps: Sequence[Mapping[str, Any]], step: int, options: Mapping[str, Any]
) -> int:
    """Return the highest of the steps from *step* on that run with the same options."""
    top = len(steps) - 1
    while step < top and {**options, **steps[step]} == {**options, **steps[step + 1]}:
        step += 1
    return step


# ---- what an attempt leads to ----


def next_steps(rule: RetryRule, job: Job, category: FailureCategory) -> dict[FailureCategory, int]:
    """Return the steps that *job* continues on after a failure of this category."""
    if not rule.escalation:
        return dict(job.escalation_steps)
    step = min(job.escalation_steps.get(category, 0) + 1, len(rule.escalation))
    return {**job.escalation_steps, category: step}


def escalation_results(job: Job, url: str, transition: Transition) -> tuple[EscalationResult, ...]:
    """
    Return what the newest attempt at *job* shows of its host.

    A success speaks for the steps that the attempt ran on. A failure speaks against the step of its
    own category; failures of other categories say nothing about blocking.
    """
    if isinstance(transition, Snooze):
        return ()
    passed = isinstance(transition, Finish) and transition.state is JobState.SUCCEEDED
    failure: Failed | None = transition.failure
    return tuple(
        EscalationResult(
            host=host_of(url),
            escalation_id=escalation,
            step=job.escalation_steps.get(category, 0),
            passed=passed,
        )
        for category, escalation in job.escalation_ids.items()
        if passed or (failure is not None and failure.category is category)
    )


def showable_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return option overrides as they may be shown: without the details of the user's own proxy."""
    found = dict(overrides)
    proxy = found.get("proxy_config")
    if isinstance(proxy, Mapping):
        found["proxy_config"] = {
            name: proxy[name] for name in _HARMLESS_PROXY_SETTINGS if name in proxy
        }
    return found
