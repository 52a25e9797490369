"""`batchrunner plan`: what a load would change and what a run would cost, before either."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from batchrunner.app.error_translation import errors_for_people
from batchrunner.cli.edit_options import edit_options
from batchrunner.cli.input_options import input_options
from batchrunner.cli.options import (
    Concurrency,
    help_option,
    json_option,
    keyless_api_options,
    new_db_option,
)
from batchrunner.cli.place_questions import new_batch_option, place_choice
from batchrunner.cli.series_options import series_options

if TYPE_CHECKING:
    from batchrunner.app.choose_edition import SeriesOptions
    from batchrunner.app.input_request import InputRequest
    from batchrunner.app.plan import Plan
    from batchrunner.cli.edit_options import EditOptions


@click.command("plan")
@input_options
@edit_options
@new_batch_option
@click.option("--concurrency", type=Concurrency(), metavar="N|auto", help="As for `run`.")
@click.option("--budget", metavar="BUDGET", help="As for `run`: '500 steps', '$20', or none.")
@click.option("--start-at", metavar="TIME", help="As for `run`: submit nothing before.")
@click.option("--until", metavar="TIME", help="As for `run`: have nothing in flight then.")
@series_options
@keyless_api_options
@new_db_option
@json_option
@help_option
def command(
    inputs: InputRequest,
    edits: EditOptions,
    new_batch: bool,
    concurrency: int | None,
    budget: str | None,
    start_at: str | None,
    until: str | None,
    series: SeriesOptions,
    sandboxed: bool,
    api_url: str | None,
    db: str,
    as_json: bool,
) -> None:
    """
    Show what FILE would change in its batch, what its jobs would cost, and when they are done.

    Nothing is loaded or run, nothing is changed, and no key is needed. Each range is where eight of
    ten such batches end. It follows from finished jobs in this database on the same API: those of
    the same host if there are enough, else all.

    \b
    Examples:
      batchrunner plan jobs.yaml
      batchrunner plan pairs.csv --url-column link --budget '$20' --until 07:00
    """
    from batchrunner.app.plan import plan_file

    with errors_for_people():
        plan = plan_file(
            inputs,
            db,
            sandboxed=sandboxed,
            api_url=api_url,
            concurrency=concurrency,
            budget=budget,
            window=(start_at, until),
            series=series,
            decision=edits.decision,
            rerun=edits.rerun,
            choice=place_choice(inputs, new_batch=new_batch),
        )
    _show(plan, as_json=as_json)


def _show(plan: Plan, *, as_json: bool) -> None:
    from batchrunner.cli.edit_questions import commands_that_decide
    from batchrunner.cli.output.batch_text import same_command
    from batchrunner.cli.output.plan_text import plan_as_json, plan_lines
    from batchrunner.text.wrapping import say

    following = _next_args(plan, sys.argv[1:])
    if as_json:
        click.echo(json.dumps(plan_as_json(plan, same_command(following))))
        return
    for line in plan_lines(plan):
        say(line)
    for command in commands_that_decide(plan.guards, following):
        say(f"next: {command.rstrip(' #')}")


def _next_args(plan: Plan, args: Sequence[str]) -> list[str]:
    """Return the command that does what was planned, or a part of it where nothing is known."""
    from batchrunner.cli.output.plan_text import FIRST_TRY_JOBS, wants_sample

    rest = [arg for arg in args[args.index("plan") + 1 :] if arg != "--json"]
    if plan.places:
        rest += plan.places[0].options
    sample = ["--sample", str(FIRST_TRY_JOBS)] if wants_sample(plan.outlook) else []
    return ["run", *rest, *sample]
