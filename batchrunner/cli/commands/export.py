"""`batchrunner export`: write the results of a batch to a file."""

from __future__ import annotations

import click

from batchrunner.cli.options import batch_of, db_option, help_option, note, opened
from batchrunner.outputs import FORMATS, formats_help, suffixes_help


@click.command("export")
@click.argument("batch", required=False)
@click.option(
    "-o",
    "--output",
    default="-",
    metavar="FILE",
    help=f"The file: {suffixes_help()}.  [default: standard output]",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice([*FORMATS]),
    help=f"{formats_help()}.  [default: by the file's name; jsonl on standard output]",
)
@db_option
@help_option
def command(batch: str | None, output: str, format_: str | None, db: str) -> None:
    """
    Write all finished jobs of BATCH, in the order of the job file.

    An existing file is replaced only when the new one is complete.

    \b
    Examples:
      batchrunner export example -o results.csv
      batchrunner export example --format jsonl | jq .result
    """
    from batchrunner.app.export_results import check_outputs, export_all
    from batchrunner.app.output_targets import database_files

    targets = check_outputs([output], format_, keep=database_files(db))
    with opened(db) as store:
        export_all(store, batch_of(store, batch), targets, note)
