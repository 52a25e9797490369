"""`batchrunner retry`: put failed jobs of a batch back."""

from __future__ import annotations

import shlex

import click

from batchrunner.app.clock import ledger_now
from batchrunner.cli.options import batch_of, db_option, help_option, opened
from batchrunner.errors import UsageError
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
    from batchrunner.cli.output.batch_text import db_given

    unanswered = FailureCategory.UNANSWERED
    with opened(db) as store:
        found = batch_of(store, batch)
        chosen = [FailureCategory(category) for category in categories]
        count = store.retry(found.id, chosen, keys, ledger_now(store))
        left = 0 if keys or chosen else store.tally(found.id).failed.get(unanswered, 0)
    if keys and not count:
        raise UsageError(
            "no job of such an id has failed or was cancelled",
            next="the `id` column of the export names the jobs",
        )
    next = "; run the batch to run them" if count else ""
    click.echo(f"{counted(count, 'job')} of {found.name!r} put back{next}", err=True)
    if left:
        again = f"batchrunner retry {shlex.quote(found.name)} --category {unanswered}{db_given(db)}"
        click.echo(f"{counted(left, 'job')} left alone, as a run of it may exist", err=True)
        click.echo(f"  to pay for another one: {again}", err=True)
