"""What the user says of a table: templates and columns, with the places where they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batchrunner.inputs.job_specs import NO_DEFAULTS, Defaults
from batchrunner.inputs.mapping.choices import ColumnChoices
from batchrunner.inputs.mapping.wording import Style
from batchrunner.inputs.nodes import Scalar
from batchrunner.inputs.tables import TableOptions

ROLES = ("url", "goal", "id")


class Said(NamedTuple):
    """A template, or the name of a column."""

    text: str
    is_column: bool = False
    at: Scalar | None = None  #: where it is written in a job file


class MatrixColumn(NamedTuple):
    """A column of a `matrix`: each row is combined with each of its values."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TableRequest:
    """A table to load, with everything that is said of its columns."""

    path: str | None  #: None: a matrix alone
    style: Style
    said: Mapping[str, Said] = field(default_factory=dict)  #: by role
    to_options: bool | None = None  #: None: only in a JSON array, the other form of a job file
    matrix: tuple[MatrixColumn, ...] = ()
    options: TableOptions = field(default_factory=TableOptions)
    defaults: Defaults = NO_DEFAULTS
    at: Any = None  #: where it is written in a job file: a node or a cell


def said_of(choices: ColumnChoices) -> dict[str, Said]:
    """Return what options say, by role."""
    found = {}
    for role in ROLES:
        if (template := getattr(choices, role)) is not None:
            found[role] = Said(template)
        elif (column := getattr(choices, f"{role}_column")) is not None:
            found[role] = Said(column, is_column=True)
    return found
