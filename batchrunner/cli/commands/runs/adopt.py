"""`batchrunner runs adopt`: take runs into a batch that something else started; costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.exit_codes import SOME_MISSED
from batchrunner.cli.options import api_options, db_option, help_option, note, opened
from batchrunner.cli.run_filters import filter_options, filters
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.adopt_runs import AdoptResult


@click.command("adopt")
@click.argument("run_ids", metavar="[RUN_ID]...", nargs=-1)
@click.option(
    "--batch",
    "name",
    required=True,
    metavar="NAME",
    help="The batch; created if it does not exist.",
)
@filter_options
@api_options
@db_option
@help_option
def command(
    run_ids: tuple[str, ...],
    name: str,
    status: str | None,
    goal: str | None,
    created_after: str | None,
    created_before: str | None,
    db: str,
    **given: Any,
) -> None:
    """
    Add runs that another program started to a batch: those named, or those that the filters match.

    Each becomes a job with one attempt. Its result is judged and exported like any other. No run is
    started: a job that fails here stays failed, because the API does not show its url. Runs that
    the database already has are not changed. Active runs belong to the batch from now on: the next
    run of the batch polls them within its limits, and so does this command if it is given again.

    Exit code 1 says that the API does not know some of the runs that were named.

    \b
    Examples:
      batchrunner runs adopt --batch rescued --goal linkedin --created-after 2026-09-01
      batchrunner runs adopt --batch rescued 6f1f0c3e-7a57-4b2c-9d0e-2f7f4c1e8a11
    """
    from batchrunner.app.adopt_runs import adopt_runs, check_batch_name
    from batchrunner.app.api_call import api_of
    from batchrunner.tinyfish.console_client import query_of

    chosen = filters(
        status=status, goal=goal, created_after=created_after, created_before=created_before
    )
    if bool(run_ids) == any(value is not None for value in chosen.values()):
        raise click.UsageError("name runs, or choose them by filters")
    query = None if run_ids else query_of(**chosen, oldest_first=True)
    check_batch_name(name)
    with api_of(db=db, **given) as api, opened(db, must_exist=False) as store:
        result = adopt_runs(store, api, name, run_ids, query, say=note)
    _show(result, name)
    if result.missing:
        raise SystemExit(SOME_MISSED)


def _show(result: AdoptResult, name: str) -> None:
    from batchrunner.text.terminal import term_safe

    known = result.seen - result.added
    done = f"batch {name!r}: {counted(result.added, 'run')} adopted, {known} left alone"
    nothing = f"there is nothing to adopt: no batch {name!r} was made"
    click.echo(done if result.has_batch else nothing, err=True)
    for state, count in sorted(result.ends.items()):
        click.echo(f"  {count} {state}", err=True)
    if result.going_on:
        click.echo(
            f"  {counted(result.going_on, 'run')} not over: the next run of the batch watches "
            "them, or the same command collects them",
            err=True,
        )
    for run_id in result.missing:
        click.echo(term_safe(f"  not known to the API: {run_id}"), err=True)
