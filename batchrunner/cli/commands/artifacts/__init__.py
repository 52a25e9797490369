"""`batchrunner artifacts`: fetch and list what runs have captured."""

from __future__ import annotations

import click

from batchrunner.cli.lazy_group import LazyGroup
from batchrunner.cli.options import help_option

COMMANDS = {
    "fetch": "Download screenshots, HTML and video of ended runs into a folder.",
    "list": "List the artifacts of a batch, and where they are.",
}


@click.group(
    "artifacts",
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    package="batchrunner.cli.commands.artifacts",
    context_settings={"max_content_width": 100},
)
@help_option
def command() -> None:
    """
    Download and list screenshots, HTML and video of runs.

    A run keeps what its `capture_config` asks for. Nothing here starts a run, so nothing here
    costs money.

    \b
    Examples:
      batchrunner artifacts fetch example -o captured
      batchrunner artifacts list example --kind video
    """
