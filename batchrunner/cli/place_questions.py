"""Asks before a batch is loaded whose jobs were run elsewhere, or shows both commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from batchrunner.cli.options import note
from batchrunner.errors import BatchElsewhere

if TYPE_CHECKING:
    from batchrunner.app.input_request import InputRequest
    from batchrunner.app.places import PlaceChoice
    from batchrunner.model import JobFile

NEW_BATCH = "--new-batch"
new_batch_option = click.option(
    NEW_BATCH,
    is_flag=True,
    help="Load FILE as a new batch although its jobs were run in another batch or database.",
)


def place_choice(inputs: InputRequest, *, new_batch: bool) -> PlaceChoice:
    """Return what the options say about the place of a batch."""
    from batchrunner.app.places import PlaceChoice

    source = click.get_current_context().get_parameter_source("db")
    return PlaceChoice(
        named=inputs.name is not None,
        new_batch=new_batch,
        is_default=source is click.core.ParameterSource.DEFAULT,
    )


def placed(
    db: str, job_file: JobFile, inputs: InputRequest, origin: str | None, *, new_batch: bool
) -> JobFile:
    """Return the file under the name of its batch; ask where its jobs were run elsewhere."""
    from batchrunner.app.error_translation import errors_for_people
    from batchrunner.app.places import placed as place

    choice = place_choice(inputs, new_batch=new_batch)
    with errors_for_people():
        try:
            return place(db, job_file, origin, choice, note)
        except BatchElsewhere as elsewhere:
            if not is_terminal():
                raise _with_commands(elsewhere, sys.argv[1:]) from elsewhere
            click.echo(f"{elsewhere.what}\n  go on there: {_there(elsewhere)}", err=True)
            click.confirm("pay again, as a new batch?", abort=True, err=True)
            return place(db, job_file, origin, replace(choice, new_batch=True), note)


def is_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty()


def _with_commands(elsewhere: BatchElsewhere, args: Sequence[str]) -> BatchElsewhere:
    """Return the error with both commands that go on, as they can be pasted."""
    from batchrunner.cli.output.batch_text import same_command

    again = same_command([*args, NEW_BATCH])
    return BatchElsewhere(
        elsewhere.what,
        options=elsewhere.options,
        next=f"go on there: {_there(elsewhere)}\n  or pay again, as a new batch: {again}",
    )


def _there(elsewhere: BatchElsewhere) -> str:
    from batchrunner.cli.output.batch_text import same_command, without_option

    return same_command([*without_option(sys.argv[1:], elsewhere.options[0]), *elsewhere.options])
