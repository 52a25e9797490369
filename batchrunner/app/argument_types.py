"""Checks the types of what callers of the Python interface give."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from batchrunner.errors import UsageError

#: What is accepted as a path, and as a budget.
PATH_TYPES = (str, os.PathLike)
BUDGET_EXAMPLES = "'$20', '500 steps', or 'none' to take it off"


def check_type(name: str, given: object, types: tuple[type, ...], accepted: str) -> None:
    """
    Refuse a value of a wrong type; None counts as not given.

    The message does not repeat the value, which may be a key.

    Raises:
        UsageError: The value has none of the types.
    """
    if given is not None and not isinstance(given, types):
        raise UsageError(
            f"{name} cannot be a value of the type {type(given).__name__}", next=f"give {accepted}"
        )


def check_budget_type(given: object) -> None:
    """Refuse a budget that is not text: a bare number could mean steps or dollars."""
    check_type("budget", given, (str,), BUDGET_EXAMPLES)


def check_text(name: str, given: object) -> None:
    """Refuse what is not text."""
    check_type(name, given, (str,), "text")


def path_of(name: str, given: str | os.PathLike[str]) -> Path:
    """
    Return a path.

    Raises:
        UsageError: It is neither text nor a path.
    """
    if given is None:
        raise UsageError(f"{name} cannot be None", next="give a path")
    check_type(name, given, PATH_TYPES, "a path, as text or as a pathlib.Path")
    return Path(given)


def texts_of(name: str, given: str | Collection[str]) -> list[str]:
    """
    Return several texts; a single one counts as a list of it.

    Raises:
        UsageError: It is neither text nor a collection of texts.
    """
    if isinstance(given, str):
        return [given]
    if isinstance(given, Iterable):
        texts = list(given)
        if all(isinstance(each, str) for each in texts):
            return texts
    raise UsageError(
        f"{name} is neither text nor a list of texts", next=f'give {name}="a" or {name}=["a", "b"]'
    )


def check_rows(given: Iterable[Mapping[str, Any]] | None) -> None:
    """
    Refuse rows that are no list of mappings at all; each row is checked when it is loaded.

    Raises:
        UsageError: They are text, a single mapping, or cannot be iterated over.
    """
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable | None):
        raise UsageError(
            f"rows cannot be a value of the type {type(given).__name__}",
            next='give a list of mappings: rows=[{"url": "https://…", "goal": "…"}]',
        )
