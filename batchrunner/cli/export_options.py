"""The options of commands that export: which jobs, which columns, in which form, to where."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from batchrunner.outputs import FORMATS, formats_help

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--format",
        "format_",
        type=click.Choice([*FORMATS]),
        help=f"{formats_help()}.  [default: by the file's name; jsonl on standard output]",
    ),
    click.option(
        "--columns",
        multiple=True,
        metavar="A,B=PATH",
        help="Only these columns, in this order; price=result.offer.price gives one a name.",
    ),
    click.option(
        "--explode",
        metavar="PATH",
        help="One row for each element of the list at this path, such as result.offers.",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="STATE|VERDICT|CATEGORY",
        help="Only jobs in this state, with this verdict, or failed for this reason: failed, "
        "suspect, blocked; several.",
    ),
    click.option(
        "--join",
        is_flag=True,
        help="Each row of the input in its order with its result, also rows not done yet.",
    ),
    click.option(
        "--last-good",
        is_flag=True,
        help="Of each job that ran again, the newest result that succeeded.",
    ),
    click.option(
        "--unwrap", is_flag=True, help="Leave out a sole wrapper around a result, such as `data`."
    ),
    click.option(
        "--no-guard", is_flag=True, help="Leave cells that a spreadsheet would execute as they are."
    ),
    click.option(
        "--into",
        metavar="DATABASE:TABLE",
        help="Insert or update rows of your own table: sqlite:prices.db:prices, or postgresql://…",
    ),
    click.option(
        "--key",
        multiple=True,
        metavar="COLUMN",
        help="With --into: the column that tells its rows apart; several.  [default: id]",
    ),
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace files that this batch did not write."
)


def export_options(command: F) -> F:
    """Add these options; the command receives them as one value `exporting`."""

    @functools.wraps(command)
    def with_options(*args: Any, **given: Any) -> Any:
        from batchrunner.app.export_options import export_request

        taken = {name: given.pop(name) for name in _NAMES}
        return command(*args, exporting=export_request(**taken), **given)

    decorated: Any = with_options
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


_NAMES = (
    "format_",
    "columns",
    "explode",
    "only",
    "join",
    "last_good",
    "unwrap",
    "no_guard",
    "into",
    "key",
)
