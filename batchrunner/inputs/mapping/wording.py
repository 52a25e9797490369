"""How a choice of a column is written: as an option, in a job file, or in Python."""

from __future__ import annotations

import shlex
from typing import Literal

#: Where the user says what columns are.
Style = Literal["option", "job file", "python"]


def column_choice(style: Style, role: str, column: str) -> str:
    """Return how a user says that a column is the url, the goal or the id."""
    if style == "option":
        return f"--{role}-column {shlex.quote(column)}"
    return template_choice(style, role, f"{{{column}}}")


def template_choice(style: Style, role: str, template: str) -> str:
    """Return how a user gives a template."""
    match style:
        case "option":
            return f"--{role} {shlex.quote(template)}"
        case "job file":
            return f"{role}: '{template.replace(chr(39), chr(39) * 2)}'"
        case "python":
            return f"{role}={template!r}"


def leave_out(style: Style) -> str | None:
    """Return how a user loads a table without the rows that have problems."""
    what = "to load the other rows; those with problems go to that file, with their reasons"
    match style:
        case "option":
            return f"add --skip-invalid left-out.csv {what}"
        case "python":
            return f"add skip_invalid='left-out.csv' {what}"
        case "job file":
            return None


def switch(style: Style) -> str:
    """Return how a user says that columns named like keys of a job are these keys."""
    return {
        "option": "--columns-to-options",
        "job file": "columns_to_options: true",
        "python": "columns_to_options=True",
    }[style]


def overwrite(style: Style) -> str:
    """Return how a user lets a file be replaced."""
    return "overwrite=True" if style == "python" else "--overwrite"
