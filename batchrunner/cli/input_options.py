"""The files that a command loads, and the options that say what the columns of tables are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.input_request import InputRequest

F = TypeVar("F", bound=Callable[..., Any])


class _InputPath(click.Path):
    """A path to a job file or a table that exists, or `-`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; where there is no file, the error says how to begin."""
        if str(value) != "-" and not Path(value).exists():
            start = _alike(Path(value)) or "`batchrunner init` writes one to start from"
            self.fail(f"there is no file {value}; {start}", param, ctx)
        return super().convert(value, param, ctx)


def _alike(path: Path) -> str | None:
    """Return a question for the file that was meant, if one beside it has nearly this name."""
    try:
        names = [each.name for each in path.parent.iterdir() if each.is_file()]
    except OSError:
        return None
    close = get_close_matches(path.name, names, n=1, cutoff=0.8)
    return f"did you mean {term_safe(str(path.with_name(close[0])))}?" if close else None


_FILES = click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=_InputPath(dir_okay=False, allow_dash=True, path_type=Path),
)
_OPTIONS = (
    click.option("--name", metavar="NAME", help="The batch's name.  [default: the file's]"),
    click.option("--url-column", metavar="COLUMN", help="Table: the column with the urls."),
    click.option("--goal-column", metavar="COLUMN", help="Table: the column with the goals."),
    click.option("--id-column", metavar="COLUMN", help="Table: the column with your own ids."),
    click.option(
        "--url", metavar="TEMPLATE", help="Table: each row's url: 'https://shop.example/p/{sku}'."
    ),
    click.option(
        "--goal", metavar="TEMPLATE", help="Table: each row's goal: 'Read the price of {product}'."
    ),
    click.option("--id", metavar="TEMPLATE", help="Table: each row's id: '{sku}-{country}'."),
    click.option(
        "--columns-to-options/--no-columns-to-options",
        default=None,
        help="Table: columns named like keys of a job (browser_profile, …) are these keys.",
    ),
    click.option(
        "--output-schema",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Table: a JSON Schema for the results of all rows.",
    ),
    click.option("--sheet", metavar="NAME", help="XLSX: the sheet, by name or number."),
    click.option("--encoding", metavar="NAME", help="Table: its encoding, if it is not UTF-8."),
    click.option("--delimiter", metavar="CHARACTER", help="Table: what separates its cells."),
    click.option(
        "--skip-invalid",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Table: load the rows that are right; write the others, with reasons, to this file.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace files that are there."),
)


#: Options that are fields of a request by the same name.
_OTHERS = ("name", "output_schema", "skip_invalid", "overwrite")


def input_options(command: F) -> F:
    """
    Add FILE... and its options; the command receives them as one value `inputs`.

    `--overwrite` is a field of it, for the files that a command writes.
    """

    @functools.wraps(command)
    def with_inputs(*args: Any, **given: Any) -> Any:
        return command(*args, inputs=_request(given), **given)

    decorated: Any = with_inputs
    for option in (*reversed(_OPTIONS), _FILES):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _request(given: dict[str, Any]) -> InputRequest:
    """Take what says what to load out of the options *given*."""
    from batchrunner.app.input_request import InputRequest
    from batchrunner.inputs.mapping.choices import ColumnChoices
    from batchrunner.inputs.tables import TableOptions

    choices = ColumnChoices(
        to_options=given.pop("columns_to_options"),
        **{
            name: given.pop(name)
            for name in ("url", "goal", "id", "url_column", "goal_column", "id_column")
        },
    )
    return InputRequest(
        paths=given.pop("files"),
        choices=choices,
        table=TableOptions(
            is_table=choices.any(),
            **{name: given.pop(name) for name in ("sheet", "encoding", "delimiter")},
        ),
        **{name: given.pop(name) for name in _OTHERS},
    )
