"""`batchrunner explain`: which rules answer failures of a job, and where each was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.input_options import input_options
from batchrunner.cli.options import help_option, json_option, read_input

if TYPE_CHECKING:
    from batchrunner.app.explain_rules import RulesInForce
    from batchrunner.app.input_request import InputRequest
    from batchrunner.model.categories import RuleKey


@click.command("explain")
@input_options
@click.option(
    "--job", "key", metavar="ID", help="For this job.  [default: for jobs without a policy]"
)
@json_option
@help_option
def command(inputs: InputRequest, key: str | None, as_json: bool) -> None:
    """
    Show which rules apply to failures of jobs in FILE, and where each rule was written.

    Nothing is loaded or run.

    \b
    Examples:
      batchrunner explain jobs.yaml
      batchrunner explain jobs.yaml --job lamp
    """
    job_file = read_input(inputs)
    from batchrunner.app.explain_rules import explain_rules

    found = explain_rules(job_file, key)
    if as_json:
        click.echo(json.dumps(_as_json(found)))
        return
    for line in _lines(found):
        click.echo(line)
    own = sum(bool(each.policy) for each in job_file.specs)
    if key is None and own:
        click.echo(f"\n{own} of {len(job_file.specs)} jobs have rules of their own: --job ID")


def _as_json(found: RulesInForce) -> dict[str, Any]:
    from batchrunner.model import FailureCategory, Verdict

    return {
        "job": found.job,
        "url": found.url,
        "failures_in_all": found.failures_in_all,
        "rules": {
            key.value: _rule_as_json(found, key) for key in (*FailureCategory, Verdict.SUSPECT)
        },
    }


def _rule_as_json(found: RulesInForce, key: RuleKey) -> dict[str, Any]:
    if key in found.fixed:
        return {"fixed": found.fixed[key]}
    rule = found.rules[key]
    return {name: {"value": each.value, "from": each.origin} for name, each in rule.items()}


def _lines(found: RulesInForce) -> Iterator[str]:
    from batchrunner.model import FailureCategory, Verdict
    from batchrunner.text.terminal import term_safe

    if found.job is not None:
        yield term_safe(f"job {found.job}: {found.url}")
    yield f"at most {found.failures_in_all} counted failures in all"
    for key in (*FailureCategory, Verdict.SUSPECT):
        if key in found.fixed:
            yield f"\n{key.value}: {found.fixed[key]}"
            continue
        yield f"\n{key.value}"
        for name, each in found.rules[key].items():
            for number, text in enumerate(_value_lines(name, each.value)):
                head, origin = (name, f"  ({each.origin})") if number == 0 else ("", "")
                yield term_safe(f"  {head:<9} {text}{origin}")


def _value_lines(name: str, value: Any) -> list[str]:
    if name == "then":
        return [json.dumps(step) for step in value]
    return [f"{value:g} s" if name in ("wait", "backoff") else str(value)]
