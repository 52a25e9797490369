"""`batchrunner cancel`: cancel jobs of a batch, their remote runs included."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from batchrunner.app.clock import ledger_now
from batchrunner.cli.exit_codes import SOME_FAILED
from batchrunner.cli.options import api_options, batch_of, db_option, help_option, note, opened
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.model import FailureCategory
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.model import Batch
    from batchrunner.store.store import Store

BACK = "batchrunner retry --category run_cancelled"


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
    help="Only jobs that wait for another try after this failure; may be given more than once.",
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

    All of them, which is asked about first on a terminal, or those that every kind of option given
    chooses. `batchrunner retry --category run_cancelled` puts them back.

    Waiting jobs are cancelled at once. Runs in flight are cancelled on the API: by the runner that
    watches them, or, where none is at work, by this command, which needs the key for it.

    \b
    Examples:
      batchrunner cancel example
      batchrunner cancel example --host shop.example.com --category blocked
    """
    from batchrunner.app.api_access import open_api
    from batchrunner.app.process_identity import running_owners

    with opened(db) as store:
        found = batch_of(store, batch)
        if not (keys or hosts or categories or yes):
            _ask_first(store, found)
        chosen = [FailureCategory(category) for category in categories]
        at_once, asked = store.cancel(found.id, keys, ledger_now(store), hosts, chosen)
        _check_found(keys, hosts, at_once + asked)
        click.echo(f"{counted(at_once, 'job')} cancelled", err=True)
        if not asked:
            return
        runs = counted(asked, "run")
        if running_owners(store.living(ledger_now(store), found.id)):
            click.echo(f"{runs} in flight: the runner at work cancels them", err=True)
            return
        click.echo(f"{runs} in flight, and may cost money until they are cancelled", err=True)
        with open_api(
            sandboxed=sandboxed, api_url=api_url, api_key_file=api_key_file, db=db
        ) as api:
            from batchrunner.app.run_batch import bind

            key = bind(store, found, api, say=note)
            _see_to_it(store, found, api, key)


def _ask_first(store: Store, batch: Batch) -> None:
    """Ask somebody at a terminal whether all jobs are meant; a script is not kept waiting."""

    left = store.tally(batch.id).open
    if not left or not sys.stdin.isatty():
        return
    question = f"Cancel all {counted(left, 'open job')} of {batch.name!r}?"
    if not click.confirm(f"{question} (`{BACK}` puts them back)", err=True):
        click.echo("nothing was cancelled", err=True)
        raise SystemExit(SOME_FAILED)


def _check_found(keys: tuple[str, ...], hosts: tuple[str, ...], count: int) -> None:
    if hosts and not count:
        raise UsageError(
            "no such job on such a host is waiting or running",
            next="name it as it stands in urls: shop.example.com, without https://",
        )
    if keys and not count:
        raise UsageError(
            "no job of such an id is waiting or running",
            next="the `id` column of the export names the jobs",
        )


def _see_to_it(store: Store, batch: Batch, api: ApiAccess, key: str) -> None:
    """Watch the runs until the API has confirmed that they are cancelled."""
    from batchrunner.app.run_batch import work
    from batchrunner.cli.exit_codes import ShownError
    from batchrunner.cli.output.progress import make_display
    from batchrunner.cli.signals import run_until_signal
    from batchrunner.model import JobState

    display = make_display(batch.name, quiet=False)
    with display.shown():
        worked, exit_code = run_until_signal(
            lambda control: work(
                store, batch, api, display, key=key, submitting=False, control=control
            )
        )
    left = worked.counts.jobs[JobState.RUNNING]
    if left:
        error = CannotContinue(
            f"{counted(left, 'run')} may still be alive: the API has not confirmed otherwise",
            next="give the same command again",
        )
        raise ShownError(error, exit_code)
    cancelled = counted(worked.counts.jobs[JobState.CANCELLED], "job")
    click.echo(f"no run is in flight any more; {cancelled} of the batch cancelled in all", err=True)
