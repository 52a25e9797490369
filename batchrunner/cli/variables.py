"""Checks the variables of the environment that name things for this program."""

from __future__ import annotations

import os
from collections.abc import Mapping

from batchrunner.api_facts.environment import API_KEY_FILE, BASE_URL
from batchrunner.errors import UsageError

DATABASE = "BATCHRUNNER_DB"


def check_variables(environ: Mapping[str, str]) -> None:
    """
    Refuse a value that nobody meant, unless a file has that name; the key is checked elsewhere.

    Raises:
        UsageError: A variable is blank, or has characters that are not seen; never shows its value.
    """
    for name in (DATABASE, API_KEY_FILE, BASE_URL):
        value = environ.get(name, "")
        if value and (trouble := _trouble(value)) and not os.path.exists(value):
            raise UsageError(f"{name} {trouble}", next=f"set it, or: unset {name}", where=name)


def _trouble(value: str) -> str | None:
    if not value.strip():
        return "is set, but blank"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "is not in UTF-8"
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        return "has invisible characters, such as a line end"
    return "begins or ends with a blank" if value != value.strip() else None
