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
      batchrunner status jobs.example --json
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
    from batchrunner.cli.report import MOST, attempt_line, failure_lines

    tally = store.tally(batch.id)
    at_work = len(store.living(datetime.now(UTC)))
    click.echo(f"{batch.name}: {summary(tally)}")
    if not whole:
        return
    if tally.open:
        click.echo(f"runners at work on this database: {at_work or 'none'}")
    retries = store.failures(batch.id, final=False, most=MOST)
    if retries:
        click.echo("\ntried again:")
    for attempt in retries:
        click.echo(f"  {attempt.category}  {attempt_line(attempt)}  → {attempt.job_state}")
    failures = list(failure_lines(store, batch))
    if failures:
        click.echo("\nfailed:")
    for line in failures:
        click.echo(f"  {line}")
