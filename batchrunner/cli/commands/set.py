"""`batchrunner set`: change how a batch is run, while it runs."""

from __future__ import annotations

import click

from batchrunner.cli.options import batch_of, db_option, help_option, opened


@click.command("set")
@click.argument("batch", required=False)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1000),
    metavar="N",
    required=True,
    help="Runs in flight at most, over all runners.",
)
@db_option
@help_option
def command(batch: str | None, concurrency: int, db: str) -> None:
    """
    Change how BATCH is run; all runners at work on it heed that within 2 seconds.

    No run is cancelled for a lower bound: nothing is submitted until enough have ended. What is
    set holds until the batch is loaded with another value than the one it was loaded with last.

    \b
    Example:
      batchrunner set example --concurrency 20
    """
    from batchrunner.cli.display import counted
    from batchrunner.model import JobState

    with opened(db) as store:
        found = batch_of(store, batch)
        store.set_concurrency(found.id, concurrency)
        running = store.tally(found.id).jobs[JobState.RUNNING]
    before = found.settings.concurrency
    click.echo(f"concurrency of {found.name!r}: {before} → {concurrency}", err=True)
    if running > concurrency:
        runs = counted(running, "run")
        click.echo(f"{runs} in flight: none is submitted until enough of them have ended", err=True)
