"""Entries of a job file → job specs, each with the key that identifies the job in later loads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as _string
from typing import Any, NamedTuple

from batchrunner.inputs.field_types import INVALID, did_you_mean, refuse
from batchrunner.inputs.job_fields import DEFAULT_FIELDS, JOB_FIELDS, MAX_GOAL
from batchrunner.inputs.nodes import Node, Pairs, Scalar, is_null
from batchrunner.inputs.option_fields import OPTION_RULES, OPTIONS
from batchrunner.inputs.page_urls import is_ordinary
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, add_unknown, read_fields
from batchrunner.inputs.variables import has_variable_sign, report_variables
from batchrunner.model import JobSpec, TimeLimits

_REQUIRED = ("url", "goal")
_PLAIN_KEYS = frozenset(_REQUIRED)
#: One object for all jobs that expect nothing, so that it is written once.
NO_EXPECT: Mapping[str, Any] = {}
#: Keys whose values people write freely, so that ` #` may be meant as a part of them.
_FREE_TEXTS = ("url", "goal", "id", "username", "password", "profile_id", "webhook_url")
#: Duplicates that are named by their lines.
MAX_NAMED = 5
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class Defaults(NamedTuple):
    """The default values of jobs, and where their keys and values are in the file."""

    values: Mapping[str, Any]
    keys: Mapping[str, Scalar]
    goal: Scalar | None = None

    def parts(self) -> DefaultParts:
        """Return the values by what they are."""
        options = dict(self.values)
        return DefaultParts(
            goal=options.pop("goal", None),
            policy=options.pop("policy", {}),
            expect=options.pop("expect", {}),
            limits=TimeLimits(
                queued=options.pop("queued_limit", None), running=options.pop("running_limit", None)
            ),
            options=options,
        )


class DefaultParts(NamedTuple):
    """The default values of jobs, by what they are."""

    goal: str | None
    policy: Any
    expect: Any
    limits: TimeLimits
    options: Mapping[str, Any]


NO_DEFAULTS = Defaults({}, {})


def read_defaults(node: Node, log: ProblemLog) -> Defaults:
    """Return the `defaults` of a file."""
    name = "`defaults`"
    if not isinstance(node, Pairs):
        refuse(name, "a mapping", node, log, "leave it out if there are none")
        return NO_DEFAULTS
    keys = {key: key_node for key, (key_node, _) in node.nodes.items()}
    _, goal = node.nodes.get("goal", (None, None))
    for key, (_, value) in node.nodes.items():
        report_cuts(key, value, f"`{key}` of {name}", log)
        report_variables(key, value, f"`{key}` of {name}", log)
    values = read_fields(node, DEFAULT_FIELDS, name, log)
    return Defaults(values, keys, goal if type(goal) is Scalar else None)


def report_cuts(key: str, node: Node, name: str, log: ProblemLog) -> None:
    """Warn of ` #` behind a text that a person wrote: the comment may be meant as a part of it."""
    if type(node) is Scalar:
        if node.plain and key in _FREE_TEXTS:
            log.warn_of_comment(node, name)
    elif isinstance(node, Pairs) and key in OPTIONS:
        for inner, (_, value) in node.nodes.items():
            report_cuts(inner, value, f"`{inner}` in {name}", log)


class JobSpecs:
    """Collects the job specs of a file, entry by entry."""

    def __init__(
        self, log: ProblemLog, is_shared: Callable[[Node], bool], defaults: Defaults
    ) -> None:
        self._log = log
        self._is_shared = is_shared
        self._defaults = defaults
        parts = defaults.parts()
        self._default_options = parts.options
        self._default_goal: dict[str, Any] = {} if parts.goal is None else {"goal": parts.goal}
        self._default_policy, self._default_expect = parts.policy, parts.expect
        self._default_limits = parts.limits
        self._has_faults = INVALID in parts.options.values() or any(
            rule.is_broken(parts.options) for rule in OPTION_RULES
        )
        self._options_text = None if self._has_faults else canonical(parts.options)
        self._specs: dict[str, JobSpec] = {}
        self._read: dict[tuple[str, int], Any] = {}
        self.duplicates = 0
        self.repeated_lines: list[tuple[int, int]] = []  #: of the first duplicates, with originals
        self.other_policies = 0  #: duplicates with another policy, which is ignored

    @property
    def specs(self) -> tuple[JobSpec, ...]:
        """The jobs so far, each once, in the order of the file."""
        return tuple(self._specs.values())

    @property
    def count(self) -> int:
        """How many jobs there are so far."""
        return len(self._specs)

    def add(self, number: int, node: Node, *, is_cut: bool = False) -> None:
        """Keep the job of the entry, or report everything that is wrong with it.

        *is_cut* says that a syntax error may have cut the entry short: nothing is missing then.
        """
        name = f"job {number}"
        if type(node) is not Pairs:
            tip = "write `- url: …` and below it `goal: …`"
            refuse(name, "a mapping with `url` and `goal`", node, self._log, tip)
            return
        if not is_cut and (plain := self._plain(node, name)) is not None:
            self._keep(plain, node)
            return
        values = {
            key: self._value(key, key_node, value, name)
            for key, (key_node, value) in node.nodes.items()
        }
        options = self._options(values)
        texts = self._default_goal | values
        lacks = is_cut or self._lacks(texts, node, name)
        if lacks or self._breaks_rules(options, node, name):
            return
        if INVALID in texts.values() or INVALID in options.values():
            return
        url, goal = texts["url"], texts["goal"]
        key = texts.get("id") or job_digest(url, goal, options)
        line = node.start.line + 1
        policy = texts.get("policy", self._default_policy)
        expect = texts.get("expect", self._default_expect) or NO_EXPECT
        limits = self._limits(texts)
        self._keep(JobSpec(key, url, goal, options, expect, policy, limits, line), node)

    def _plain(self, node: Pairs, name: str) -> JobSpec | None:
        """Return the job of an entry that has an ordinary url and a goal only; None for others.

        Most entries of a large file are so. What it returns is what their fields would read.
        """
        if node.nodes.keys() != _PLAIN_KEYS or self._has_faults:
            return None
        first, second = node.nodes["url"][1], node.nodes["goal"][1]
        if type(first) is not Scalar or type(second) is not Scalar or is_null(second):
            return None
        url, goal = first.text.strip(), second.text.strip()
        if not (_is_plain_goal(goal) and is_ordinary(url)) or has_variable_sign(url + goal):
            return None
        report_cuts("url", first, f"`url` of {name}", self._log)
        report_cuts("goal", second, f"`goal` of {name}", self._log)
        return JobSpec(
            job_digest(url, goal, self._default_options, self._options_text),
            url,
            goal,
            self._default_options,
            self._default_expect or NO_EXPECT,
            self._default_policy,
            self._default_limits,
            node.start.line + 1,
        )

    def _limits(self, texts: Mapping[str, Any]) -> TimeLimits:
        if "queued_limit" not in texts and "running_limit" not in texts:
            return self._default_limits  # one object for all, which is written once
        return TimeLimits(
            queued=texts.get("queued_limit", self._default_limits.queued),
            running=texts.get("running_limit", self._default_limits.running),
        )

    def _value(self, key: str, key_node: Scalar, node: Node, name: str) -> Any:
        """Return the value of one key; None removes the default of an option."""
        field = JOB_FIELDS.get(key)
        if field is None:
            add_unknown(key_node, JOB_FIELDS, name, self._log)
            return INVALID
        called = f"`{key}` of {name}"
        report_cuts(key, node, called, self._log)
        if report_variables(key, node, called, self._log):
            return INVALID
        removable = key in OPTIONS or key == "expect"
        if removable and type(node) is Scalar and node.text and is_null(node):
            return None
        if self._is_shared(node):
            return self._shared(key, field, node, name)
        return field.type.read(node, called, self._log)

    def _shared(self, key: str, field: Field, node: Node, name: str) -> Any:
        """Read a shared node only once: a large schema may be in every job."""
        index = (key, id(node))
        if index not in self._read:
            self._read[index] = field.type.read(node, f"`{key}` of {name}", self._log)
        return self._read[index]

    def _options(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        own = {key: value for key, value in values.items() if key in OPTIONS}
        if not own:
            return self._default_options
        merged = {**self._default_options, **own}
        return {key: value for key, value in merged.items() if value is not None}

    def _lacks(self, values: Mapping[str, Any], node: Pairs, name: str) -> bool:
        missing = [key for key in _REQUIRED if key not in values]
        unknown = [key for key in values if key not in JOB_FIELDS]
        for key in missing:
            if any(did_you_mean(other, (key,)) for other in unknown):
                continue  # it is misspelt, and reported as unknown
            tip = f"add `{key}: …`" + (" to it, or to `defaults`" if key == "goal" else "")
            self._log.add(f"{name} has no `{key}`", node, tip)
        return bool(missing)

    def _breaks_rules(self, options: Mapping[str, Any], node: Pairs, name: str) -> bool:
        """Report rules that job and defaults break together; return whether there are any."""
        broken = [rule for rule in OPTION_RULES if rule.is_broken(options)]
        for rule in broken:
            own, other = node.nodes.get(rule.key), node.nodes.get(rule.needs)
            found = own or other
            at = found[0] if found else self._defaults.keys[rule.key]
            rule.report(at, name if own else "`defaults`", self._log)
        return bool(broken)

    def _keep(self, spec: JobSpec, node: Pairs) -> None:
        first = self._specs.setdefault(spec.key, spec)
        if first is spec:
            return
        if (first.url, first.goal, first.options) == (spec.url, spec.goal, spec.options):
            self.duplicates += 1
            if len(self.repeated_lines) < MAX_NAMED:
                self.repeated_lines.append((spec.line, first.line))
            self.other_policies += first.policy != spec.policy
            if first.expect != spec.expect:
                message = f"the same job on line {first.line} expects something else"
                self._log.add(message, node, "keep one of them, or give each an `id`")
            return
        message = f"id `{spec.key}` is already the job on line {first.line}, which is another one"
        self._log.add(message, node.nodes["id"][1], "give each job an id of its own")


def _is_plain_goal(goal: str) -> bool:
    return bool(goal) and goal.isprintable() and len(goal) <= MAX_GOAL


def job_digest(
    url: str, goal: str, options: Mapping[str, Any], options_text: str | None = None
) -> str:
    """Return the key of a job without an id of its own; *options_text* is canonical, if given."""
    text = canonical(options) if options_text is None else options_text
    content = f'{{"goal":{_string(goal)},"options":{text},"url":{_string(url)}}}'
    return hashlib.sha256(content.encode()).hexdigest()[:32]
