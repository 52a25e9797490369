"""`batchrunner load`: load a job file without running it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from batchrunner.cli.input_options import input_options
from batchrunner.cli.options import (
    help_option,
    json_option,
    new_db_option,
    note,
    opened,
    read_input,
)
from batchrunner.cli.output.batch_text import batch_as_json
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.input_request import InputRequest
    from batchrunner.model import Batch, JobFile
    from batchrunner.store.store import Store

#: Ids of changed jobs that are named.
MAX_NAMED = 3


@click.command("load")
@input_options
@new_db_option
@json_option
@help_option
def command(inputs: InputRequest, db: str, as_json: bool) -> None:
    """
    Load FILE, a job file or a table, without running it.

    Existing jobs are not changed, so the same file can be loaded any number of times.

    \b
    Examples:
      batchrunner load jobs.yaml
      batchrunner load pairs.csv --url-column link --goal 'Read the price of {product}'
    """
    from batchrunner.app.choose_edition import SeriesOptions, choose_file_edition
    from batchrunner.app.clock import store_now

    job_file = read_input(inputs)
    with opened(db, must_exist=False) as store:
        job_file = choose_file_edition(store, job_file, SeriesOptions(), store_now(store), note)
        batch = load(store, job_file)
        if as_json:
            click.echo(json.dumps(batch_as_json(store, batch)))


def load(store: Store, job_file: JobFile, *, budget_given: bool = False) -> Batch:
    """Load a job file and print what that did; with *budget_given*, an option sets the budget."""
    from batchrunner.app.load import load_jobs, load_report
    from batchrunner.text.terminal import term_safe

    loaded = load_jobs(store, job_file, note)
    report = load_report(loaded, job_file, budget_given=budget_given)
    merged = f", {report.duplicates} given twice" if report.duplicates else ""
    added = counted(report.added, "job")
    note(f"batch {loaded.batch.name!r}: {added} added, {report.known} known{merged}")
    for line in report.notes:
        note(line)
    if report.changed:
        named = ", ".join(term_safe(key) for key in report.changed[:MAX_NAMED])
        rest = len(report.changed) - MAX_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        note(
            f"warning: {named}{more}: loaded before with another url, goal or options, and kept "
            "as it was; give it a new `id` to run it anew"
        )
    return loaded.batch
