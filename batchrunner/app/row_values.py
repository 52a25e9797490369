"""Rows from Python as JSON, which the readers of files read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from batchrunner.errors import UsageError

#: What problems with the rows of a caller name in the place of a file.
ROWS = "rows"


def without_empty(row: Any) -> Any:
    """Return a row without values that are not numbers, as pandas fills empty cells."""
    if not isinstance(row, Mapping):
        return row  # the reader reports it, together with all other problems
    return {key: value for key, value in row.items() if value == value}  # NaN is not itself


def json_text(value: Any, *, indent: int | None = None) -> str:
    """
    Return a value of the caller as JSON.

    Raises:
        UsageError: JSON has no such value.
    """
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{ROWS}: a value cannot be written as JSON: {error}",
            next="use text, numbers, true, false, None, lists and mappings",
            where=ROWS,
            why=str(error),
        ) from error
