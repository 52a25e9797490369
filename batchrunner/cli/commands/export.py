"""`batchrunner export`: write the results of a batch to a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from batchrunner.cli.export_options import export_options, overwrite_option
from batchrunner.cli.options import batch_of, db_option, help_option, note, opened
from batchrunner.cli.same_api import on_same_api
from batchrunner.outputs import suffixes_help

if TYPE_CHECKING:
    from batchrunner.app.export_options import ExportRequest


@click.command("export")
@click.argument("batch", required=False)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help=f"The file: {suffixes_help()}, or .yaml for a job file; several.  "
    "[default: standard output]",
)
@export_options
@overwrite_option
@click.option(
    "--follow",
    is_flag=True,
    help="Append jobs to a .jsonl file as they end, until the batch is finished.",
)
@db_option
@help_option
def command(
    batch: str | None,
    outputs: tuple[str, ...],
    exporting: ExportRequest,
    overwrite: bool,
    follow: bool,
    db: str,
) -> None:
    """
    Write all finished jobs of BATCH, in the order of the job file.

    A file of an earlier export is replaced when the new one is complete. Any other file stays,
    unless you give --overwrite.

    \b
    Examples:
      batchrunner export example -o results.csv
      batchrunner export example --format jsonl | jq .result
      batchrunner export example --columns id,price=result.price --only succeeded -o prices.xlsx
      batchrunner export example --explode result.offers --join -o offers.csv
      batchrunner export example --follow -o results.jsonl
      batchrunner export example --into sqlite:shop.db:prices --key sku
      batchrunner export example --only failed -o again.yaml
    """
    from batchrunner.app.export_command import export_command

    def say(line: str) -> None:
        note(on_same_api(line, sys.argv[1:]))

    with opened(db) as store:
        export_command(
            store,
            db,
            batch_of(store, batch),
            outputs,
            exporting,
            say,
            overwrite=overwrite,
            follow=follow,
        )
