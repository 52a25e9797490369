"""`batchrunner pause`: submit nothing more of a batch until it is resumed."""

from __future__ import annotations

import shlex

import click

from batchrunner.app.clock import ledger_now
from batchrunner.cli.options import batch_of, db_option, help_option, opened
from batchrunner.text.format import counted


@click.command("pause")
@click.argument("batch", required=False)
@click.option("--reason", metavar="TEXT", help="The reason, which `status` shows.")
@db_option
@help_option
def command(batch: str | None, reason: str | None, db: str) -> None:
    """
    Stop submitting jobs of BATCH until it is resumed.

    All its runners notice within 2 seconds, and wait. Runs in flight are polled to their end. You
    can run a paused batch: the runner collects the runs in flight, and waits.

    \b
    Example:
      batchrunner pause example --reason 'the shop asked us to wait'
    """
    from batchrunner.app.process_identity import running_owners
    from batchrunner.cli.output.batch_text import db_given
    from batchrunner.model import JobState

    with opened(db) as store:
        found = batch_of(store, batch)
        now = ledger_now(store)
        store.pause(found.id, reason, now)
        running = store.tally(found.id).jobs[JobState.RUNNING]
        watched = bool(running_owners(store.living(now, found.id)))
    click.echo(f"{found.name!r} is paused: nothing more of it is submitted", err=True)
    if running:
        fate = "is watched to its end" if running == 1 else "are watched to their ends"
        if not watched:
            fate = "in flight, and nobody watches: run the batch to collect them"
        click.echo(f"{counted(running, 'run')} {fate}", err=True)
    go_on = f"batchrunner resume {shlex.quote(found.name)}{db_given(db)}"
    click.echo(f"to let it go on: {go_on}", err=True)
