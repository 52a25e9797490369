"""Checks a value against an output schema (the subset of JSON Schema that the API takes)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaError:
    """One violation of a schema."""

    path: str  #: such as `#/plans/0/price`
    expected: str
    received: str
    message: str


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: _TYPES["number"](value) and value % 1 == 0,
    "boolean": lambda value: isinstance(value, bool),
}

_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[zZ]|[+-][0-2]\d:[0-5]\d)"
_FORMATS = {
    "date": re.compile(_DATE, re.ASCII),
    "time": re.compile(_TIME, re.ASCII),
    "date-time": re.compile(f"{_DATE}[tT ]{_TIME}", re.ASCII),
    "duration": re.compile(
        r"P(?=.)(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)",
        re.ASCII,
    ),
}

#: by keyword: what it measures, whether the measure is within the limit, the limit in words
_LIMITS: tuple[tuple[str, str, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", "number", lambda value, limit: value >= limit, "at least {}"),
    ("maximum", "number", lambda value, limit: value <= limit, "at most {}"),
    ("minItems", "array", lambda value, limit: len(value) >= limit, "at least {} items"),
    ("maxItems", "array", lambda value, limit: len(value) <= limit, "at most {} items"),
)


def kind_of(value: Any) -> str:
    """Return the name of a value's JSON type."""
    if value is None:
        return "null"
    fitting = [name for name, fits in _TYPES.items() if fits(value)]
    return fitting[-1] if fitting else type(value).__name__


def schema_errors(
    value: Any, schema: Mapping[str, Any], path: str = "#"
) -> tuple[SchemaError, ...]:
    """Yield every violation of the schema."""
    return tuple(_errors(value, schema, path))


def _errors(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[SchemaError]:
    if value is None and schema.get("nullable") is True:
        return
    expected = schema.get("type")
    fits = _TYPES.get(expected) if isinstance(expected, str) else None
    if fits is not None and not fits(value):
        yield _error(path, str(expected), kind_of(value))
        return
    yield from _alternatives(value, schema, path)
    yield from _text(value, schema, path)
    yield from _measures(value, schema, path)
    yield from _members(value, schema, path)


def _alternatives(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[SchemaError]:
    branches = schema.get("anyOf")
    if branches and all(schema_errors(value, branch, path) for branch in branches):
        yield _error(path, "one of the anyOf schemas", kind_of(value))


def _text(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[SchemaError]:
    if "enum" in schema and value not in schema["enum"]:
        choices = ", ".join(map(repr, schema["enum"]))
        yield _error(path, f"one of {choices}", repr(value))
    pattern = _FORMATS.get(schema.get("format", ""))
    if pattern and isinstance(value, str) and not pattern.fullmatch(value):
        yield _error(path, f"a {schema['format']}", repr(value))


def _measures(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[SchemaError]:
    for keyword, kind, keeps, words in _LIMITS:
        if keyword in schema and _TYPES[kind](value) and not keeps(value, schema[keyword]):
            received = f"{len(value)} items" if kind == "array" else str(value)
            yield _error(path, words.format(schema[keyword]), received)


def _members(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[SchemaError]:
    if isinstance(value, Mapping):
        properties = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value:
                expected = properties.get(name, {}).get("type", "a value")
                yield _error(f"{path}/{name}", expected, "nothing")
        for name, part in properties.items():
            if name in value:
                yield from _errors(value[name], part, f"{path}/{name}")
    elif isinstance(value, list | tuple) and "items" in schema:
        for position, member in enumerate(value):
            yield from _errors(member, schema["items"], f"{path}/{position}")


def _error(path: str, expected: str, received: str) -> SchemaError:
    message = f"{path} should be {expected}, but the result has {received}"
    return SchemaError(path=path, expected=expected, received=received, message=message)
