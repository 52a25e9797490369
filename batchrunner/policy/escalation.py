"""Ladders of options: where an attempt starts and goes on, and what it tells of its host; pure."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

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
from batchrunner.policy.retry_rules import DEFAULT_RULES, Policy

#: Failures in a row on a rung, without a success between, after which it counts as closed.
STEP_CLOSED_AFTER = 3
#: Of so many new jobs of a host that starts higher, one tries the rung below.
STEP_PROBE_EVERY = 10
#: Longest name of a host that is kept.
MAX_HOST_LENGTH = 300

#: What a proxy's settings may show: the rest says who pays for it.
_HARMLESS = ("enabled", "type", "country_code")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepHistory:
    """What the attempts on one rung of a ladder have told of a host."""

    step: int
    passed: int  #: successes
    consecutive_failures: int  #: failures since the newest success


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptStart:
    """On which rungs of which ladders an attempt runs, and which options of its job they change."""

    escalation_steps: Mapping[FailureCategory, int] = field(default_factory=dict)
    escalation_ids: Mapping[FailureCategory, str] = field(default_factory=dict)
    option_overrides: Mapping[str, Any] = field(default_factory=dict)


def host_of(url: str) -> str:
    """Return the host that a url leads to, with its port; what cannot be taken apart is its own."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname or url}{port}"[:MAX_HOST_LENGTH]
    except ValueError:
        return url[:MAX_HOST_LENGTH]


def escalation_id(category: FailureCategory, rule: RetryRule, options: Mapping[str, Any]) -> str:
    """
    Return a digest of a ladder: what was learned on it says nothing about another one.

    It is another one where jobs differ in *options* that it changes: their lowest rungs do.
    """
    named = {name for step in rule.ladder for name in step}
    own = {name: options[name] for name in named if name in options}
    return _digest(category, json.dumps([own, *rule.ladder], sort_keys=True))


@lru_cache(maxsize=1024)
def _digest(category: FailureCategory, steps: str) -> str:
    return hashlib.sha256(f"{category} {steps}".encode()).hexdigest()[:16]


# ---- where an attempt starts ----


def learned_step(seen: Sequence[StepHistory], top: int) -> int:
    """
    Return the rung on which new jobs of a host start, of a ladder with so many rungs.

    They climb past each rung that is closed, as long as this one or a higher one has got through:
    a host that lets the first rung pass is never lifted, and neither is one where nothing helps.
    """
    by_rung = {each.step: each for each in seen}
    highest = max((each.step for each in seen if each.passed), default=0)
    rung = 0
    while (
        rung < min(highest, top)
        and rung in by_rung
        and by_rung[rung].consecutive_failures >= STEP_CLOSED_AFTER
    ):
        rung += 1
    return rung


def is_probe(key: str) -> bool:
    """Whether the job of this key looks if its host has become easier; the same at each asking."""
    return zlib.crc32(f"probe:{key}".encode()) % STEP_PROBE_EVERY == 0


def start_of_attempt(
    policy: Policy,
    job: Job,
    url: str,
    options: Mapping[str, Any],
    seen: Mapping[tuple[str, str], Sequence[StepHistory]],
) -> AttemptStart:
    """
    Say on which rungs the next attempt at *job* runs.

    On those that it has reached itself, or higher where its host has taught that: *seen* is by
    host and ladder. *options* are the job's own.
    """
    rungs: dict[FailureCategory, int] = {}
    ladders: dict[FailureCategory, str] = {}
    changed: dict[str, Any] = {}
    for category, rule in policy.ladders(job).items():
        top = len(rule.ladder)
        reached = min(job.escalation_steps.get(category, 0), top)
        ladders[category] = escalation_id(category, rule, options)
        taught = learned_step(seen.get((host_of(url), ladders[category]), ()), top)
        if taught and not reached and is_probe(job.key):
            taught -= 1
        steps = _steps(category, rule, options)
        rung = _settled(steps, max(reached, taught), options)
        if rung:
            rungs[category] = rung
            changed |= steps[rung]
    changes = {name: value for name, value in changed.items() if options.get(name) != value}
    return AttemptStart(escalation_steps=rungs, escalation_ids=ladders, option_overrides=changes)


def _steps(
    category: FailureCategory, rule: RetryRule, options: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Return what each rung changes, from the lowest; what is usual leaves a job's own options."""
    if category not in DEFAULT_RULES or rule.then is not DEFAULT_RULES[category].then:
        return [{}, *rule.ladder]
    return [
        {},
        *({name: step[name] for name in step if name not in options} for step in rule.ladder),
    ]


def _settled(steps: Sequence[Mapping[str, Any]], rung: int, options: Mapping[str, Any]) -> int:
    """Climb past rungs that would run with the same options again."""
    top = len(steps) - 1
    while rung < top and {**options, **steps[rung]} == {**options, **steps[rung + 1]}:
        rung += 1
    return rung


# ---- what an attempt leads to ----


def next_steps(rule: RetryRule, job: Job, category: FailureCategory) -> dict[FailureCategory, int]:
    """Return the rungs from which *job* goes on after a failure of this category."""
    if not rule.ladder:
        return dict(job.escalation_steps)
    rung = min(job.escalation_steps.get(category, 0) + 1, len(rule.ladder))
    return {**job.escalation_steps, category: rung}


def escalation_results(job: Job, url: str, transition: Transition) -> tuple[EscalationResult, ...]:
    """
    Return what the newest attempt at *job* tells of its host.

    A success speaks for the rungs that it ran on, a failure against the rung of its own category;
    other failures say nothing about walls.
    """
    if isinstance(transition, Snooze):
        return ()
    passed = isinstance(transition, Finish) and transition.state is JobState.SUCCEEDED
    failure: Failed | None = transition.failure
    return tuple(
        EscalationResult(
            host=host_of(url),
            escalation_id=ladder,
            step=job.escalation_steps.get(category, 0),
            passed=passed,
        )
        for category, ladder in job.escalation_ids.items()
        if passed or (failure is not None and failure.category is category)
    )


def changes_text(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of options as they may be shown: without what belongs to your own proxy."""
    found = dict(changes)
    proxy = found.get("proxy_config")
    if isinstance(proxy, Mapping):
        found["proxy_config"] = {name: proxy[name] for name in _HARMLESS if name in proxy}
    return found
