"""`batchrunner watch`: show what a run does while it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.exit_codes import SOME_FAILED
from batchrunner.cli.options import api_options, batch_of, db_option, help_option, opened
from batchrunner.errors import UsageError

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess


@click.command("watch")
@click.argument("run_id", required=False)
@click.option("--job", "key", metavar="ID", help="The newest run of this job.")
@click.option("--batch", metavar="NAME", help="The batch of the job.")
@click.option("--url", metavar="URL", help="Start a run: the page to start on; needs --goal.")
@click.option("--goal", metavar="TEXT", help="What the run should do there.")
@api_options
@db_option
@help_option
def command(
    run_id: str | None,
    key: str | None,
    batch: str | None,
    url: str | None,
    goal: str | None,
    db: str,
    **given: Any,
) -> None:
    """
    Show the steps of a run as they happen, where to watch its browser, and its result.

    Name an existing run by its id or its job, or start a new one with --url and --goal. A new run
    is a batch of one job in the database, so it is never paid for twice: the same command
    continues where it was, or shows the result. It costs what any run costs.

    Ctrl-C stops watching, but never the run: `batchrunner runs cancel` does that.

    Exit code 1 says that the run has failed, or that its result is not good.

    \b
    Examples:
      batchrunner watch 6f1f0c3e-7a57-4b2c-9d0e-2f7f4c1e8a11
      batchrunner watch --job lamp --batch example
      batchrunner watch --url https://example.com --goal 'Read the headline'
    """
    new = url is not None or goal is not None
    if (run_id is not None) + (key is not None) + new != 1 or (new and not (url and goal)):
        raise click.UsageError("give RUN_ID, or --job, or --url and --goal")
    from batchrunner.app.api_call import api_of

    with api_of(db=db, **given) as api:
        if url and goal:
            succeeded = _run(api, db, url, goal)
        else:
            succeeded = _follow(api, run_id or _newest_run(db, batch, key or ""))
    if not succeeded:
        raise SystemExit(SOME_FAILED)


def _newest_run(db: str, batch: str | None, key: str) -> str:
    """Return the id of the newest run of a job."""
    from batchrunner.store.reports import newest_run

    with opened(db) as store:
        found = batch_of(store, batch)
        run_id = store.read(newest_run, found.id, key)
    if run_id is None:
        raise UsageError(
            f"job {key!r} of {found.name!r} has no run yet, or there is no such job",
            next="the `id` column of the export names the jobs; `batchrunner status` counts runs",
        )
    return run_id


def _follow(api: ApiAccess, run_id: str) -> bool:
    """Show a run until it is over; return whether its result is good."""
    from batchrunner.app.follow_run import follow_run
    from batchrunner.classify import classify
    from batchrunner.cli.output.run_printer import RunPrinter
    from batchrunner.cli.output.run_text import run_lines
    from batchrunner.model import Succeeded

    details = follow_run(api, run_id, RunPrinter())
    for line in run_lines(details, steps=False):
        click.echo(line)
    return isinstance(classify(details.run), Succeeded)


def _run(api: ApiAccess, db: str, url: str, goal: str) -> bool:
    """Run a pair unless it was run before, and show its run; return whether its job succeeded."""
    from batchrunner.app.run_one import run_one
    from batchrunner.cli.output.run_printer import OneRunPrinter
    from batchrunner.cli.output.run_text import run_lines

    with opened(db, must_exist=False) as store:
        one = run_one(store, api, url, goal, OneRunPrinter())
        for line in run_lines(one.details, steps=not one.is_new):
            click.echo(line)
    return one.succeeded
