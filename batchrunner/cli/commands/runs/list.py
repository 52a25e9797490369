"""`batchrunner runs list`: list runs at the API by status, goal and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.options import api_options, db_option, help_option
from batchrunner.cli.run_filters import filter_options, filters
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.tinyfish.console_views import RunListPage

#: The API's default and maximum of runs on a page.
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 20, 100


@click.command("list")
@filter_options
@click.option(
    "--sort",
    type=click.Choice(["asc", "desc"]),
    default="desc",
    show_default=True,
    help="By time of creation: asc is oldest first.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_PAGE_SIZE),
    metavar="N",
    help=f"Runs per page, 1 to {MAX_PAGE_SIZE}.  "
    f"[default: {DEFAULT_PAGE_SIZE}; {MAX_PAGE_SIZE} with --all]",
)
@click.option("--cursor", metavar="CURSOR", help="Begin with this page, which the last one named.")
@click.option("--all", "every", is_flag=True, help="All pages.")
@click.option("--json", "as_json", is_flag=True, help="Print each page as the API sent it.")
@click.option("--jsonl", is_flag=True, help="Print each run as the API sent it, one per line.")
@api_options
@db_option
@help_option
def command(
    sort: str,
    limit: int | None,
    cursor: str | None,
    every: bool,
    as_json: bool,
    jsonl: bool,
    sandboxed: bool,
    api_key_file: str | None,
    api_url: str | None,
    db: str,
    **chosen: Any,
) -> None:
    """
    List runs of the account, whoever started them; newest first.

    If there are more, it prints the command that shows the next page.

    \b
    Examples:
      batchrunner runs list --status FAILED --limit 50
      batchrunner runs list --goal linkedin --created-after 2026-09-01 --created-before 2026-10-01
      batchrunner runs list --all --jsonl > runs.jsonl
    """
    from batchrunner.app.api_call import api_of
    from batchrunner.app.read_runs import read_run_pages
    from batchrunner.tinyfish.console_client import query_of

    if as_json and jsonl:
        raise click.UsageError("give --json or --jsonl, not both")
    query = query_of(
        **filters(**chosen),
        oldest_first=sort == "asc",
        limit=limit or (MAX_PAGE_SIZE if every else DEFAULT_PAGE_SIZE),
        cursor=cursor,
    )
    form = "json" if as_json else "jsonl" if jsonl else "text"
    printer = _Printer(form, all_pages=every)
    with api_of(sandboxed=sandboxed, api_url=api_url, api_key_file=api_key_file, db=db) as api:
        read_run_pages(api, query, printer.show, all_pages=every)


class _Printer:
    """Prints pages of runs, and how many there were."""

    def __init__(self, form: str, *, all_pages: bool) -> None:
        self._form = form
        self._all_pages = all_pages
        self._count = 0

    def show(self, page: RunListPage) -> None:
        """Print a page; after the last one, the count."""
        for line in _lines(page, self._form):
            click.echo(line)
        self._count += len(page.runs)
        is_last = page.cursor is None or not self._all_pages
        if is_last and self._form == "text":
            _show_count(self._count, page)


def _lines(page: RunListPage, form: str) -> list[str]:
    from batchrunner.cli.output.run_text import list_line

    if form == "json":
        return [page.text]
    if form == "jsonl":
        return [details.text for details in page.runs]
    return [list_line(details) for details in page.runs]


def _show_count(count: int, page: RunListPage) -> None:
    from shlex import quote

    from batchrunner.text.terminal import term_safe

    total = "" if page.total is None else f" of {page.total}"
    click.echo(f"{counted(count, 'run')}{total}", err=True)
    if page.cursor is not None:
        cursor = term_safe(quote(page.cursor))
        click.echo(f"more: the same command with --cursor {cursor}", err=True)
