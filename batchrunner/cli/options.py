"""Options that several commands share, and what they open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchrunner.api_facts.endpoint_paths import DEFAULT_URL
from batchrunner.api_facts.environment import API_KEY, API_KEY_FILE, BASE_URL
from batchrunner.app.error_translation import errors_for_people
from batchrunner.errors import CannotContinue, InputError, UsageError

if TYPE_CHECKING:
    from batchrunner.model import Batch, JobFile
    from batchrunner.store.store import Store

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

DEFAULT_DB = "batchrunner.db"
#: Warnings about a job file that are shown.
MAX_WARNINGS = 10
#: Seconds for which a command waits for a database that is away, and between two tries.
PATIENCE, PAUSE = 10.0, 1.0

help_option = click.help_option("-h", "--help")
db_option = click.option(
    "--db",
    metavar="PATH_OR_URL",
    envvar="BATCHRUNNER_DB",
    default=DEFAULT_DB,
    show_default=True,
    show_envvar=True,
    help="The database: a file, or postgresql://…",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class _JobFilePath(click.Path):
    """A path to a job file, which has to be there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; where nothing is, say how to begin."""
        if not Path(value).exists():
            start = f"there is no file {value}; `batchrunner init` writes one to start from"
            self.fail(start, param, ctx)
        return super().convert(value, param, ctx)


file_argument = click.argument("file", type=_JobFilePath(dir_okay=False, path_type=Path))
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
    help="Run against a stand-in for the API on this machine: no key, no cost.",
)


def api_options(command: F) -> F:
    """Add the options that say which API to use, and with which key."""
    for option in (sandbox_option, key_option, url_option):
        command = option(command)
    return command


@contextmanager
def opened(db: str, *, must_exist: bool = True) -> Iterator[Store]:
    """Open the database, and turn what goes wrong in the block into errors for people."""
    from batchrunner.store.store import Store

    with errors_for_people():
        _check(db, must_exist=must_exist)
        store = retry_while_locked(lambda: Store.open(db))
        try:
            yield store
        finally:
            store.close()


def _check(db: str, *, must_exist: bool) -> None:
    from batchrunner.store.address import file_of, is_in_memory, url_of

    if is_in_memory(url_of(db)):
        raise UsageError(
            f"{db} is a database in memory: with the program's end it would lose which runs exist",
            next="name a file with --db, such as --db batchrunner.db",
        )
    file = file_of(db)
    if must_exist and file is not None and not file.exists():
        raise CannotContinue(
            f"there is no database {file}",
            next="load a job file first: batchrunner load jobs.yaml (or name the database: --db)",
        )


def retry_while_locked(call: Callable[[], T]) -> T:
    """
    Return what *call* returns, for as long as a restart of the database's server takes.

    Only for calls that may be made again after they took effect unseen.
    """
    from batchrunner.store.database import StoreError

    begun, said = time.monotonic(), False
    while True:
        try:
            return call()
        except StoreError as error:
            if not error.passing or time.monotonic() - begun > PATIENCE:
                raise
            if not said:
                click.echo(f"waiting for the database: {error.message}", err=True)
                said = True
        time.sleep(PAUSE)


def batch_of(store: Store, name: str | None) -> Batch:
    """Return the batch called *name*, or the only one there is."""
    batches = store.batches()
    found = [batch for batch in batches if name in (None, batch.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(batch.name for batch in batches) or "none yet"
    raise UsageError(
        f"there is no batch {name!r}" if name else f"there are {len(batches)} batches: which one?",
        next=f"name one of those in this database: {names}",
    )


def read_job_file(path: Path) -> JobFile:
    """Read a job file; all its problems end up in one report."""
    from batchrunner.inputs.tables import refuse_table
    from batchrunner.inputs.yaml import JobFileErrors, parse, report
    from batchrunner.text.terminal import term_safe

    refuse_table(path)
    with errors_for_people():
        content = path.read_bytes()
    try:
        job_file = parse(content, file=str(path), name=path.stem)
    except JobFileErrors as errors:
        raise InputError(report(errors), errors.problems) from errors
    for line in job_file.warnings[:MAX_WARNINGS]:
        click.echo(f"warning: {term_safe(line)}", err=True)
    if more := len(job_file.warnings[MAX_WARNINGS:]):
        click.echo(f"warning: … and {more} more of the like", err=True)
    return job_file


class Concurrency(click.ParamType[int]):
    """A number of runs in flight at most, or `auto`."""

    name = "bound"
    _number = click.IntRange(1, 1000)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; AUTO for `auto`."""
        from batchrunner.model import AUTO

        if value == "auto":
            return AUTO
        number: int = self._number.convert(value, param, ctx)
        return number
