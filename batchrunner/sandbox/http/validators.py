"""Checks of JSON values; their messages are those of the API's own validator."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from batchrunner.sandbox.http.errors import Issue

Path = tuple[str | int, ...]
Check = Callable[[Any, Path], list[Issue]]

#: Stands for a missing key.
MISSING = object()

_JAVASCRIPT: Mapping[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
}
_INSTANT = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d"
    r"(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


def issue(code: str, path: Path, message: str, **more: Any) -> Issue:
    """Return one issue: its code, its path, its message and further fields of that code."""
    return {"code": code, "path": list(path), "message": message, **more}


def wrong_type(expected: str, value: Any, path: Path) -> list[Issue]:
    """Return the issue that a value has another type than expected."""
    message = f"Invalid input: expected {expected}, received {_type_of(value)}"
    return [issue("invalid_type", path, message, expected=expected)]


def text(*, minimum: int = 0, maximum: int | None = None) -> Check:
    """Require a string of this length."""

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, str):
            return wrong_type("string", value, path)
        return _sized(len(value), minimum, maximum, "string", "characters", path)

    return check


def url(*schemes: str) -> Check:
    """Require an absolute URL with one of these schemes."""

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, str):
            return wrong_type("string", value, path)
        if not _is_url(value, schemes):
            return [issue("invalid_format", path, "Invalid URL", format="url")]
        return []

    return check


def instant(value: Any, path: Path) -> list[Issue]:
    """Require an ISO 8601 date and time with its offset from UTC."""
    if not isinstance(value, str):
        return wrong_type("string", value, path)
    if not _INSTANT.fullmatch(value):
        return [issue("invalid_format", path, "Invalid ISO datetime", format="datetime")]
    return []


def flag(value: Any, path: Path) -> list[Issue]:
    """Require true or false."""
    return [] if isinstance(value, bool) else wrong_type("boolean", value, path)


def whole(*, minimum: int, maximum: int | None = None) -> Check:
    """Require a whole number between two bounds; 5.0 counts as one, as in JavaScript."""

    def check(value: Any, path: Path) -> list[Issue]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return wrong_type("number", value, path)
        if value != value or value % 1 != 0:
            return wrong_type("int", value, path)
        return _sized(value, minimum, maximum, "number", None, path)

    return check


def one_of(*values: str) -> Check:
    """Require one of these strings."""
    message = "Invalid option: expected one of " + "|".join(f'"{value}"' for value in values)

    def check(value: Any, path: Path) -> list[Issue]:
        if value in values:
            return []
        return [issue("invalid_value", path, message, values=list(values))]

    return check


def pattern(expression: str) -> Check:
    """Require a string that matches a regular expression completely."""

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, str):
            return wrong_type("string", value, path)
        if re.fullmatch(expression, value):
            return []
        message = f"Invalid string: must match pattern /^{expression}$/"
        return [issue("invalid_format", path, message, format="regex")]

    return check


def list_of(entry: Check, *, minimum: int = 0, maximum: int | None = None) -> Check:
    """Require an array of this length whose entries pass a check."""

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, list):
            return wrong_type("array", value, path)
        issues = _sized(len(value), minimum, maximum, "array", "items", path)
        return issues or [
            found for index, each in enumerate(value) for found in entry(each, (*path, index))
        ]

    return check


def mapping(value: Any, path: Path) -> list[Issue]:
    """Require an object with any content."""
    return [] if isinstance(value, dict) else wrong_type("object", value, path)


def record(
    fields: Mapping[str, Check],
    *,
    required: Sequence[str] = (),
    rules: Sequence[Check] = (),
    closed: bool = True,
) -> Check:
    """Require an object of these fields; the rules check the whole object if its fields pass."""

    def check(value: Any, path: Path) -> list[Issue]:
        if not isinstance(value, dict):
            return wrong_type("object", value, path)
        issues = [
            found
            for name, field in fields.items()
            if name in value or name in required
            for found in field(value.get(name, MISSING), (*path, name))
        ]
        strange = [name for name in value if name not in fields]
        if strange and closed:
            issues.append(_unrecognized(strange, path))
        return issues or [found for rule in rules for found in rule(value, path)]

    return check


def _unrecognized(keys: list[str], path: Path) -> Issue:
    quoted = ", ".join(f'"{key}"' for key in keys)
    message = f"Unrecognized key{'s' if len(keys) > 1 else ''}: {quoted}"
    return issue("unrecognized_keys", path, message, keys=keys)


def _sized(
    size: float, minimum: int, maximum: int | None, origin: str, unit: str | None, path: Path
) -> list[Issue]:
    verb, unit = ("to have ", f" {unit}") if unit else ("to be ", "")
    if size < minimum:
        message = f"Too small: expected {origin} {verb}>={minimum}{unit}"
        return [issue("too_small", path, message, origin=origin, minimum=minimum, inclusive=True)]
    if maximum is not None and size > maximum:
        message = f"Too big: expected {origin} {verb}<={maximum}{unit}"
        return [issue("too_big", path, message, origin=origin, maximum=maximum, inclusive=True)]
    return []


def _is_url(value: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    blank = any(character.isspace() or character < " " for character in value)
    known = value.startswith(tuple(f"{scheme}://" for scheme in schemes))
    return known and bool(parts.hostname) and port != 0 and not blank


def _type_of(value: Any) -> str:
    if value is MISSING:
        return "undefined"
    if value is None:
        return "null"
    if value != value:
        return "NaN"
    return _JAVASCRIPT.get(type(value), "object")
