"""`batchrunner runs`: list, show, cancel and adopt runs of the account."""

from __future__ import annotations

import click

from batchrunner.cli.lazy_group import LazyGroup
from batchrunner.cli.options import help_option

COMMANDS = {
    "list": "List runs by status, goal and time.",
    "show": "Show everything that is known about runs.",
    "cancel": "Cancel runs, and check whether they have ended.",
    "adopt": "Add runs that another program started to a batch; costs nothing.",
}


@click.group(
    "runs",
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    package="batchrunner.cli.commands.runs",
    context_settings={"max_content_width": 100},
)
@help_option
def command() -> None:
    """
    List, show, cancel and adopt runs at the API, whoever started them.

    Nothing here starts a run, so nothing here costs money.

    \b
    Examples:
      batchrunner runs list --status FAILED --created-after 2026-09-01
      batchrunner runs show 6f1f0c3e-7a57-4b2c-9d0e-2f7f4c1e8a11
    """
