"""`batchrunner cancel`: cancel jobs of a batch, their remote runs included."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from batchrunner.cli.exit_codes import SOME_FAILED
from batchrunner.cli.options import api_options, batch_of, db_option, help_option, note, opened
from batchrunner.errors import CannotContinue
from batchrunner.model import FailureCategory
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.model import Batch
    from batchrunner.store.store import Store

#: The command that puts cancelled jobs back.
RETRY_COMMAND = "batchrunner retry --category run_cancelled"


@click.command("cancel")
@click.argument("batch", required=False)
@click.option(
    "--job", "keys", multiple=True, metavar="ID", help="Only this job; may be given more than once."
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="Only jobs whose url is on this host; may be given more than once.",
)
@click.option(
    "--category",
    "categories",
    multiple=True,
    type=click.Choice([str(category) for category in FailureCategory]),
    metavar="CATEGORY",
    help="Only jobs that wait for a retry after this failure; may be given more than once.",
)
@click.option("--yes", is_flag=True, help="Do not ask before all jobs are cancelled.")
@api_options
@db_option
@help_option
def command(
    batch: str | None,
    keys: tuple[str, ...],
    hosts: tuple[str, ...],
    categories: tuple[str, ...],
    yes: bool,
    sandboxed: bool,
    api_key_file: str | None,
    api_url: str | None,
    db: str,
) -> None:
    """
    Cancel the jobs of BATCH that are not finished.

    Without options it cancels all of them, and asks first on a terminal. With options of several
    kinds, a job must match each kind. `batchrunner retry --category run_cancelled` puts them back.

    Waiting jobs are cancelled at once. Runs in flight are cancelled at the API by their runner. If
    no runner is active, this command does it, and needs the key.

    \b
    Examples:
      batchrunner cancel example
      batchrunner cancel example --host shop.example.com --category blocked
    """
    from batchrunner.app.api_access import open_api
    from batchrunner.app.cancel_jobs import JobFilter, cancel_jobs

    chosen = JobFilter(
        keys=keys, hosts=hosts, categories=[FailureCategory(category) for category in categories]
    )
    with opened(db) as store:
        found = batch_of(store, batch)
        if chosen.chooses_all and not yes:
            _confirm(store, found)
        result = cancel_jobs(store, found, chosen)
        click.echo(f"{counted(result.cancelled, 'job')} cancelled", err=True)
        if not result.in_flight:
            return
        runs = counted(result.in_flight, "run")
        if result.runner_at_work:
            click.echo(f"{runs} in flight: the runner at work cancels them", err=True)
            return
        click.echo(f"{runs} in flight, and may cost money until they are cancelled", err=True)
        with open_api(
            sandboxed=sandboxed, api_url=api_url, api_key_file=api_key_file, db=db
        ) as api:
            _cancel_runs(store, found, api)


def _confirm(store: Store, batch: Batch) -> None:
    """Ask at a terminal whether all jobs are to be cancelled; a script is not asked."""
    from batchrunner.app.cancel_jobs import count_open_jobs

    count = count_open_jobs(store, batch)
    if not count or not sys.stdin.isatty():
        return
    question = f"Cancel all {counted(count, 'open job')} of {batch.name!r}?"
    if not click.confirm(f"{question} (`{RETRY_COMMAND}` puts them back)", err=True):
        click.echo("nothing was cancelled", err=True)
        raise SystemExit(SOME_FAILED)


def _cancel_runs(store: Store, batch: Batch, api: ApiAccess) -> None:
    """Cancel runs, and wait until the API has confirmed that they are over."""
    from batchrunner.app.account_check import bind
    from batchrunner.app.cancel_jobs import finish_cancelling
    from batchrunner.cli.exit_codes import ShownError
    from batchrunner.cli.output.progress import make_display
    from batchrunner.cli.signals import run_until_signal
    from batchrunner.model import JobState

    key = bind(store, batch, api, say=note)
    display = make_display(batch.name, quiet=False)
    with display.shown():
        ended, exit_code = run_until_signal(
            lambda control: finish_cancelling(store, batch, api, display, key=key, control=control)
        )
    running = ended.counts.jobs[JobState.RUNNING]
    if running:
        error = CannotContinue(
            f"{counted(running, 'run')} may still be alive: the API has not confirmed otherwise",
            next="give the same command again",
        )
        raise ShownError(error, exit_code)
    cancelled = counted(ended.counts.jobs[JobState.CANCELLED], "job")
    click.echo(f"no run is in flight any more; {cancelled} of the batch cancelled in all", err=True)
