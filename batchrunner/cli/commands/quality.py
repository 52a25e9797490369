"""`batchrunner quality`: say in one word whether the rows of a batch are usable."""

from __future__ import annotations

import json

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, opened


@click.command("quality")
@click.argument("batch", required=False)
@click.option(
    "--against",
    metavar="NAME",
    help="Compare with this batch.  [default: the last good edition of the series]",
)
@db_option
@json_option
@help_option
def command(batch: str | None, against: str | None, db: str, as_json: bool) -> None:
    """
    Say in one word how good the rows of BATCH are, and why.

    The reasons follow, with field, host and number of rows; then the figures of the fields and
    hosts beside those of the last good edition, and ten rows that show it. Nothing is run. The
    name of a series means its newest edition.

    \b
    Examples:
      batchrunner quality prices
      batchrunner quality prices@2026-12-01 --against prices@2026-11-30
      batchrunner quality prices --json
    """
    from batchrunner.app.quality import batch_quality, report_as_json
    from batchrunner.cli.output.quality_text import report_lines

    with opened(db) as store:
        found = batch_of(store, batch)
        other = None if against is None else batch_of(store, against)
        report = batch_quality(store, found, other)
    if as_json:
        click.echo(json.dumps(report_as_json(report)))
        return
    for line in report_lines(report, db):
        click.echo(line)
