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
    Failed,
    FailureCategory,
    Finish,
    Job,
    JobState,
    Lesson,
    Postpone,
    Rule,
    Transition,
)
from batchrunner.policy.rules import USUAL, Policy

#: Failures in a row on a rung, without a success between, after which it counts as closed.
CLOSED_AFTER = 3
#: Of so many new jobs of a host that starts higher, one tries the rung below.
PROBE_EVERY = 10
#: Longest name of a host that is kept.
LONGEST_HOST = 300

#: What a proxy's settings may show: the rest says who pays for it.
_HARMLESS = ("enabled", "type", "country_code")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the attempts on one rung of a ladder have told of a host."""

    rung: int
    passed: int  #: successes
    in_row: int  #: failures since the newest success


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """On which rungs of which ladders an attempt runs, and which options of its job they change."""

    rungs: Mapping[FailureCategory, int] = field(default_factory=dict)
    ladders: Mapping[FailureCategory, str] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)


def host_of(url: str) -> str:
    """Return the host that a url leads to, with its port; what cannot be taken apart is its own."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname or url}{port}"[:LONGEST_HOST]
    except ValueError:
        return url[:LONGEST_HOST]


def ladder_of(category: FailureCategory, rule: Rule, options: Mapping[str, Any]) -> str:
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


def learned(seen: Sequence[Seen], top: int) -> int:
    """
    Return the rung on which new jobs of a host start, of a ladder with so many rungs.

    They climb past each rung that is closed, as long as this one or a higher one has got through:
    a host that lets the first rung pass is never lifted, and neither is one where nothing helps.
    """
    by_rung = {each.rung: each for each in seen}
    highest = max((each.rung for each in seen if each.passed), default=0)
    rung = 0
    while rung < min(highest, top) and rung in by_rung and by_rung[rung].in_row >= CLOSED_AFTER:
        rung += 1
    return rung


def is_probe(key: str) -> bool:
    """Whether the job of this key looks if its host has become easier; the same at each asking."""
    return zlib.crc32(f"probe:{key}".encode()) % PROBE_EVERY == 0


def start(
    policy: Policy,
    job: Job,
    url: str,
    options: Mapping[str, Any],
    seen: Mapping[tuple[str, str], Sequence[Seen]],
) -> Start:
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
        reached = min(job.rungs.get(category, 0), top)
        ladders[category] = ladder_of(category, rule, options)
        taught = learned(seen.get((host_of(url), ladders[category]), ()), top)
        if taught and not reached and is_probe(job.key):
            taught -= 1
        steps = _steps(category, rule, options)
        rung = _settled(steps, max(reached, taught), options)
        if rung:
            rungs[category] = rung
            changed |= steps[rung]
    changes = {name: value for name, value in changed.items() if options.get(name) != value}
    return Start(rungs=rungs, ladders=ladders, changes=changes)


def _steps(
    category: FailureCategory, rule: Rule, options: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    """Return what each rung changes, from the lowest; what is usual leaves a job's own options."""
    if category not in USUAL or rule.then is not USUAL[category].then:
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


def climbed(rule: Rule, job: Job, category: FailureCategory) -> dict[FailureCategory, int]:
    """Return the rungs from which *job* goes on after a failure of this category."""
    if not rule.ladder:
        return dict(job.rungs)
    rung = min(job.rungs.get(category, 0) + 1, len(rule.ladder))
    return {**job.rungs, category: rung}


def lessons(job: Job, url: str, transition: Transition) -> tuple[Lesson, ...]:
    """
    Return what the newest attempt at *job* tells of its host.

    A success speaks for the rungs that it ran on, a failure against the rung of its own category;
    other failures say nothing about walls.
    """
    if isinstance(transition, Postpone):
        return ()
    passed = isinstance(transition, Finish) and transition.state is JobState.SUCCEEDED
    failure: Failed | None = transition.failure
    return tuple(
        Lesson(
            host=host_of(url),
            ladder=ladder,
            rung=job.rungs.get(category, 0),
            passed=passed,
        )
        for category, ladder in job.ladders.items()
        if passed or (failure is not None and failure.category is category)
    )


def shown(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes of options as they may be shown: without what belongs to your own proxy."""
    found = dict(changes)
    proxy = found.get("proxy_config")
    if isinstance(proxy, Mapping):
        found["proxy_config"] = {name: proxy[name] for name in _HARMLESS if name in proxy}
    return found
