"""`batchrunner load`: load a job file without running it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchrunner.app.clock import ledger_now
from batchrunner.cli.options import (
    db_option,
    file_argument,
    help_option,
    json_option,
    opened,
    read_job_file,
    retry_while_locked,
)
from batchrunner.cli.output.batch_text import batch_as_json
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.model import Batch, JobFile, LoadResult, Settings
    from batchrunner.store.store import Store

#: Keys of changed jobs that are named.
NAMED = 3


@click.command("load")
@file_argument
@db_option
@json_option
@help_option
def command(file: Path, db: str, as_json: bool) -> None:
    """
    Load FILE without running it.

    Existing jobs are not changed, so the same file can be loaded any number of times.

    \b
    Example:
      batchrunner load jobs.yaml
    """
    job_file = read_job_file(file)
    with opened(db, must_exist=False) as store:
        batch = load(store, job_file)
        if as_json:
            click.echo(json.dumps(batch_as_json(store, batch)))


def load(store: Store, job_file: JobFile, *, budget_given: bool = False) -> Batch:
    """Load a job file and say what that did; of a budget that is given besides, nothing."""
    from batchrunner.text.terminal import term_safe

    loaded = retry_while_locked(lambda: store.load(job_file, ledger_now(store)))
    merged = f", {job_file.duplicates} given twice" if job_file.duplicates else ""
    click.echo(
        f"batch {loaded.batch.name!r}: {counted(loaded.added, 'job')} added, "
        f"{loaded.known} known{merged}",
        err=True,
    )
    for line in _resettled(loaded, job_file.settings, budget_given=budget_given):
        click.echo(line, err=True)
    if loaded.changed:
        named = ", ".join(term_safe(key) for key in loaded.changed[:NAMED])
        more = f" and {len(loaded.changed) - NAMED} more" if len(loaded.changed) > NAMED else ""
        click.echo(
            f"warning: {named}{more}: loaded before with another url, goal or options, and kept "
            "as it was; give it a new `id` to run it anew",
            err=True,
        )
    return loaded.batch


def _resettled(loaded: LoadResult, given: Settings, *, budget_given: bool) -> Iterator[str]:
    """Say which settings of a batch that was there are others now, and which is kept."""
    now = loaded.batch.settings
    if loaded.before is not None:
        for name in (each.name for each in fields(now)):
            was, is_ = getattr(loaded.before, name), getattr(now, name)
            if was != is_:
                told = "" if name == "policy" else f": {_plain(was)} → {_plain(is_)}"
                yield f"`{name}` of the batch is changed{told}"
    for name in ("concurrency",) if budget_given else ("concurrency", "budget"):
        kept, said = getattr(now, name), getattr(given, name)
        if kept != said:
            yield (
                f"`{name}` stays {_plain(kept)}, as it was set since; "
                f"what is loaded says {_plain(said)}, as before"
            )


def _plain(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    return "none" if value is None else str(value)
