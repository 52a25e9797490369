"""`batchrunner recover`: rebuild a lost database from the runs that the API has; costs nothing."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.exit_codes import LEFT_OUT
from batchrunner.cli.input_options import input_options
from batchrunner.cli.options import (
    api_options,
    db_option,
    help_option,
    json_option,
    note,
    opened,
    read_input,
)
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.input_request import InputRequest
    from batchrunner.app.recover import RecoverableRuns, RecoverResult
    from batchrunner.policy.recovery import FoundDatabase

#: Ids of jobs or runs that are named one by one.
MAX_NAMED = 10


@click.command("recover")
@input_options
@click.option(
    "--database",
    metavar="ID",
    help="Adopt the runs of this database, without a question; the list shows the ids.",
)
@click.option("--yes", is_flag=True, help="Adopt the runs of all databases, without a question.")
@api_options
@db_option
@json_option
@help_option
def command(
    inputs: InputRequest, database: str | None, yes: bool, db: str, as_json: bool, **given: Any
) -> None:
    """
    List the runs that the API has of the jobs in FILE, and rebuild the database from them.

    Each run becomes an attempt of its job, whether it goes on or is over. Its result is judged, and
    a failure uses up an attempt. No run is started, and none is cancelled. `batchrunner run FILE`
    goes on from there.

    Without --database and --yes it asks first on a terminal; elsewhere it lists the runs only.
    Several jobs with the same url, goal and options are left out: nothing distinguishes their runs.

    Exit code 1 says that runs or jobs were left out.

    \b
    Examples:
      batchrunner recover jobs.yaml
      batchrunner recover jobs.yaml --database k3m9x2a
      batchrunner recover pairs.csv --url-column link --goal 'Read the price of {product}'
    """
    from batchrunner.app.api_call import api_of
    from batchrunner.app.recover import recover, recoverable_runs

    job_file, files = read_input(inputs), inputs.command_line()
    with api_of(db=db, **given) as api:
        found = recoverable_runs(api, job_file, database)
        _show_found(found, database, as_json=as_json)
        if not found.runs or not (database or yes or _confirmed(found, files, db)):
            raise SystemExit(LEFT_OUT if database and not found.runs else 0)
        with opened(db, must_exist=False, after_loss=True) as store:
            result = recover(store, api, job_file, found, say=note)
    _show_result(result, found, files, db)
    if result.left_alone or found.collided:
        raise SystemExit(LEFT_OUT)


def _show_found(found: RecoverableRuns, database: str | None, *, as_json: bool) -> None:
    if as_json:
        listed = [_as_json(each) for each in found.databases]
        click.echo(json.dumps({"databases": listed, "collided": list(found.collided)}))
    elif found.databases:
        click.echo("DATABASE   RUNS  JOBS  ALIVE  STEPS  OLDEST             NEWEST", err=True)
        for each in found.databases:
            click.echo(
                f"{each.id:9} {each.runs:5} {each.jobs:5} {each.alive:6} {each.steps:6}  "
                f"{_moment(each.oldest_at):17}  {_moment(each.newest_at)}",
                err=True,
            )
    if not found.databases:
        of = f" of database {database}" if database else ""
        click.echo(f"the API has no run{of} of the jobs in this file", err=True)
    if found.collided:
        named = ", ".join(found.collided[:MAX_NAMED])
        more = len(found.collided) - MAX_NAMED
        note(
            f"{counted(len(found.collided), 'job')} left out, because another has the same url, "
            f"goal and options: {named}{f' and {more} more' if more > 0 else ''}"
        )


def _as_json(found: FoundDatabase) -> dict[str, Any]:
    return {
        "database": found.id,
        "runs": found.runs,
        "jobs": found.jobs,
        "alive": found.alive,
        "steps": found.steps,
        "oldest_at": found.oldest_at and found.oldest_at.isoformat(),
        "newest_at": found.newest_at and found.newest_at.isoformat(),
    }


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}Z"


def _confirmed(found: RecoverableRuns, files: str, db: str) -> bool:
    """Ask at a terminal whether the runs are to be adopted; elsewhere, nothing is changed."""
    if not sys.stdin.isatty():
        only = found.databases[0].id if len(found.databases) == 1 else "ID"
        command = _next_command(f"recover {files} --database {only}", db)
        note(f"nothing was changed: `{command}` adopts its runs")
        return False
    databases = counted(len(found.databases), "database")
    if click.confirm(f"Adopt all {counted(len(found.runs), 'run')} of {databases}?", err=True):
        return True
    click.echo("nothing was changed", err=True)
    raise SystemExit(LEFT_OUT)


def _next_command(command: str, db: str) -> str:
    from batchrunner.cli.output.batch_text import db_given
    from batchrunner.cli.same_api import on_same_api

    return on_same_api(f"batchrunner {command}{db_given(db)}", sys.argv[1:])


def _show_result(result: RecoverResult, found: RecoverableRuns, files: str, db: str) -> None:
    note(
        f"{counted(result.adopted, 'run')} adopted, {result.going_on} of them not over; "
        f"{result.known} known before; {result.spare} over that no job needs"
    )
    if result.left_alone:
        ids = " ".join(result.left_alone[:MAX_NAMED])
        note(
            f"{counted(len(result.left_alone), 'run')} alive, left alone because no job needs "
            f"them; `{_next_command(f'runs cancel {ids}', db)}` cancels them"
        )
    note(f"go on with: {_next_command(f'run {files}', db)}")
