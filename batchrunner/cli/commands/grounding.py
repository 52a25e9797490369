"""`batchrunner grounding`: which values of the results are in the pages that their runs saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, opened
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.grounding_report import GroundingReport

#: Rows that are shown; --json has more.
MAX_SHOWN = 10


@click.command("grounding")
@click.argument("batch", required=False)
@db_option
@json_option
@help_option
def command(batch: str | None, db: str, as_json: bool) -> None:
    """
    Show which values of BATCH's results are in the pages that their runs saw.

    Jobs are checked while they run if the job file's settings say `grounding: 10%` (or `all`). A
    value that is absent from what was captured is not yet made up: the page may have changed.

    \b
    Examples:
      batchrunner grounding example
      batchrunner grounding example --json
    """
    from batchrunner.app.grounding_report import grounding_report
    from batchrunner.text.terminal import term_safe

    with opened(db) as store:
        report = grounding_report(store, batch_of(store, batch))
    if as_json:
        click.echo(json.dumps(report.as_json()))
        return
    for line in _lines(report):
        click.echo(term_safe(line))


def _lines(report: GroundingReport) -> Iterator[str]:
    summary = report.summary
    if not (summary.rows or report.not_checked or report.waiting):
        yield f"{report.batch}: no result was checked against its pages; to check a sample, write"
        yield "`grounding: 10%` below `settings` in the job file, for jobs that are still to run"
        return
    checked = counted(summary.rows, "result")
    yield f"{report.batch}: {checked} checked against the pages that their runs saw"
    if summary.fields:
        yield from (f"  {line}" for line in summary.lines())
    yield from _rows(report)
    for reason, rows in report.not_checked.items():
        yield f"not checked: {counted(rows, 'result')}: {reason}"
    if report.waiting:
        yield f"still to be checked: {counted(report.waiting, 'result')}; run the batch again"


def _rows(report: GroundingReport) -> Iterator[str]:
    if not report.rows:
        return
    yield "absent from what was captured, which does not yet mean made up:"
    for row in report.rows[:MAX_SHOWN]:
        values = "; ".join(
            f"{each.path}: {each.value!r}{f' ({each.how})' if each.how else ''}"
            for each in row.values
        )
        yield f"  {row.key}  {values}{f'; and {row.more} more' if row.more else ''}"
    if (more := report.summary.rows_with_absent - MAX_SHOWN) > 0:
        yield f"  … and {counted(more, 'more row')} (the first {len(report.rows)}: --json)"
