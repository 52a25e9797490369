"""Options that several commands share, and what they open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchrunner.api_facts.endpoint_paths import DEFAULT_URL
from batchrunner.api_facts.environment import API_KEY, API_KEY_FILE, BASE_URL

if TYPE_CHECKING:
    from batchrunner.app.input_request import InputRequest
    from batchrunner.model import Batch, JobFile
    from batchrunner.store.store import Store

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_DB = "batchrunner.db"
#: The usual database with --sandbox: trying a batch first does not touch the real one.
SANDBOX_DB = "batchrunner.sandbox.db"
#: Where a command's context keeps that --sandbox was given.
_SANDBOXED = "batchrunner.sandboxed"
#: Warnings about a job file that are shown.
MAX_WARNINGS = 10

help_option = click.help_option("-h", "--help")


def _note_sandbox(ctx: click.Context, _: click.Parameter, given: bool) -> bool:
    ctx.meta[_SANDBOXED] = given
    return given


def _database(ctx: click.Context, param: click.Parameter, given: str) -> str:
    """Return the database that is meant: an option or a variable is taken as it is given."""
    if ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.DEFAULT:
        return SANDBOX_DB if ctx.meta.get(_SANDBOXED) else given
    return given


def _existing_database(ctx: click.Context, param: click.Parameter, given: str) -> str:
    """Return the same, and the sandbox's where it is the only one there is."""
    found = _database(ctx, param, given)
    by_default = ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.DEFAULT
    pays = "sandboxed" in ctx.params  # it asks the API: it says itself which one
    if not by_default or pays or found == SANDBOX_DB:
        return found
    if any(Path(f"{found}{end}").exists() for end in ("", "-journal")):
        return found
    if Path(SANDBOX_DB).exists():
        note(f"using {SANDBOX_DB}: there is no {found}; --sandbox names it")
        return SANDBOX_DB
    return found


def _database_option(command: F, callback: Callable[..., str]) -> F:
    named = click.option(
        "--db",
        metavar="PATH_OR_URL",
        envvar="BATCHRUNNER_DB",
        default=DEFAULT_DB,
        show_default=True,
        show_envvar=True,
        callback=callback,
        help="The database: a file, or postgresql://…",
    )
    return _sandbox_database_option(named(command))


_sandbox_database_option = click.option(
    "--sandbox",
    is_flag=True,
    is_eager=True,  # the database follows from it
    expose_value=False,
    callback=_note_sandbox,
    help=f"Use the sandbox's own database, {SANDBOX_DB}.",
)


def db_option(command: F) -> F:
    """Add the option that names the database, and one that means the sandbox's."""
    return _database_option(command, _existing_database)


def new_db_option(command: F) -> F:
    """Add the same for a command that needs no database, or makes one."""
    return _database_option(command, _database)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
key_option = click.option(
    "--api-key-file",
    metavar="FILE",
    envvar=API_KEY_FILE,
    help=f"Read the key from a file, or from standard input with '-'.  [else: env var {API_KEY}]",
)
url_option = click.option(
    "--api-url",
    metavar="URL",
    envvar=BASE_URL,
    show_envvar=True,
    help=f"The API's address.  [default: {DEFAULT_URL}]",
)
sandbox_option = click.option(
    "--sandbox",
    "sandboxed",
    is_flag=True,
    is_eager=True,  # the database follows from it
    callback=_note_sandbox,
    help="Use a stand-in for the API on this machine, with a database of its own: no key, no cost.",
)


def api_options(command: F) -> F:
    """Add the options that say which API to use, and with which key."""
    return _with_api(command, sandbox_option, key_option, url_option)


def keyless_api_options(command: F) -> F:
    """Add the options that say which API would be used: a plan asks it nothing."""
    return _with_api(command, sandbox_option, url_option)


def _with_api(command: F, *options: Callable[[F], F]) -> F:
    # This --sandbox means the database too.
    parameters: list[click.Parameter] = getattr(command, "__click_params__", [])
    parameters[:] = [each for each in parameters if each.name != "sandbox"]
    for option in options:
        command = option(command)
    return command


def note(line: str) -> None:
    """Print a line on standard error."""
    click.echo(line, err=True)


@contextmanager
def opened(db: str, *, must_exist: bool = True, after_loss: bool = False) -> Iterator[Store]:
    """
    Open the database; errors of the block become errors for people.

    With *after_loss*, a new one may take the place of one that was lost.
    """
    from batchrunner.app.open_database import opened_store

    with opened_store(db, note, must_exist=must_exist, after_loss=after_loss) as store:
        yield store


def batch_of(store: Store, name: str | None, *, quiet: bool = False) -> Batch:
    """Return the batch called *name*, or the only one there is; say if that means an edition."""
    from batchrunner.app.open_database import find_batch

    batch = find_batch(store, name)
    if batch.series is not None and name != batch.name and not quiet:
        note(f"{batch.series!r} is a series: its newest edition is {batch.name!r}")
    return batch


def read_job_file(path: Path) -> JobFile:
    """Read a job file, and print its first warnings."""
    from batchrunner.app.input_request import InputRequest

    return read_input(InputRequest(paths=(path,)))


def read_input(request: InputRequest) -> JobFile:
    """Read a job file or tables, and print the first warnings."""
    from batchrunner.app.read_input import read_input as read
    from batchrunner.text.terminal import term_safe

    job_file = read(request)
    for line in job_file.notes:
        note(term_safe(line))
    for line in job_file.warnings[:MAX_WARNINGS]:
        note(f"warning: {term_safe(line)}")
    if more := len(job_file.warnings[MAX_WARNINGS:]):
        note(f"warning: … and {more} more of the like")
    return job_file


class Share(click.ParamType[Decimal]):
    """A part of all, such as `95%` or `0.95`."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Return the share, from 0 to 1."""
        from batchrunner.inputs.host_fields import share_of_text

        share = value if isinstance(value, Decimal) else share_of_text(str(value))
        if share is None:
            self.fail(f"{value!r} is not a share: write, for example, 95%", param, ctx)
        return share


class Concurrency(click.ParamType[int]):
    """A number of runs in flight at most, or `auto`."""

    name = "concurrency"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; AUTO for `auto`."""
        from batchrunner.model.job_file import AUTO, MAX_CONCURRENCY

        if value == "auto":
            return AUTO
        try:
            number: int = click.IntRange(1, MAX_CONCURRENCY).convert(value, None, None)
        except click.BadParameter:
            what = f"a whole number from 1 to {MAX_CONCURRENCY}, or auto"
            self.fail(f"{value!r} is not a number of runs: write {what}", param, ctx)
        return number
