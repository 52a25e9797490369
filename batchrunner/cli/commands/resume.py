"""`batchrunner resume`: let a paused batch go on."""

from __future__ import annotations

import click

from batchrunner.cli.clock import ledger_now
from batchrunner.cli.options import batch_of, db_option, help_option, opened


@click.command("resume")
@click.argument("batch", required=False)
@db_option
@help_option
def command(batch: str | None, db: str) -> None:
    """
    Let BATCH go on after a pause; runners that wait for it notice within 2 seconds.

    \b
    Example:
      batchrunner resume example
    """
    from batchrunner.cli.process import at_work

    with opened(db) as store:
        found = batch_of(store, batch)
        was_paused = store.resume(found.id, ledger_now(store))
        working = at_work(store.living(ledger_now(store)))
    if not was_paused:
        click.echo(f"{found.name!r} was not paused", err=True)
        return
    nobody = "" if working else "; nobody is at work on this database: run the batch"
    click.echo(f"{found.name!r} goes on{nobody}", err=True)
