"""Whether a result has the shape of its job's `output_schema`, and where it breaks it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from batchrunner.judge.reading import named, shown
from batchrunner.model import Finding

SCHEMA = "schema"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


#: A type → what it is in words, and whether a value is of it.
_TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "object": ("a mapping", lambda value: isinstance(value, dict)),
    "array": ("a list", lambda value: isinstance(value, list)),
    "string": ("text", lambda value: isinstance(value, str)),
    "number": ("a number", _is_number),
    "integer": ("a whole number", lambda value: _is_number(value) and value % 1 == 0),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
}
_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?(?:[zZ]|[+-][0-2]\d:?[0-5]\d)?"
_FORMATS = {
    "date": re.compile(_DATE, re.ASCII),
    "time": re.compile(_TIME, re.ASCII),
    "date-time": re.compile(f"{_DATE}[tT ]{_TIME}", re.ASCII),
    "duration": re.compile(
        r"P(?=.)(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)",
        re.ASCII,
    ),
}


def breaches(value: Any, schema: Mapping[str, Any]) -> Iterator[Finding]:
    """
    Give what in a result breaks its schema; a property that is not named may be anything.

    A schema that another program wrote may be of other kinds than ours: what is not understood of
    it is not held against a result.
    """
    try:
        yield from _breaches(value, schema, "")
    except (TypeError, AttributeError, ValueError, RecursionError):
        return


def _breaches(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[Finding]:
    if value is None and schema.get("nullable") is True:
        return
    kind = _TYPES.get(schema.get("type", ""))
    if kind is not None and not kind[1](value):
        yield _finding(path, shown(value), kind[0])
        return
    yield from _of_value(value, schema, path)
    if isinstance(value, dict):
        yield from _of_members(value, schema, path)
    elif isinstance(value, list) and "items" in schema:
        for place, one in enumerate(value):
            yield from _breaches(one, schema["items"], f"{path}[{place}]")


def _of_value(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[Finding]:
    for keyword, limit in schema.items():
        broken = _BROKEN.get(keyword)
        if broken is not None and broken[0](value, limit):
            yield _finding(path, shown(value), broken[1](limit))


def _is_misspelt(value: Any, format: str) -> bool:
    pattern = _FORMATS.get(format)
    return pattern is not None and isinstance(value, str) and not pattern.fullmatch(value)


def _fits_no_branch(value: Any, branches: Sequence[Mapping[str, Any]]) -> bool:
    return bool(branches) and all(any(_breaches(value, branch, "")) for branch in branches)


#: A keyword → whether a value breaks it, and what was wanted then. NaN is in no range.
_BROKEN: Mapping[str, tuple[Callable[[Any, Any], bool], Callable[[Any], str]]] = {
    "enum": (lambda value, limit: value not in limit, lambda limit: f"one of {', '.join(limit)}"),
    "format": (_is_misspelt, lambda limit: f"a {limit}"),
    "minimum": (
        lambda value, limit: _is_number(value) and not value >= limit,
        lambda limit: f"at least {limit}",
    ),
    "maximum": (
        lambda value, limit: _is_number(value) and not value <= limit,
        lambda limit: f"at most {limit}",
    ),
    "minItems": (
        lambda value, limit: isinstance(value, list) and len(value) < limit,
        lambda limit: f"at least {limit} entries",
    ),
    "maxItems": (
        lambda value, limit: isinstance(value, list) and len(value) > limit,
        lambda limit: f"at most {limit} entries",
    ),
    "anyOf": (_fits_no_branch, lambda limit: "one of the shapes of `anyOf`"),
}


def _of_members(
    value: Mapping[str, Any], schema: Mapping[str, Any], path: str
) -> Iterator[Finding]:
    parts = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            kind = _TYPES.get(parts.get(name, {}).get("type", ""))
            yield _finding(_below(path, name), "nothing", kind[0] if kind else "something")
    for name, part in parts.items():
        if name in value:
            yield from _breaches(value[name], part, _below(path, name))


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _finding(path: str, seen: str, wanted: str) -> Finding:
    return Finding(rule=SCHEMA, path=named(path or "."), seen=seen, wanted=wanted)
