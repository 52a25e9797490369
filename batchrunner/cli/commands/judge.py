"""`batchrunner judge`: judge the results of a batch again, by other rules."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, opened
from batchrunner.errors import InputError
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.model import Batch, Expectations, Failed, Finding, StoredResult
    from batchrunner.store.store import Store

#: Changes that are shown of each kind.
EXAMPLES = 3
#: Changes that are written in one transaction.
RESULTS_PER_READ = 500


@dataclass(frozen=True, kw_only=True)
class Change:
    """A result of which another judgement was made."""

    of: StoredResult
    failure: Failed | None  #: None: it is good by these rules


@click.command("judge")
@click.argument("batch", required=False)
@click.option(
    "--expect",
    "expect_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Judge every job by this file: what a job file has below `expect`.",
)
@click.option(
    "-f",
    "--file",
    "job_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Judge each job by what this job file expects now.",
)
@click.option(
    "--suspects", is_flag=True, help="Also fail suspect results: outliers for their goal and site."
)
@click.option(
    "--apply",
    "applying",
    is_flag=True,
    help="Change the jobs. Without it, only show what would change.",
)
@db_option
@json_option
@help_option
def command(
    batch: str | None,
    expect_file: Path | None,
    job_file: Path | None,
    suspects: bool,
    applying: bool,
    db: str,
    as_json: bool,
) -> None:
    """
    Judge the stored results of BATCH again; that costs nothing.

    It shows what would change. With --apply, jobs whose results break these rules fail, and jobs
    that an earlier judgement failed succeed if their results are good. No job runs again before you
    give `batchrunner retry`.

    \b
    Examples:
      batchrunner judge example
      batchrunner judge example --expect expect.yaml --apply
      batchrunner judge example -f jobs.yaml --json
    """
    if expect_file and job_file:
        raise click.UsageError("give --expect or --file, not both")
    rules = _rules(expect_file, job_file)
    with opened(db) as store:
        found = batch_of(store, batch)
        count, changes, odd = _judged(store, found, rules)
        if suspects:
            changes, odd = changes + [_failed(*each) for each in odd], []
        applied = _apply(store, changes) if applying else None
    if as_json:
        click.echo(json.dumps(_as_json(found, count, changes, odd, applied)))
        return
    for line in _lines(found, count, changes, odd, applied):
        click.echo(line)


# ---- by which rules ----


def _rules(expect_file: Path | None, job_file: Path | None) -> Mapping[str | None, Any]:
    """Return what is expected by job key; None stands for every job that is not named."""
    from batchrunner.app.error_translation import errors_for_people
    from batchrunner.cli.options import read_job_file
    from batchrunner.inputs.yaml import JobFileErrors, parse_expect, report

    if job_file:
        return {spec.key: spec.expect for spec in read_job_file(job_file).specs}
    if not expect_file:
        return {}
    with errors_for_people():
        content = expect_file.read_bytes()
    try:
        return {None: parse_expect(content, file=str(expect_file))}
    except JobFileErrors as errors:
        raise InputError(
            report(errors, not_done="nothing was judged again"), errors.problems
        ) from errors


def _expectations(one: StoredResult, rules: Mapping[str | None, Any]) -> Expectations:
    from batchrunner.judge import expectations_of

    written = rules.get(one.key, rules.get(None))
    if written is None:
        return one.expectations
    return expectations_of(one.expectations.schema, written)


# ---- judging ----


def _judged(
    store: Store, batch: Batch, rules: Mapping[str | None, Any]
) -> tuple[int, list[Change], list[tuple[StoredResult, Finding]]]:
    """Return how many results there are, which judgements change, and which results are odd."""
    from batchrunner.judge import judge
    from batchrunner.judge.outliers import PeerResult, outliers

    changes: list[Change] = []
    good: dict[int, StoredResult] = {}
    count = 0

    def pass_on() -> Iterator[tuple[int, PeerResult]]:
        nonlocal count
        for one in store.judgeable(batch.id):
            count += 1
            failure = judge(one.result, _expectations(one, rules), _said_by_api(one))
            brief = replace(one, result="")  # the results of a batch may not fit into memory
            if _differs(one, failure):
                changes.append(Change(of=brief, failure=failure))
            if failure is None:
                good[one.attempt_id] = brief
                yield one.attempt_id, PeerResult(one.url, one.goal, one.result)

    found = outliers(pass_on())
    odd = [(good[key], finding) for key, finding in found.items() if good[key].category is None]
    # What failed as odd is odd still: that another rule is content with it changes nothing.
    return count, [each for each in changes if each.of.attempt_id not in found], odd


def _said_by_api(one: StoredResult) -> list[str] | None:
    """Return what the API said against a result, which another judgement of ours leaves."""
    from batchrunner.judge import REPORTED_SHAPE
    from batchrunner.model import FailureCategory

    rules = {finding.rule for finding in one.findings}
    by_api = REPORTED_SHAPE in rules or (one.code is None and not rules)
    broken = one.category is FailureCategory.INVALID_RESULT and by_api
    return [one.message] if broken else None


def _differs(one: StoredResult, failure: Failed | None) -> bool:
    return one.category is not (failure.category if failure else None)


def _failed(one: StoredResult, finding: Finding) -> Change:
    from batchrunner.model import Failed, FailureCategory

    message = f"The result is odd beside its neighbours: {finding.seen}"
    failure = Failed(
        category=FailureCategory.INVALID_RESULT,
        code=finding.rule,
        message=message,
        findings=(finding,),
    )
    return Change(of=one, failure=failure)


def _apply(store: Store, changes: list[Change]) -> int:
    pairs = [(change.of, change.failure) for change in changes]
    starts = range(0, len(pairs), RESULTS_PER_READ)
    return sum(store.rejudge(pairs[start : start + RESULTS_PER_READ]) for start in starts)


# ---- saying it ----


def _lines(
    batch: Batch,
    count: int,
    changes: list[Change],
    odd: list[tuple[StoredResult, Finding]],
    applied: int | None,
) -> Iterator[str]:

    for kind, lines in _by_kind(changes).items():
        yield f"{kind} ({len(lines)})"
        yield from _examples(lines)
    if odd:
        yield f"odd beside their neighbours, and not changed without --suspects ({len(odd)})"
        yield from _examples([_line(one, (finding,)) for one, finding in odd])
    judged = f"{counted(count, 'result')} of {batch.name!r} judged"
    if applied is None:
        yield f"{judged}: {counted(len(changes), 'job')} would change; to change: --apply"
    else:
        yield f"{judged}: {counted(applied, 'job')} changed"


def _by_kind(changes: Iterable[Change]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        findings = change.failure.findings if change.failure else change.of.findings
        message = change.failure.message if change.failure else change.of.message
        kinds[f"{_state(change.of.category)} → {_state(_new(change))}"].append(
            _line(change.of, findings, message)
        )
    return dict(sorted(kinds.items()))


def _new(change: Change) -> str | None:
    return change.failure.category if change.failure else None


def _state(category: str | None) -> str:
    return f"failed ({category})" if category else "succeeded"


def _line(one: StoredResult, findings: Iterable[Finding], message: str = "") -> str:
    from batchrunner.cli.output.status_text import DIGEST
    from batchrunner.text.terminal import term_safe

    own = "" if DIGEST.fullmatch(one.key) else f"{one.key}  "
    seen = "; ".join(
        f"{each.path}: {each.seen}{f', not {each.wanted}' if each.wanted else ''} [{each.rule}]"
        for each in findings
    )
    return term_safe(f"{own}{one.url}  {seen or message}")


def _examples(lines: list[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:EXAMPLES])
    if len(lines) > EXAMPLES:
        yield f"  … and {len(lines) - EXAMPLES} more (all of them: --json)"


def _as_json(
    batch: Batch,
    count: int,
    changes: list[Change],
    odd: list[tuple[StoredResult, Finding]],
    applied: int | None,
) -> dict[str, Any]:
    return {
        "batch": batch.name,
        "judged": count,
        "applied": applied,
        "changes": [
            {
                **_job(change.of, change.failure.findings if change.failure else ()),
                "from": change.of.category,
                "to": _new(change),
                "message": change.failure.message if change.failure else None,
            }
            for change in changes
        ],
        "suspects": [_job(one, (finding,)) for one, finding in odd],
    }


def _job(one: StoredResult, findings: Iterable[Finding]) -> dict[str, Any]:
    from dataclasses import asdict

    return {"id": one.key, "url": one.url, "evidence": [asdict(each) for each in findings]}
