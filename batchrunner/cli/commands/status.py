"""`batchrunner status`: batches, their failures and what was tried again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import batch_of, db_option, help_option, json_option, opened
from batchrunner.text.format import clock, counted, local

if TYPE_CHECKING:
    from batchrunner.model import Batch, BatchCounts
    from batchrunner.store.store import Store


@click.command("status")
@click.argument("batch", required=False)
@db_option
@json_option
@help_option
def command(batch: str | None, db: str, as_json: bool) -> None:
    """
    Show all batches, or one BATCH with its failures, what was retried, and why.

    The name of a series shows its editions, the newest first, and the newest one in detail.

    \b
    Examples:
      batchrunner status
      batchrunner status example --json
      batchrunner status prices
      batchrunner status prices@2026-12-01
    """
    from batchrunner.cli.output.batch_text import batch_as_json, bounds_line
    from batchrunner.store.batch_reads import batches_in_flight, list_batches
    from batchrunner.text.wrapping import say

    with opened(db) as store:
        every = store.read(list_batches)
        # Of a series, the newest edition is shown.
        current = list({each.series or each.name: each for each in every}.values())
        one = batch is not None or len(current) == 1
        chosen = [batch_of(store, batch, quiet=True)] if one else current
        if as_json:
            shown = chosen if one else every
            found = [{**batch_as_json(store, each), **_workers(store, each)} for each in shown]
            if batch is not None and batch in {each.series for each in every}:
                found = [{**each, **_editions(store, batch)} for each in found]
            click.echo(json.dumps(found[0] if batch is not None else found))
            return
        for each in chosen:
            if one and each.series is not None and batch != each.name:
                _show_series(store, each.series)
            _show(store, each, db, whole=one)
        if line := bounds_line(store.read(batches_in_flight)):
            say(line)
        if not chosen:
            click.echo("no batches yet")


def _editions(store: Store, series: str) -> dict[str, Any]:
    """Return the editions of a series as JSON."""
    from batchrunner.cli.output.series_text import edition_as_json
    from batchrunner.store.editions import summaries

    return {"editions": [edition_as_json(each) for each in store.read(summaries, series)]}


def _show_series(store: Store, series: str) -> None:
    from batchrunner.cli.output.series_text import series_lines
    from batchrunner.store.editions import summaries

    for line in series_lines(series, store.read(summaries, series)):
        click.echo(line)
    click.echo()


def _show(store: Store, batch: Batch, db: str, *, whole: bool) -> None:
    from batchrunner.cli.output.batch_text import (
        cancelled_lines,
        failure_lines,
        retry_lines,
        suspect_lines,
    )
    from batchrunner.cli.output.status_text import summary
    from batchrunner.store.count_reads import read_counts
    from batchrunner.text.wrapping import say

    counts = store.read(read_counts, batch.id)
    say(f"{batch.name}: {summary(counts)}")
    for line in _notes(store, batch, counts, db):
        say(f"  {line}")
    if not whole:
        return
    if counts.open:
        at_work = list(working(store, batch))
        click.echo(f"at work on this database:{'' if at_work else _nobody(counts)}")
        for worker in at_work:
            click.echo(f"  {worker}")
    for title, lines in (
        ("look at these first", suspect_lines(store, batch, db)),
        (
            "failed or cancelled",
            chain(failure_lines(store, batch, db), cancelled_lines(store, batch, db)),
        ),
        ("tried again", retry_lines(store, batch, db)),
        ("what the API says of its runs", _said_by_api(store, batch, db)),
    ):
        for number, line in enumerate(lines):
            if number == 0:
                click.echo(f"\n{title}:")
            say(f"  {line}")


def _said_by_api(store: Store, batch: Batch, db: str) -> Iterator[str]:
    """Give the API's advice about failed jobs, and the errors that runs have beside results."""
    from batchrunner.app.status import MAX_ADVICE_SHOWN, MAX_ATTEMPTS_SHOWN
    from batchrunner.cli.output.batch_text import advice_lines, run_error_lines, status_as_json
    from batchrunner.store.failure_reads import advice_counts, run_errors

    command = status_as_json(batch, db)
    yield from advice_lines(store.read(advice_counts, batch.id, most=MAX_ADVICE_SHOWN), command)
    yield from run_error_lines(store.read(run_errors, batch.id, most=MAX_ATTEMPTS_SHOWN), command)


def _notes(store: Store, batch: Batch, counts: BatchCounts, db: str) -> Iterator[str]:
    """Give what stands below a batch's line."""
    from batchrunner.cli.output.batch_text import artifact_lines, money_lines

    yield from _word(store, batch, db)
    yield from _waits(store, batch)
    yield from money_lines(store, batch, counts)
    yield from artifact_lines(store, batch)


def _word(store: Store, batch: Batch, db: str) -> Iterator[str]:
    """Give how good the rows were at the end of the last run, if it came to its end."""
    from batchrunner.cli.output.batch_text import db_given
    from batchrunner.model.quality import QualityWord
    from batchrunner.store.batch_reads import recorded_quality

    word = store.read(recorded_quality, batch.id)
    if word is not None:
        why = f" (why: batchrunner quality {shlex.quote(batch.name)}{db_given(db)})"
        yield f"quality: {word}{'' if word is QualityWord.GOOD else why}"


def _nobody(counts: BatchCounts) -> str:
    from batchrunner.model import JobState

    runs = counts.jobs[JobState.RUNNING]
    if not runs:
        return " nobody"
    return f" nobody; {counted(runs, 'run')} in flight, not watched: run again to collect"


def _waits(store: Store, batch: Batch) -> Iterator[str]:
    """Give what holds a batch or a host back."""
    from batchrunner.app.clock import store_now
    from batchrunner.cli.output.status_text import held, parked_line, paused
    from batchrunner.store.batch_reads import current_hold, parked_hosts
    from batchrunner.text.terminal import term_safe

    if batch.pause:
        yield term_safe(paused(batch.pause))
    if hold := store.read(current_hold, batch.id, store_now(store)):
        yield term_safe(held(hold))
    for host in store.read(parked_hosts, batch.id):
        yield term_safe(parked_line(host))


def working(store: Store, batch: Batch, *, alive: bool = False) -> Iterator[str]:
    """Give the processes that work on the database; those that are alive, or all."""
    from batchrunner.app.status import runner_processes
    from batchrunner.text.terminal import term_safe

    for process in runner_processes(store, batch):
        worker = process.worker
        name = term_safe(f"process {worker.owner.pid} on {process.machine}")
        runs = f"{counted(worker.in_flight, 'run')} in flight"
        if process.is_alive:
            yield (
                f"{name} since {local(worker.since)}: {runs}, "
                f"last sign of life {clock(worker.silent)} ago"
            )
        elif worker.in_flight and not alive:
            what = "gives no sign of life" if process.is_running else "has died"
            yield f"{name} {what}: the next run of the batch takes over its {runs}"


def _workers(store: Store, batch: Batch) -> dict[str, Any]:
    from batchrunner.app.status import runner_processes

    return {
        "workers": [
            {
                "pid": process.worker.owner.pid,
                "machine": process.machine,
                "since": process.worker.since.isoformat(),
                "in_flight": process.worker.in_flight,
                "silent_seconds": round(process.worker.silent.total_seconds(), 1),
                "alive": process.is_alive,
            }
            for process in runner_processes(store, batch)
        ]
    }
