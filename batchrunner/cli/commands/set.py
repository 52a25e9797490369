"""`batchrunner set`: change how a batch is run, while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batchrunner.cli.options import Concurrency, batch_of, db_option, help_option, opened
from batchrunner.errors import UsageError
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.model import Batch
    from batchrunner.store.store import Store


@click.command("set")
@click.argument("batch", required=False)
@click.option(
    "--concurrency",
    type=Concurrency(),
    metavar="N|auto",
    help="Maximum runs in flight, over all runners; auto: as many as the account has slots.",
)
@click.option(
    "--budget",
    metavar="BUDGET",
    help="Maximum cost of the batch, over all runners: '500 steps', '$20', or none.",
)
@db_option
@help_option
def command(batch: str | None, concurrency: int | None, budget: str | None, db: str) -> None:
    """
    Change the concurrency or budget of BATCH; all its runners apply it within 2 seconds.

    No run is cancelled for a lower bound or budget: nothing is submitted until enough runs have
    ended, or the budget covers more. The value stays until the batch is loaded with a value that
    differs from the one loaded last.

    \b
    Examples:
      batchrunner set example --concurrency 20
      batchrunner set example --budget '$40'
    """
    if concurrency is None and budget is None:
        raise UsageError(
            "nothing to set",
            next="name --concurrency, --budget or both",
        )
    with opened(db) as store:
        found = batch_of(store, batch)
        if budget is not None:
            _set_budget(store, found, budget)
        if concurrency is not None:
            _set_concurrency(store, found, concurrency)


def _set_concurrency(store: Store, batch: Batch, concurrency: int) -> None:
    from batchrunner.model import JobState

    store.set_concurrency(batch.id, concurrency)
    running = store.tally(batch.id).jobs[JobState.RUNNING]
    before = batch.settings.concurrency or "auto"
    click.echo(f"concurrency of {batch.name!r}: {before} → {concurrency or 'auto'}", err=True)
    if concurrency and running > concurrency:
        runs = counted(running, "run")
        click.echo(f"{runs} in flight: none is submitted until enough of them have ended", err=True)


def _set_budget(store: Store, batch: Batch, text: str) -> None:
    from batchrunner.app.budget import check_rate, given_budget, purse_line
    from batchrunner.app.clock import ledger_now

    budget = given_budget(text)
    check_rate(budget, batch)
    store.set_budget(batch.id, budget)
    was, is_ = batch.settings.budget or "none", budget or "none"
    click.echo(f"budget of {batch.name!r}: {was} → {is_}", err=True)
    purse = store.purse(batch.id, ledger_now(store))
    if purse is not None:
        click.echo(purse_line(purse, batch.step_price), err=True)
        if purse.room < (purse.needs or 1):
            ended = "enough runs have ended or " if purse.reserved else ""
            click.echo(f"nothing is submitted until {ended}it covers more", err=True)
