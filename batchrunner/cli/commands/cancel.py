"""`batchrunner cancel`: cancel jobs of a batch, their remote runs included."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from batchrunner.cli.options import api_options, batch_of, db_option, help_option, opened

if TYPE_CHECKING:
    from batchrunner.model import Batch
    from batchrunner.store import Store


@click.command("cancel")
@click.argument("batch", required=False)
@click.option(
    "--job", "keys", multiple=True, metavar="ID", help="Only this job; may be given more than once."
)
@api_options
@db_option
@help_option
def command(
    batch: str | None,
    keys: tuple[str, ...],
    sandboxed: bool,
    api_key_file: str | None,
    api_url: str | None,
    db: str,
) -> None:
    """
    Cancel the jobs of BATCH that are not finished.

    Waiting jobs are cancelled at once. Runs in flight are cancelled on the API: by the runner that
    watches them, or, where none is at work, by this command, which needs the key for it.

    \b
    Example:
      batchrunner cancel jobs.example
    """
    from batchrunner.cli.work import access

    with opened(db) as store:
        found = batch_of(store, batch)
        at_once, asked = store.cancel(found.id, keys, datetime.now(UTC))
        click.echo(f"{at_once} jobs cancelled", err=True)
        if not asked:
            return
        if _is_watched(store):
            click.echo(f"{asked} runs in flight: the runner at work cancels them", err=True)
            return
        with access(sandboxed=sandboxed, api_url=api_url, api_key_file=api_key_file, db=db) as api:
            from batchrunner.cli.work import bind

            bind(store, found, api)
            _see_to_it(store, found, api)


def _is_watched(store: Store) -> bool:
    from batchrunner.cli.process import gone

    owners = store.living(datetime.now(UTC))
    return len(owners) > len(gone(owners))


def _see_to_it(store: Store, batch: Batch, api: object) -> None:
    from batchrunner.cli.display import make_display
    from batchrunner.cli.work import Access, work
    from batchrunner.model import JobState

    assert isinstance(api, Access)
    display = make_display(batch.name, quiet=False)
    with display.shown():
        worked = work(store, batch, api, display, submitting=False)
    click.echo(f"{worked.tally.jobs[JobState.CANCELLED]} jobs are cancelled now", err=True)
