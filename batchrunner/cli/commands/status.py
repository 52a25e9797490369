"""`batchrunner status`: batches, their failures and what was tried again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, opened

if TYPE_CHECKING:
    from batchrunner.model import Batch
    from batchrunner.store import Store


@click.command("status")
@click.argument("batch", required=False)
@db_option
@json_option
@help_option
def command(batch: str | None, db: str, as_json: bool) -> None:
    """
    Show all batches, or one BATCH with its failures and what was tried again, and why.

    \b
    Examples:
      batchrunner status
      batchrunner status example --json
    """
    from batchrunner.cli.report import batch_as_json

    with opened(db) as store:
        every = store.batches()
        chosen = [batch_of(store, batch)] if batch is not None or len(every) == 1 else every
        if as_json:
            found = [batch_as_json(store, each) for each in chosen]
            click.echo(json.dumps(found[0] if batch is not None else found))
            return
        for each in chosen:
            _show(store, each, whole=len(chosen) == 1)
        if not chosen:
            click.echo("no batches yet")


def _show(store: Store, batch: Batch, *, whole: bool) -> None:
    from batchrunner.cli.display import summary
    from batchrunner.cli.process import at_work
    from batchrunner.cli.report import failure_lines, retry_lines

    tally = store.tally(batch.id)
    click.echo(f"{batch.name}: {summary(tally)}")
    if not whole:
        return
    if tally.open:
        owners = at_work(store.living(datetime.now(UTC)))
        names = ", ".join(f"process {owner.pid} on {owner.machine.split()[0]}" for owner in owners)
        click.echo(f"at work on this database: {names or 'nobody'}")
    for title, lines in (
        ("failed or cancelled", failure_lines(store, batch)),
        ("tried again", retry_lines(store, batch)),
    ):
        for number, line in enumerate(lines):
            click.echo(f"\n{title}:\n  {line}" if number == 0 else f"  {line}")
