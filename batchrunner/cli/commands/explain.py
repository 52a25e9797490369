"""`batchrunner explain`: which rules answer failures of a job, and where each was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import file_argument, help_option, json_option, read_job_file
from batchrunner.errors import UsageError

if TYPE_CHECKING:
    from batchrunner.model import FailureCategory, Job, JobFile, JobSpec, RetryRule
    from batchrunner.policy.retry_rules import Policy


@click.command("explain")
@file_argument
@click.option(
    "--job", "key", metavar="ID", help="For this job.  [default: for jobs without a policy]"
)
@json_option
@help_option
def command(file: Path, key: str | None, as_json: bool) -> None:
    """
    Show which rules apply to failures of jobs in FILE, and where each rule was written.

    Nothing is loaded or run.

    \b
    Examples:
      batchrunner explain jobs.yaml
      batchrunner explain jobs.yaml --job lamp
    """
    job_file = read_job_file(file)
    spec = None if key is None else _found(job_file, key)
    told = _explained(job_file, spec)
    if as_json:
        click.echo(json.dumps(told))
        return
    for line in _lines(told):
        click.echo(line)
    own = sum(bool(each.policy) for each in job_file.specs)
    if spec is None and own:
        click.echo(f"\n{own} of {len(job_file.specs)} jobs have rules of their own: --job ID")


def _found(job_file: JobFile, key: str) -> JobSpec:
    for spec in job_file.specs:
        if spec.key == key:
            return spec
    raise UsageError(
        f"there is no job {key!r} in this file",
        next="name its `id`, or the digest in the column `id` of an export",
    )


def _explained(job_file: JobFile, spec: JobSpec | None) -> dict[str, Any]:
    """Return what is in force, by category, with the place of everything that was written."""
    from batchrunner.model import FailureCategory, Job
    from batchrunner.model.categories import CATEGORIES
    from batchrunner.policy.retry_rules import Policy

    policy = Policy.of(job_file.settings)
    job = Job(id=0, key="", attempt=0, failures=0, policy=spec.policy if spec else {})
    return {
        "job": spec.key if spec else None,
        "url": spec.url if spec else None,
        "failures_in_all": policy.bound(job),
        "rules": {
            category.value: _rule(policy, job, category)
            or {"fixed": CATEGORIES[category].fixed_answer}
            for category in FailureCategory
        },
    }


def _rule(policy: Policy, job: Job, category: FailureCategory) -> dict[str, Any] | None:
    from batchrunner.model.categories import CATEGORIES, CONFIGURABLE
    from batchrunner.policy.escalation import changes_text

    if category not in CONFIGURABLE:
        return None
    rule = policy.rule(job, category)
    written = [
        ("job", job.policy.get(category)),
        ("settings", policy.rules.get(category)),
        ("usual", CATEGORIES[category].rule),
    ]
    waits = "backoff" if rule.wait is None else "wait"
    base = rule.backoff or policy.backoff
    return {
        "attempts": _told(policy.tries(rule), _origin(written, "attempts", "max_attempts")),
        waits: _told((rule.wait or base).total_seconds(), _origin(written, waits, "backoff")),
        "then": _told(list(map(changes_text, rule.escalation)), _origin(written, "then", "usual")),
    }


def _told(value: Any, origin: str) -> dict[str, Any]:
    return {"value": value, "from": origin}


def _origin(written: list[tuple[str, RetryRule | None]], name: str, otherwise: str) -> str:
    """Say where a value was written; *otherwise* is the setting that holds where it was not."""
    for place, rule in written:
        if rule is not None and getattr(rule, name) is not None:
            return f"{place}, line {rule.line}" if rule.line else place
    return otherwise


def _lines(told: dict[str, Any]) -> Iterator[str]:
    from batchrunner.text.terminal import term_safe

    if told["job"] is not None:
        yield term_safe(f"job {told['job']}: {told['url']}")
    yield f"at most {told['failures_in_all']} counted failures in all"
    for category, rule in told["rules"].items():
        if "fixed" in rule:
            yield f"\n{category}: {rule['fixed']}"
            continue
        yield f"\n{category}"
        for name, each in rule.items():
            for number, value in enumerate(_values(name, each["value"])):
                head, origin = (name, f"  ({each['from']})") if number == 0 else ("", "")
                yield term_safe(f"  {head:<9} {value}{origin}")


def _values(name: str, value: Any) -> list[str]:
    if name == "then":
        return [json.dumps(step) for step in value]
    return [f"{value:g} s" if name in ("wait", "backoff") else str(value)]
