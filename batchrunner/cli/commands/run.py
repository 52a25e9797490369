"""`batchrunner run`: load a job file, run its jobs, export the results."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from batchrunner.app.error_translation import errors_for_people
from batchrunner.cli.exit_codes import CANNOT_GO_ON
from batchrunner.cli.options import (
    Concurrency,
    api_options,
    db_option,
    file_argument,
    help_option,
    json_option,
    opened,
    read_job_file,
)
from batchrunner.cli.webhook_options import webhook_from_options, webhook_options
from batchrunner.errors import UsageError
from batchrunner.text.format import dated

if TYPE_CHECKING:
    from batchrunner.app.run_batch import ApiAccess, BatchRunEnded
    from batchrunner.app.webhook_listener import WebhookOptions
    from batchrunner.model import Batch, JobFile
    from batchrunner.policy.schedule import Window
    from batchrunner.store.store import Store


@click.command("run")
@file_argument
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Where to export to: .csv or .jsonl; may be given more than once.  [default: NAME.csv]",
)
@click.option(
    "--concurrency",
    type=Concurrency(),
    metavar="N|auto",
    help="Runs in flight at most.  [default: the job file's setting, else 10]",
)
@click.option(
    "--budget",
    metavar="BUDGET",
    help="Most that the batch may cost: '500 steps', '$20', or none; stays in force.",
)
@click.option(
    "--start-at",
    metavar="TIME",
    help="Submit nothing before.  [TIME: 22:00, or 2026-10-25T22:00 with or without +01:00]",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Have nothing in flight any more at that time, and exit; the same command goes on later.",
)
@click.option(
    "--artifacts",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Fetch what runs captured into a folder, as they end: screenshots, HTML, video.",
)
@api_options
@webhook_options
@db_option
@json_option
@click.option(
    "--leave-runs",
    is_flag=True,
    help="Give up runs that are alive on another account: their jobs fail as `unanswered`.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@help_option
def command(
    file: Path,
    outputs: tuple[str, ...],
    concurrency: int | None,
    budget: str | None,
    start_at: str | None,
    until: str | None,
    artifacts: Path | None,
    sandboxed: bool,
    api_key_file: str | None,
    api_url: str | None,
    db: str,
    as_json: bool,
    leave_runs: bool,
    quiet: bool,
    **webhooks: str | None,
) -> None:
    """
    Load FILE, run its jobs, export the results.

    Give the same command again to go on where it was: after Ctrl-C, a crash, or with new lines in
    FILE. Jobs that are done are not run again.

    \b
    Examples:
      batchrunner run jobs.yaml --sandbox -o results.csv
      batchrunner run jobs.yaml --concurrency 50 -o results.csv -o results.jsonl
      batchrunner run jobs.yaml --start-at 22:00 --until 07:00 --budget '$20'
      batchrunner run jobs.yaml --artifacts captured
    """
    from batchrunner.app.export_results import check_outputs, export_all
    from batchrunner.app.run_batch import SANDBOX, open_api

    window = _window(start_at, until)
    _check_budget(budget)
    job_file = _read(file, concurrency)
    folder = _folder(artifacts, job_file)
    keep = (file, db, f"{db}.sandbox.jsonl")
    targets = check_outputs(outputs or (f"{job_file.name}.csv",), keep=keep)
    with (
        errors_for_people(),
        open_api(sandboxed=sandboxed, api_url=api_url, api_key_file=api_key_file, db=db) as api,
    ):
        _check_hosts(job_file, api)
        hook = webhook_from_options(**webhooks, local=api.origin == SANDBOX)
        with opened(db, must_exist=False) as store:
            batch = _load(store, job_file, budget_given=budget is not None)
            _foretell(store, job_file, api.origin)
            how = {"quiet": quiet, "leave_runs": leave_runs}
            worked = _work(store, batch, api, window, budget, folder, hook, **how)
            export_all(store, batch, targets, guessed=not outputs)
            _report(store, store.batch(batch.name) or batch, worked, db, as_json=as_json)
    raise SystemExit(worked.exit_code)


def _read(file: Path, concurrency: int | None) -> JobFile:
    job_file = read_job_file(file)
    if concurrency is None:
        return job_file
    return replace(job_file, settings=replace(job_file.settings, concurrency=concurrency))


def _folder(artifacts: Path | None, job_file: JobFile) -> Path | None:
    """Return the folder for artifacts; say so where no job asks for any to be captured."""
    if artifacts is None:
        return None
    from batchrunner.app.fetch_artifacts import checked_folder

    if not any(spec.options.get("capture_config") for spec in job_file.specs):
        click.echo(
            "warning: no job asks for anything to be captured; write "
            "`capture_config: {screenshots: true}` below `defaults`",
            err=True,
        )
    return checked_folder(artifacts)


def _check_budget(budget: str | None) -> None:
    from batchrunner.app.budget import given_budget

    if budget is not None:
        given_budget(budget)


def _window(start_at: str | None, until: str | None) -> Window:
    """Return when jobs may be submitted; an hour without a date is the next one."""
    from batchrunner.app.clock import now
    from batchrunner.policy.schedule import Window

    present = now()
    opens = _moment("--start-at", start_at, present)
    closes = _moment("--until", until, max(opens or present, present))
    if closes is not None and closes <= max(opens or present, present):
        raise UsageError(
            "--until names a time that is over when the run begins",
            next="give an hour alone, such as 07:00, for the next one",
        )
    return Window(opens=opens, closes=closes)


def _moment(option: str, text: str | None, after: datetime) -> datetime | None:
    from batchrunner.app.clock import Here
    from batchrunner.app.time_args import parse_time

    if text is None:
        return None
    try:
        meant = parse_time(text, after, Here())
    except ValueError as error:
        raise UsageError(
            f"{option} {text}: {error}",
            next="write 07:00, '07:00 Europe/Berlin', 2026-10-25T07:00 or 2026-10-25T07:00+01:00",
        ) from error
    note = f" ({meant.note})" if meant.note else ""
    click.echo(f"{option} {text} is {dated(meant.at)}{note}", err=True)
    return meant.at


def _check_hosts(job_file: JobFile, api: ApiAccess) -> None:
    """Refuse to pay for pages that exist nowhere but in the sandbox."""
    from batchrunner.app.run_batch import SANDBOX

    if api.origin == SANDBOX:
        return
    for spec in job_file.specs:
        if (urlsplit(spec.url).hostname or "").endswith(".test"):
            raise UsageError(
                f"{spec.url} (line {spec.line}) exists only in the sandbox",
                next="add --sandbox, or write a real address",
            )


def _load(store: Store, job_file: JobFile, *, budget_given: bool) -> Batch:
    from batchrunner.cli.commands.load import load

    return load(store, job_file, budget_given=budget_given)


def _foretell(store: Store, job_file: JobFile, origin: str) -> None:
    """Say what the jobs may cost and how long they may take, where earlier ones tell."""
    from batchrunner.app.estimate import estimate_jobs, likely_line

    if line := likely_line(estimate_jobs(store, job_file, origin, None)):
        click.echo(line, err=True)


def _work(
    store: Store,
    batch: Batch,
    api: ApiAccess,
    window: Window,
    budget: str | None,
    folder: Path | None,
    hook: WebhookOptions | None,
    *,
    quiet: bool,
    leave_runs: bool,
) -> BatchRunEnded:
    from batchrunner.app.budget import set_up
    from batchrunner.app.run_batch import BatchRunEnded, bind, check_origin, exit_code_of, work
    from batchrunner.cli.commands.status import working
    from batchrunner.cli.output.progress import make_display
    from batchrunner.runner.runner import ExitReason

    tally = store.tally(batch.id)
    if folder is not None:
        store.want_artifacts(batch.id, lasting=True)
    if not tally.open:
        check_origin(batch, batch.api_origin, api)
        _fetch_left(store, batch, api, folder)
        click.echo(f"batch {batch.name!r} is finished: nothing to run", err=True)
        return BatchRunEnded(ending=ExitReason.FINISHED, tally=tally, exit_code=exit_code_of(tally))
    key = bind(store, batch, api, leave_runs=leave_runs)
    batch = set_up(store, batch, api, budget)
    for worker in working(store, batch, alive=True):
        click.echo(f"another runner is at work here: {worker}", err=True)
    display = make_display(batch.name, quiet=quiet)
    with display.shown():
        return work(store, batch, api, display, key=key, window=window, folder=folder, hook=hook)


def _fetch_left(store: Store, batch: Batch, api: ApiAccess, folder: Path | None) -> None:
    """Fetch the artifacts of a finished batch that an earlier command left."""
    from batchrunner.app.fetch_artifacts import fetch
    from batchrunner.app.run_batch import bind

    if folder is not None and store.gallery(batch.id).left:
        bind(store, batch, api)
        fetch(store, batch, api, folder)


def _report(store: Store, batch: Batch, worked: BatchRunEnded, db: str, *, as_json: bool) -> None:
    from batchrunner.app.clock import ledger_now
    from batchrunner.cli.output.batch_text import batch_as_json, closing_lines, stopped
    from batchrunner.cli.output.exit_text import continue_command, exit_lines
    from batchrunner.text.wrapping import say

    for line in closing_lines(store, batch, worked.tally, db):
        say(line, err=True)
    for line in exit_lines(store, batch, worked.ending, worked.tally):
        say(line, err=True)
    if worked.tally.open:
        purse = store.purse(batch.id, ledger_now(store))
        more = continue_command(batch, worked.ending, sys.argv[1:], db, purse)
        click.echo(f"go on with: {more}", err=True)
    if as_json:
        ended = worked.ending or "interrupted"
        click.echo(json.dumps({"ending": ended, **batch_as_json(store, batch)}))
    if worked.failure is not None and worked.exit_code == CANNOT_GO_ON:
        raise stopped(worked.failure)
