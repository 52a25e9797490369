"""A group whose commands are imported when they are used, so that --help is quick."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from batchrunner.cli.exit_codes import INTERRUPTED, ShownError
from batchrunner.cli.standard_streams import go_on_without_output
from batchrunner.cli.variables import check_variables
from batchrunner.errors import BatchrunnerError, CannotContinue

#: Commands, of any group, that are not over when nobody reads what they print.
DO_MORE_THAN_PRINT = frozenset(
    {"run", "load", "init", "judge", "fetch", "watch", "adopt", "recover", "sandbox", "selftest"}
    | {"review", "retry", "cancel", "pause", "resume", "set", "compact"}
)


class LazyGroup(click.Group):
    """Commands by name with their one line of help; each lives in a module of that name."""

    def __init__(
        self,
        *args: Any,
        commands_by_name: Mapping[str, str],
        package: str = "batchrunner.cli.commands",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lines = commands_by_name
        self._package = package
        for name, line in commands_by_name.items():
            # What click lists, and what it looks into for "did you mean".
            self.add_command(click.Command(name, short_help=line))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        if cmd_name not in self._lines:
            return None
        module = import_module(f"{self._package}.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; one that does more than to print goes on without standard output."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in DO_MORE_THAN_PRINT:
            go_on_without_output()
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lines.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; show errors for people, and end on Ctrl-C with the code for that."""
        try:
            check_variables(os.environ)
            return super().invoke(ctx)
        except BatchrunnerError as error:
            raise ShownError(error) from error
        except OSError as error:  # of the machine; click would exit with 1 on a broken pipe
            raise ShownError(_of_the_machine(error)) from error
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Switch colour off where NO_COLOR asks for it, which click does not know."""
        ctx = super().make_context(*args, **kwargs)
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        return ctx


def _of_the_machine(error: OSError) -> CannotContinue:
    from batchrunner.app.error_translation import file_error

    try:
        os.getcwd()
    except OSError:
        return CannotContinue(
            "the folder in which this was started is gone",
            next="cd to a folder that is there, then give the same command again",
        )
    return file_error(error)
