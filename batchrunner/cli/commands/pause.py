"""`batchrunner pause`: submit nothing more of a batch until it is resumed."""

from __future__ import annotations

import shlex

import click

from batchrunner.cli.options import batch_of, db_option, help_option, note, opened
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
    from batchrunner.app.steering import pause_batch
    from batchrunner.cli.output.batch_text import db_given

    with opened(db) as store:
        found = batch_of(store, batch)
        paused = pause_batch(store, found, reason)
    note(f"{found.name!r} is paused: nothing more of it is submitted")
    if paused.running:
        what = "is polled to its end" if paused.running == 1 else "are polled to their ends"
        if not paused.watched:
            what = "in flight, and no runner polls them: run the batch to collect them"
        note(f"{counted(paused.running, 'run')} {what}")
    go_on = f"batchrunner resume {shlex.quote(found.name)}{db_given(db)}"
    note(f"to let it go on: {go_on}")
