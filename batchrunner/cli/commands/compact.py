"""`batchrunner compact`: give the disk back what a database does not use any more."""

from __future__ import annotations

import json

import click

from batchrunner.cli.options import db_option, help_option, json_option, note, opened


@click.command("compact")
@db_option
@json_option
@help_option
def command(db: str, as_json: bool) -> None:
    """
    Give the disk back what the database does not use any more, as after editions were removed.

    No job, attempt or result is removed. `batchrunner doctor` says before how much is free. It is
    refused while a runner works on the database, or where a disk lacks room: an SQLite file is
    written anew, which may need twice its size for a while. On PostgreSQL, the space of removed
    rows is made usable again, and only what is at the ends of tables goes back to the disk.

    \b
    Example:
      batchrunner compact --db prices.db
    """
    from batchrunner.app.compact_database import compact_database
    from batchrunner.text.format import byte_size

    with opened(db) as store:
        freed = compact_database(store, db)
    if as_json:
        click.echo(json.dumps({"freed_bytes": freed}))
    else:
        note(f"the database is {byte_size(freed)} smaller")
