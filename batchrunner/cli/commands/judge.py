"""`batchrunner judge`: judge the results of a batch again, by other rules."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, opened
from batchrunner.model import Verdict
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.rejudge import Change, ExpectByKey, RejudgeResult
    from batchrunner.model import Batch, Finding, StoredResult

#: Changes that are shown of each kind.
MAX_EXAMPLES = 3


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
    "--suspects", is_flag=True, help="Also fail suspect results; without it, they are flagged."
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

    It shows what would change. With --apply, jobs whose results are bad by these rules fail, jobs
    that an earlier judgement failed succeed if their results are not bad, and suspect results are
    flagged. No job runs again before you give `batchrunner retry`, or `run` with --rerun suspect.

    \b
    Examples:
      batchrunner judge example
      batchrunner judge example --expect expect.yaml --apply
      batchrunner judge example -f jobs.yaml --json
    """
    if expect_file and job_file:
        raise click.UsageError("give --expect or --file, not both")
    from batchrunner.app.rejudge import rejudge

    expect_by_key = _expectations(expect_file, job_file)
    with opened(db) as store:
        found = batch_of(store, batch)
        result = rejudge(store, found, expect_by_key, outliers_fail=suspects, apply=applying)
    if as_json:
        click.echo(json.dumps(_as_json(found, result)))
        return
    for line in _lines(found, result):
        click.echo(line)


def _expectations(expect_file: Path | None, job_file: Path | None) -> ExpectByKey:
    from batchrunner.app.error_translation import errors_for_people
    from batchrunner.app.rejudge import expectations_of_job_file, read_expectations
    from batchrunner.cli.options import read_job_file

    if job_file:
        return expectations_of_job_file(read_job_file(job_file))
    if not expect_file:
        return {}
    with errors_for_people():
        return read_expectations(expect_file)


# ---- text ----


def _lines(batch: Batch, result: RejudgeResult) -> Iterator[str]:
    for kind, lines in _lines_by_kind(result.changes).items():
        yield f"{kind} ({len(lines)})"
        yield from _examples(lines)
    if result.set_aside:
        yield f"too large to be judged, and left as they are: {counted(result.set_aside, 'result')}"
    how_many = [f"{count} {verdict}" for verdict in Verdict if (count := result.verdicts[verdict])]
    judged = f"{counted(result.judged, 'result')} of {batch.name!r} judged ({', '.join(how_many)})"
    if result.applied is None:
        changes = counted(len(result.changes), "job")
        yield f"{judged}: {changes} would change; to change: --apply"
    else:
        yield f"{judged}: {counted(result.applied, 'job')} changed"


def _lines_by_kind(changes: Iterable[Change]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        reasons = change.outcome.findings or change.of.findings
        message = change.failure.message if change.failure else change.of.message
        before = _state(change.of.category, change.verdict_before)
        kinds[f"{before} → {_state(change.category, change.verdict)}"].append(
            _line(change.of, reasons, message)
        )
    return dict(sorted(kinds.items()))


def _state(category: str | None, verdict: Verdict) -> str:
    if category:
        return f"failed ({category})"
    return "suspect" if verdict is Verdict.SUSPECT else "succeeded"


def _line(stored: StoredResult, findings: Iterable[Finding], message: str = "") -> str:
    from batchrunner.cli.output.status_text import DIGEST
    from batchrunner.text.terminal import term_safe

    key = "" if DIGEST.fullmatch(stored.key) else f"{stored.key}  "
    reasons = "; ".join(
        f"{each.path}: {each.seen}{f', not {each.wanted}' if each.wanted else ''} [{each.rule}]"
        for each in findings
    )
    return term_safe(f"{key}{stored.url}  {reasons or message}")


def _examples(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:MAX_EXAMPLES])
    if len(lines) > MAX_EXAMPLES:
        more = len(lines) - MAX_EXAMPLES
        yield f"  … and {more} more (all of them: the same command with --json)"


# ---- JSON ----


def _as_json(batch: Batch, result: RejudgeResult) -> dict[str, Any]:
    return {
        "batch": batch.name,
        "judged": result.judged,
        "set_aside": result.set_aside,
        "verdicts": {verdict: result.verdicts[verdict] for verdict in Verdict},
        "applied": result.applied,
        "changes": [
            {
                **_job(change.of, change.outcome.findings),
                "from": change.of.category,
                "to": change.category,
                "from_verdict": change.verdict_before,
                "to_verdict": change.verdict,
                "message": change.failure.message if change.failure else None,
            }
            for change in result.changes
        ],
        "suspects": [_job(outlier.of, (outlier.finding,)) for outlier in result.outliers],
    }


def _job(stored: StoredResult, findings: Iterable[Finding]) -> dict[str, Any]:
    from dataclasses import asdict

    return {"id": stored.key, "url": stored.url, "evidence": [asdict(each) for each in findings]}
