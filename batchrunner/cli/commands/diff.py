"""`batchrunner diff`: compare two sets of results."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.exit_codes import RESULTS_DIFFER
from batchrunner.cli.options import db_option, help_option, note, opened
from batchrunner.text.wrapping import say

if TYPE_CHECKING:
    from batchrunner.store.store import Store


class _Assignment(click.ParamType[tuple[str, str]]):
    """A field and a value, such as `price=1%`."""

    name = "assignment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the two parts."""
        path, equals, said = str(value).partition("=")
        if not equals or not path.strip():
            self.fail(f"{value!r} is not of the form {param.metavar if param else ''}", param, ctx)
        return path, said


@click.command("diff")
@click.argument("before", required=False)
@click.argument("after", required=False)
@click.option(
    "--tolerance",
    multiple=True,
    type=_Assignment(),
    metavar="FIELD=AMOUNT",
    help="How far numbers of a field may differ: price=1% or price=0.05; several.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="FIELD",
    help="Overlook a field: scraped_at; several.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=_Assignment(),
    metavar="LIST=FIELD",
    help="What tells the elements of a list apart: offers=sku; offers= is by position; several.",
)
@click.option(
    "--by",
    default="id",
    show_default=True,
    metavar="COLUMN",
    help="What pairs the jobs: id, url, or a column of the input.",
)
@click.option("-o", "--output", metavar="FILE", help="Write all differences to this file.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "jsonl", "csv", "markdown"]),
    help="The format.  [default: by the file's name; text on standard output]",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="Jobs of each kind that the text names; 0 is the summary alone.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs.")
@db_option
@help_option
@click.pass_context
def command(
    ctx: click.Context,
    before: str | None,
    after: str | None,
    tolerance: Sequence[tuple[str, str]],
    ignore: Sequence[str],
    keys: Sequence[tuple[str, str]],
    by: str,
    output: str | None,
    format_: str | None,
    overwrite: bool,
    limit: int,
    exit_code: bool,
    db: str,
) -> None:
    """
    Compare the results of BEFORE and AFTER, job by job and field by field.

    Each is a batch, a series (its newest edition) or a file that `export` wrote. One name alone is
    a series or an edition, compared with the edition before it.

    \b
    Examples:
      batchrunner diff prices
      batchrunner diff prices --tolerance price=1% --ignore scraped_at
      batchrunner diff prices@2026-12-01 prices@2026-12-05 -o changes.csv
      batchrunner diff old.jsonl new.csv --by url --exit-code
    """
    from batchrunner.app.diff_files import advice, diff_target, report_diff
    from batchrunner.app.diff_results import DiffOptions, ResultDiff, is_file, named_sets
    from batchrunner.app.output_targets import kept_files
    from batchrunner.cli.output.batch_text import db_given

    names = [name for name in (before, after) if name is not None]
    files = [Path(name) for name in names]
    target = diff_target(output, format_, kept_files(db, files), overwrite=overwrite)
    options = DiffOptions(tolerance=dict(tolerance), ignore=ignore, keys=dict(keys), by=by)
    options.rules()  # before anything is opened
    with _store_for(names, db) as store:
        found = ResultDiff(*named_sets(store, names), options)
        done = report_diff(found, target, limit)
    for line in done.lines:
        if target.is_stdout and target.format != "text":
            note(line)
        else:
            say(line)
    at = "" if names and all(map(is_file, names)) else db_given(db)
    words = " ".join(["batchrunner diff", *map(shlex.quote, names), *options.arguments()])
    for line in advice(found, done, target, f"{words}{at}"):
        note(line)
    if exit_code and done.summary.differences:
        ctx.exit(RESULTS_DIFFER)


@contextmanager
def _store_for(names: Sequence[str], db: str) -> Iterator[Store | None]:
    """Open the database, unless only files are named."""
    from batchrunner.app.diff_results import is_file
    from batchrunner.app.error_translation import errors_for_people

    if names and all(map(is_file, names)):
        with errors_for_people():
            yield None
        return
    with opened(db) as store:
        yield store
