"""`batchrunner run`: load a job file, run its jobs, export the results."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.webhook_listener import webhook_from_options
from batchrunner.cli.edit_options import EditOptions, edit_options
from batchrunner.cli.exit_codes import CANNOT_GO_ON
from batchrunner.cli.export_options import export_options
from batchrunner.cli.input_options import input_options
from batchrunner.cli.options import (
    Concurrency,
    Share,
    api_options,
    db_option,
    help_option,
    json_option,
    note,
    opened,
    read_input,
)
from batchrunner.cli.place_questions import new_batch_option, placed
from batchrunner.cli.series_options import series_options
from batchrunner.cli.webhook_options import webhook_options
from batchrunner.outputs import suffixes_help

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.app.choose_edition import SeriesOptions
    from batchrunner.app.export_options import ExportRequest
    from batchrunner.app.input_request import InputRequest
    from batchrunner.app.output_targets import Target
    from batchrunner.app.quality import QualityCheck
    from batchrunner.app.run_batch import BatchRunEnded, RunOptions
    from batchrunner.model import Batch, JobFile
    from batchrunner.policy.schedule import Window
    from batchrunner.store.store import Store


@click.command("run")
@input_options
@edit_options
@new_batch_option
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help=f"Export to this file: {suffixes_help()}; may be given more than once.  "
    "[default: NAME.results.csv]",
)
@click.option(
    "--concurrency",
    type=Concurrency(),
    metavar="N|auto",
    help="Maximum runs in flight.  [default: the job file's setting, else 10]",
)
@click.option(
    "--budget",
    metavar="BUDGET",
    help="Maximum cost of the batch: '500 steps', '$20', or none; stays in force.",
)
@click.option(
    "--start-at",
    metavar="TIME",
    help="Submit nothing before this time.  "
    "[TIME: 22:00, or 2026-10-25T22:00 with or without +01:00]",
)
@click.option(
    "--until",
    metavar="TIME",
    help="Have nothing in flight at that time, and exit; the same command continues later.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Run at most N jobs of the batch in all, the first of FILE; without it, go on with all.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    metavar="N",
    help="The same with N jobs spread over the hosts, to see first what such jobs bring and cost.",
)
@click.option(
    "--artifacts",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Download screenshots, HTML and video of runs into this folder as they end.",
)
@click.option(
    "--fail-under",
    type=Share(),
    metavar="SHARE",
    help="Exit with 8 if less than this share of the jobs was delivered and is good: 95%.",
)
@export_options
@series_options
@api_options
@webhook_options
@db_option
@json_option
@click.option(
    "--leave-runs",
    is_flag=True,
    help="Give up runs that are alive on another account: their jobs fail as `unanswered`.",
)
@click.option(
    "--anew",
    is_flag=True,
    help="Run the jobs although the API has fresh runs of them that this database does not know.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@help_option
def command(
    inputs: InputRequest,
    edits: EditOptions,
    series: SeriesOptions,
    exporting: ExportRequest,
    outputs: tuple[str, ...],
    concurrency: int | None,
    budget: str | None,
    start_at: str | None,
    until: str | None,
    artifacts: Path | None,
    db: str,
    as_json: bool,
    leave_runs: bool,
    anew: bool,
    quiet: bool,
    fail_under: Decimal | None,
    **given: Any,
) -> None:
    """
    Load FILE, a job file or a table, run its jobs, export the results.

    Give the same command again to continue: after Ctrl-C, after a crash, or with new lines in FILE.
    Finished jobs are not run again, unless FILE asks something else of them.

    \b
    Examples:
      batchrunner run jobs.yaml --sandbox -o results.csv
      batchrunner run pairs.csv --url-column link --goal 'Read the price of {product}'
      batchrunner run jobs.yaml --concurrency 50 -o results.csv -o results.jsonl
      batchrunner run jobs.yaml --start-at 22:00 --until 07:00 --budget '$20'
      batchrunner run prices.yaml --every 1d -o 'prices-{edition}.csv'
      batchrunner run jobs.yaml --artifacts captured
    """
    from batchrunner.app.api_access import SANDBOX, open_api
    from batchrunner.app.export_run import check_run_outputs
    from batchrunner.app.load import refuse_sandbox_urls
    from batchrunner.app.run_batch import RunOptions, part_of

    window = _window(start_at, until, budget)
    job_file, files = _read(db, inputs, concurrency, given), inputs.command_line()
    folder, part = _folder(artifacts, job_file), part_of(given.pop("limit"), given.pop("sample"))
    exporting = exporting.with_overwrite(inputs.overwrite)
    targets = check_run_outputs(job_file, outputs, exporting, db, inputs.files())
    with errors_for_people(), open_api(**_api_options(given), db=db) as api:
        refuse_sandbox_urls(((spec.url, spec.line) for spec in job_file.specs), api)
        webhook = webhook_from_options(**given, local=api.origin == SANDBOX)
        options = RunOptions(budget=budget, window=window, folder=folder, webhook=webhook)
        more: Any = {"part": part, "series": series, "files": files}
        options = replace(options, leave_runs=leave_runs, anew=anew, **more)
        to: Any = (targets, exporting)
        how: Any = {"as_json": as_json, "quiet": quiet, "fail_under": fail_under}
        exit_code = _load_and_run(job_file, edits, api, options, to, db, files, **how)
    raise SystemExit(exit_code)


def _window(start_at: str | None, until: str | None, budget: str | None) -> Window:
    """Return when jobs may be submitted; refuse a budget that is none, before anything is read."""
    from batchrunner.app.budget import given_budget
    from batchrunner.app.run_window import run_window

    window = run_window(start_at, until, note)
    if budget is not None:
        given_budget(budget)
    return window


def _api_options(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options that choose the API out of those *given*."""
    return {name: given.pop(name) for name in ("sandboxed", "api_key_file", "api_url")}


def _load_and_run(
    job_file: JobFile,
    edits: EditOptions,
    api: ApiAccess,
    options: RunOptions,
    outputs: tuple[Sequence[Target], ExportRequest],
    db: str,
    files: str,
    *,
    as_json: bool,
    quiet: bool,
    fail_under: Decimal | None,
) -> int:
    """Load the jobs, run them, export the results, and return the exit code."""
    from batchrunner.app.choose_edition import choose_file_edition
    from batchrunner.app.clock import store_now
    from batchrunner.app.edition_paths import targets_of_edition
    from batchrunner.app.export_run import check_run_files, export_run
    from batchrunner.app.quality import check_ended
    from batchrunner.cli.commands.load import load
    from batchrunner.cli.signals import exit_code_of_quality
    from batchrunner.store.batches import find_batch

    with opened(db, must_exist=False, after_loss=options.anew) as store:
        job_file = choose_file_edition(store, job_file, options.series, store_now(store), note)
        targets, exporting = targets_of_edition(outputs[0], job_file), outputs[1]
        check_run_files(store, db, job_file, targets, exporting)
        batch = load(store, job_file, edits, budget_given=options.budget is not None)
        ended, exit_code = _run(store, batch, api, options, quiet=quiet)
        check: QualityCheck | None = None
        try:
            export_run(store, db, batch, targets, exporting, note)
            check = check_ended(store, batch, ended, fail_under)
        finally:
            batch = store.read(find_batch, batch.name) or batch
            _report(store, batch, ended, check, db, as_json=as_json)
        _raise_failure(ended, exit_code, batch.name, db, files)
    return exit_code_of_quality(exit_code, check)


def _read(db: str, inputs: InputRequest, concurrency: int | None, given: dict[str, Any]) -> JobFile:
    """Read the jobs, under the name of their batch; stop where they were run elsewhere."""
    from batchrunner.app.api_access import origin_of

    origin = origin_of(sandboxed=given["sandboxed"], api_url=given["api_url"])
    new_batch = given.pop("new_batch")
    job_file = placed(db, read_input(inputs), inputs, origin, new_batch=new_batch)
    if concurrency is None:
        return job_file
    return replace(job_file, settings=replace(job_file.settings, concurrency=concurrency))


def _folder(artifacts: Path | None, job_file: JobFile) -> Path | None:
    """Return the folder for artifacts; warn where no job asks for any to be captured."""
    if artifacts is None:
        return None
    from batchrunner.app.fetch_artifacts import checked_folder

    if not any(spec.options.get("capture_config") for spec in job_file.specs):
        note(
            "warning: no job asks for anything to be captured; write "
            "`capture_config: {screenshots: true}` below `defaults`"
        )
    return checked_folder(artifacts)


def _show_plan(store: Store, batch: Batch, origin: str, options: RunOptions) -> None:
    """Print what the jobs to run cost and when they are done, before anything is spent."""
    from batchrunner.app.plan import outlook_of_batch
    from batchrunner.cli.output.plan_text import outlook_lines
    from batchrunner.text.wrapping import say

    part = options.part is not None
    for line in outlook_lines(outlook_of_batch(store, batch, origin, options.window, part=part)):
        say(line, err=True)


def _run(
    store: Store, batch: Batch, api: ApiAccess, options: RunOptions, *, quiet: bool
) -> tuple[BatchRunEnded, int]:
    """Run the batch until its end or a signal; return how it ended, and the exit code."""
    from batchrunner.app.run_batch import nothing_to_run, prepare_run
    from batchrunner.app.run_edition import run_edition
    from batchrunner.cli.commands.status import working
    from batchrunner.cli.output.batch_text import bounds_line
    from batchrunner.cli.output.exit_text import nothing_line
    from batchrunner.cli.output.progress import make_display
    from batchrunner.cli.signals import exit_code_of_counts, run_until_signal
    from batchrunner.store.batch_reads import batches_in_flight

    prepared = prepare_run(store, batch, api, options, note)
    if prepared is None:
        ended = nothing_to_run(store, batch)
        note(nothing_line(batch, options.part, ended.counts))
        _show_age(store, batch, ended, options)
        return ended, exit_code_of_counts(ended.counts)
    _show_plan(store, prepared.batch, api.origin, options)
    for worker in working(store, prepared.batch, alive=True):
        note(f"another runner is at work here: {worker}")
    if line := bounds_line(store.read(batches_in_flight), batch.name):
        note(line)
    display = make_display(batch.name, quiet=quiet)
    run = partial(
        run_edition, store, prepared.batch, api, display, key=prepared.key, options=options
    )
    with display.shown():
        return run_until_signal(lambda control: run(control=control))


def _show_age(store: Store, batch: Batch, ended: BatchRunEnded, options: RunOptions) -> None:
    from batchrunner.app.clock import store_now
    from batchrunner.cli.output.exit_text import age_lines

    if ended.newest_result_at is None or ended.counts.open:
        return
    every = bool(options.series.every or batch.settings.every)
    for line in age_lines(
        batch, ended.newest_result_at, store_now(store), sys.argv[1:], every=every
    ):
        note(line)


def _report(
    store: Store,
    batch: Batch,
    ended: BatchRunEnded,
    check: QualityCheck | None,
    db: str,
    *,
    as_json: bool,
) -> None:
    from batchrunner.app.clock import store_now
    from batchrunner.app.quality import check_as_json
    from batchrunner.cli.output.audit_text import audit_as_json, audit_summary
    from batchrunner.cli.output.batch_text import batch_as_json, closing_lines, db_given
    from batchrunner.cli.output.exit_text import continue_command, exit_lines, rerun_command
    from batchrunner.cli.output.quality_text import check_lines
    from batchrunner.cli.same_api import on_same_api
    from batchrunner.store.claims import budget_status
    from batchrunner.text.wrapping import say

    rerun = rerun_command(sys.argv[1:])
    for line in closing_lines(store, batch, ended.counts, db, rerun=rerun):
        say(line, err=True)
    audit = audit_summary(ended.audit, batch, db_given(db))
    for line in (*exit_lines(store, batch, ended.reason, ended.counts, db), *audit):
        say(on_same_api(line, sys.argv[1:]), err=True)
    if ended.counts.open and ended.audit_stop is None:
        status = store.read(budget_status, batch.id, store_now(store))
        more = continue_command(batch, ended.reason, sys.argv[1:], db, status)
        note(f"go on with: {more}")
    for line in check_lines(check, batch, db):
        say(on_same_api(line, sys.argv[1:]), err=True)
    if as_json:
        reason = ended.reason or "interrupted"
        audited = audit_as_json(ended.audit, batch) if ended.audit else None
        found = {"ending": reason, **batch_as_json(store, batch), "audit": audited}
        found["nothing_run"] = ended.nothing_run
        found["quality"] = check_as_json(check)
        click.echo(json.dumps(found))


def _raise_failure(ended: BatchRunEnded, exit_code: int, batch: str, db: str, files: str) -> None:
    from batchrunner.app.audit_stop import stopped_by_audit
    from batchrunner.app.run_batch import stopped
    from batchrunner.cli.output.batch_text import db_given

    if exit_code != CANNOT_GO_ON:
        return
    if ended.failure is not None:
        raise stopped(ended.failure, ended.api_url)
    if ended.audit_stop is not None:
        raise stopped_by_audit(ended.audit_stop, batch, db=db_given(db), files=files)
