"""`batchrunner load`: load a job file without running it."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from batchrunner.cli.edit_options import edit_options
from batchrunner.cli.input_options import input_options
from batchrunner.cli.options import (
    help_option,
    json_option,
    new_db_option,
    note,
    opened,
    read_input,
)
from batchrunner.cli.output.batch_text import batch_as_json
from batchrunner.cli.place_questions import new_batch_option, placed
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.input_request import InputRequest
    from batchrunner.app.rerun import RerunChoice
    from batchrunner.cli.edit_options import EditOptions
    from batchrunner.model import Batch, JobFile, LoadResult
    from batchrunner.model.comparison import EditDecision
    from batchrunner.store.store import Store


@click.command("load")
@input_options
@edit_options
@new_batch_option
@new_db_option
@json_option
@help_option
def command(
    inputs: InputRequest, edits: EditOptions, db: str, as_json: bool, new_batch: bool
) -> None:
    """
    Load FILE, a job file or a table, without running it.

    Loading the same file again changes nothing. Where FILE has changed since, its batch follows it:
    new jobs are added, changed ones run in their new form, and those that left FILE are withdrawn.

    \b
    Examples:
      batchrunner load jobs.yaml
      batchrunner load pairs.csv --url-column link --goal 'Read the price of {product}'
    """
    from batchrunner.app.choose_edition import SeriesOptions, choose_file_edition
    from batchrunner.app.clock import store_now

    job_file = placed(db, read_input(inputs), inputs, None, new_batch=new_batch)
    with opened(db, must_exist=False) as store:
        job_file = choose_file_edition(store, job_file, SeriesOptions(), store_now(store), note)
        batch = load(store, job_file, edits)
        if as_json:
            click.echo(json.dumps(batch_as_json(store, batch)))


def load(
    store: Store, job_file: JobFile, edits: EditOptions, *, budget_given: bool = False
) -> Batch:
    """
    Load a job file, print what that did, and let jobs run again that the options name.

    With *budget_given*, an option sets the budget.
    """
    from batchrunner.app.follow_edit import edit_lines
    from batchrunner.app.load import load_report

    decision, loaded = _decided(store, job_file, edits)
    report = load_report(loaded, job_file, budget_given=budget_given)
    merged = f", {report.duplicates} given twice" if report.duplicates else ""
    added = counted(report.added, "job")
    note(f"batch {loaded.batch.name!r}: {added} added, {report.known} known{merged}")
    lines = edit_lines(report.comparison, decision) if report.comparison else ()
    for line in (*lines, *report.notes):
        note(line)
    if edits.rerun.chooses:
        _rerun(store, loaded.batch, edits.rerun)
    return loaded.batch


def _decided(
    store: Store, job_file: JobFile, edits: EditOptions
) -> tuple[EditDecision, LoadResult]:
    """Load a job file; on a terminal, ask what a guard asks."""
    from batchrunner.app.follow_edit import load_jobs
    from batchrunner.app.rerun import check_chosen
    from batchrunner.cli.edit_questions import ask, with_commands
    from batchrunner.errors import EditNeedsDecision

    decision, check = edits.decision, partial(check_chosen, choice=edits.rerun)
    try:
        return decision, load_jobs(store, job_file, note, decision, check)
    except EditNeedsDecision as undecided:
        if not sys.stdin.isatty():
            raise with_commands(undecided, sys.argv[1:]) from undecided
        decision = ask(undecided, decision)
        return decision, load_jobs(store, job_file, note, decision, check)


def _rerun(store: Store, batch: Batch, choice: RerunChoice) -> None:
    from batchrunner.app.rerun import rerun

    again = rerun(store, batch, choice)
    dollars = f" (${again.cost})" if again.cost else ""
    cost = f"; they cost {counted(again.steps, 'step')}{dollars} before" if again.jobs else ""
    note(f"{counted(again.jobs, 'finished job')} to run again{cost}")
    if again.kept:
        of_them = f"{again.kept} of them {'is' if again.kept == 1 else 'are'}"
        note(
            f"warning: {of_them} asked as before, and "
            "not as the file says now, because of --keep changed; --rerun changed asks what it says"
        )
