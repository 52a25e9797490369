"""`batchrunner retry`: put failed jobs of a batch back."""

from __future__ import annotations

import shlex

import click

from batchrunner.cli.options import batch_of, db_option, help_option, note, opened
from batchrunner.model import FailureCategory
from batchrunner.text.format import counted


@click.command("retry")
@click.argument("batch", required=False)
@click.option(
    "--category",
    "categories",
    multiple=True,
    type=click.Choice([str(category) for category in FailureCategory]),
    metavar="CATEGORY",
    help="Only jobs that ended with this failure; may be given more than once.",
)
@click.option(
    "--job", "keys", multiple=True, metavar="ID", help="Only this job; may be given more than once."
)
@db_option
@help_option
def command(batch: str | None, categories: tuple[str, ...], keys: tuple[str, ...], db: str) -> None:
    """
    Put failed jobs of BATCH back; the next run runs them.

    Without options it puts back all that failed. The options may also name cancelled jobs.
    Unanswered jobs are put back only if an option names them, because their runs may exist.

    \b
    Examples:
      batchrunner retry example
      batchrunner retry example --category goal_failure --category blocked
    """
    from batchrunner.app.steering import newer_edition, retry_jobs
    from batchrunner.cli.output.batch_text import db_given

    with opened(db) as store:
        found = batch_of(store, batch)
        chosen = [FailureCategory(category) for category in categories]
        retried, newest = retry_jobs(store, found, chosen, keys), newer_edition(store, found)
    next = "; run the batch to run them" if retried.jobs else ""
    if newest is not None and retried.jobs:
        next = f"; but a run submits only {newest!r}, the newest edition, and cancels them again"
    note(f"{counted(retried.jobs, 'job')} of {found.name!r} put back{next}")
    if retried.unanswered:
        unanswered = FailureCategory.UNANSWERED
        again = f"batchrunner retry {shlex.quote(found.name)} --category {unanswered}{db_given(db)}"
        note(f"{counted(retried.unanswered, 'job')} left alone, as a run of it may exist")
        note(f"  to pay for another one: {again}")
