"""`batchrunner result`: print one result as the API sent it."""

from __future__ import annotations

import click

from batchrunner.cli.options import batch_of, db_option, help_option, note, opened


@click.command("result")
@click.argument("batch", required=False)
@click.option("--job", metavar="ID", required=True, help="The job: its `id` in an export.")
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="The file.  [default: standard output]"
)
@db_option
@help_option
def command(batch: str | None, job: str, output: str, db: str) -> None:
    """
    Print the result of one job of BATCH as the API sent it, in ASCII.

    Also a result that is too large to be parsed, which exports set aside. What the judge found in a
    suspect or bad result is said on standard error.

    \b
    Examples:
      batchrunner result example --job lamp
      batchrunner result example --job lamp -o lamp.json
    """
    from batchrunner.app.error_translation import errors_for_people
    from batchrunner.app.output_targets import check_outputs, kept_files
    from batchrunner.app.raw_result import raw_result, verdict_note, write_raw_result

    check_outputs([output], "jsonl", kept_files(db))
    with opened(db) as store:
        found = batch_of(store, batch)
        text, verdict = raw_result(store, found, job), verdict_note(store, found, job)
    if verdict:
        note(verdict)
    with errors_for_people():
        write_raw_result(text, output)
