"""`batchrunner resume`: let a paused batch go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batchrunner.app.clock import ledger_now
from batchrunner.cli.options import batch_of, db_option, help_option, opened

if TYPE_CHECKING:
    from batchrunner.model import Batch
    from batchrunner.store.store import Store


@click.command("resume")
@click.argument("batch", required=False)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="Only use this parked host again; may be given more than once.",
)
@db_option
@help_option
def command(batch: str | None, hosts: tuple[str, ...], db: str) -> None:
    """
    Continue BATCH after a pause, or after a canary that failed.

    Runners that wait for it notice within 2 seconds.

    \b
    Examples:
      batchrunner resume example
      batchrunner resume example --host shop.example
    """
    from batchrunner.app.process_identity import running_owners

    with opened(db) as store:
        found = batch_of(store, batch)
        if hosts:
            _unpark(store, found, hosts)
            return
        was_paused = store.resume(found.id, ledger_now(store))
        working = running_owners(store.living(ledger_now(store)))
    if not was_paused:
        click.echo(f"{found.name!r} was not paused", err=True)
        return
    nobody = "" if working else "; nobody is at work on this database: run the batch"
    click.echo(f"{found.name!r} goes on{nobody}", err=True)


def _unpark(store: Store, batch: Batch, hosts: tuple[str, ...]) -> None:
    from batchrunner.text.terminal import term_safe

    parked = {host.host for host in store.parked(batch.id)}
    store.unpark(batch.id, hosts)
    for host in hosts:
        fate = "is used again" if host in parked else "was not parked"
        click.echo(term_safe(f"{host} {fate}"), err=True)
