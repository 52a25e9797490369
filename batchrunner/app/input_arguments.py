"""Lists what `load` of the Python interface takes about tables, and checks it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from batchrunner.app.argument_types import PATH_TYPES, check_text, check_type, path_of
from batchrunner.app.input_request import InputRequest
from batchrunner.app.shown_arguments import shows_arguments
from batchrunner.errors import UsageError
from batchrunner.inputs.field_types import did_you_mean
from batchrunner.inputs.mapping.choices import ColumnChoices
from batchrunner.inputs.tables import TableOptions

_FILES = ("output_schema", "skip_invalid")
_CHOICES = ("url", "goal", "id", "url_column", "goal_column", "id_column")


class InputArguments(TypedDict, total=False):
    """
    What the columns of tables are; each has an option of the same name in `batchrunner load`.

    url, goal, id: templates of columns, such as 'https://shop.example/p/{sku}'
    url_column, goal_column, id_column: names of columns
    columns_to_options: columns named like keys of a job are these keys
    output_schema: file with a JSON Schema for the results of all rows
    sheet, encoding, delimiter: what a file does not say itself
    skip_invalid: file for rows with problems; the others are loaded
    overwrite: that file may replace one that is there
    """

    url: str | None
    goal: str | None
    id: str | None
    url_column: str | None
    goal_column: str | None
    id_column: str | None
    columns_to_options: bool | None
    output_schema: str | Path | None
    sheet: str | None
    encoding: str | None
    delimiter: str | None
    skip_invalid: str | Path | None
    overwrite: bool


@dataclass(frozen=True, kw_only=True)
class SaidOfColumns:
    """What the arguments of a call say of tables."""

    choices: ColumnChoices
    table: TableOptions
    output_schema: Path | None
    skip_invalid: Path | None
    overwrite: bool

    def request(self, files: str | Path | Sequence[str | Path], name: str | None) -> InputRequest:
        """Return the request for one file, or for several."""
        check_text("name", name)
        several = [files] if isinstance(files, str | os.PathLike) else files
        if not isinstance(several, Sequence) or isinstance(several, bytes):
            check_type("job_file", files, PATH_TYPES, "a path, or a list of paths")
        return InputRequest(
            paths=tuple(path_of("job_file", each) for each in several),
            name=name,
            choices=self.choices,
            table=self.table,
            output_schema=self.output_schema,
            skip_invalid=self.skip_invalid,
            overwrite=self.overwrite,
            style="python",
        )


def input_arguments(given: Mapping[str, Any]) -> SaidOfColumns:
    """
    Return what the arguments of a call say of tables.

    Raises:
        TypeError: There is no such argument.
        UsageError: A value has a wrong type.
    """
    known = tuple(InputArguments.__annotations__)
    for name, value in given.items():
        if name not in known:
            tip = did_you_mean(name, known) or f"arguments are {', '.join(known)}"
            raise TypeError(f"load has no argument {name!r}: {tip}")
        if name in ("columns_to_options", "overwrite"):
            check_type(name, value, (bool,), "True or False")
        elif name in _FILES:
            check_type(name, value, PATH_TYPES, "the path of a file")
        else:
            check_text(name, value)
    choices = ColumnChoices(
        to_options=given.get("columns_to_options"),
        **{name: given.get(name) for name in _CHOICES},
    )
    for name in choices.both():
        raise UsageError(
            f"{name} and {name}_column contradict each other",
            next=f"give one of them: {name}_column='link' is the same as {name}='{{link}}'",
        )
    table = {name: given.get(name) for name in ("sheet", "encoding", "delimiter")}
    files = {name: None if given.get(name) is None else Path(given[name]) for name in _FILES}
    return SaidOfColumns(
        choices=choices,
        table=TableOptions(is_table=choices.any(), **table),
        output_schema=files["output_schema"],
        skip_invalid=files["skip_invalid"],
        overwrite=bool(given.get("overwrite")),
    )


#: Shows these arguments as those of a method.
takes_input_arguments = shows_arguments(InputArguments)
