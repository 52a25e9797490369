"""`batchrunner resume`: let a paused batch go on."""

from __future__ import annotations

import click

from batchrunner.cli.options import batch_of, db_option, help_option, note, opened


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
    Continue BATCH after a pause, a canary that failed, or a stop for bad data.

    Runners that wait for it notice within 2 seconds.

    \b
    Examples:
      batchrunner resume example
      batchrunner resume example --host shop.example
    """
    from batchrunner.app.steering import resume_batch, unpark_hosts

    with opened(db) as store:
        found = batch_of(store, batch)
        if hosts:
            _show_unparked(hosts, unpark_hosts(store, found, hosts))
            return
        resumed = resume_batch(store, found)
    if not resumed.was_paused:
        note(f"{found.name!r} was not paused")
        return
    nobody = "; nobody is at work on this database: run the batch"
    note(f"{found.name!r} goes on{'' if resumed.has_runner else nobody}")


def _show_unparked(hosts: tuple[str, ...], parked: set[str]) -> None:
    from batchrunner.text.terminal import term_safe

    for host in hosts:
        what = "is used again" if host in parked else "was not parked"
        note(term_safe(f"{host} {what}"))
