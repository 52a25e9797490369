"""Whether a result matches its job's `output_schema`, and where it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from batchrunner.judge.result_values import named, shown
from batchrunner.model import Finding

SCHEMA = "schema"
#: Deepest level of a schema that is checked; the API accepts a tenth of it.
MAX_SCHEMA_DEPTH = 100


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


#: A type → its description, and a check of a value.
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


def schema_breaches(value: Any, schema: Any, path: str = "", level: int = 1) -> Iterator[Finding]:
    """
    Give what in a result breaks its schema; properties that the schema does not name are ignored.

    The schema may come from another program: keywords outside the API's subset are ignored.
    """
    if not isinstance(schema, dict) or level > MAX_SCHEMA_DEPTH:
        return
    if value is None and schema.get("nullable") is True:
        return
    expected = _type_of(schema)
    if expected is not None and not expected[1](value):
        yield _finding(path, shown(value), expected[0])
        return
    yield from _value_breaches(value, schema, path, level)
    if isinstance(value, dict):
        yield from _member_breaches(value, schema, path, level)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from schema_breaches(one, schema.get("items"), f"{path}[{place}]", level + 1)


def _type_of(schema: Any) -> tuple[str, Callable[[Any], bool]] | None:
    """Return the type that a schema requires; None for any."""
    name = schema.get("type") if isinstance(schema, dict) else None
    return _TYPES.get(name) if isinstance(name, str) else None


def _value_breaches(
    value: Any, schema: Mapping[str, Any], path: str, level: int
) -> Iterator[Finding]:
    for keyword, limit in schema.items():
        is_valid, is_broken, wanted = _KEYWORDS.get(keyword, _UNKNOWN)
        if is_valid(limit) and is_broken(value, limit):
            yield _finding(path, shown(value), wanted(limit))
    any_of = schema.get("anyOf")
    branches = any_of if isinstance(any_of, list) else []
    misses = [any(schema_breaches(value, branch, path, level + 1)) for branch in branches]
    if misses and all(misses):
        yield _finding(path, shown(value), "one of the shapes of `anyOf`")


def _breaks_format(value: Any, format: str) -> bool:
    pattern = _FORMATS.get(format)
    return pattern is not None and isinstance(value, str) and not pattern.fullmatch(value)


def _is_list(limit: Any) -> bool:
    return isinstance(limit, list)


#: For a keyword: whether its limit is valid, whether a value breaks it, and what was wanted.
_Keyword: TypeAlias = tuple[Callable[[Any], bool], Callable[[Any, Any], bool], Callable[[Any], str]]
_UNKNOWN: _Keyword = (lambda _: False, lambda *_: False, str)
#: Keywords by name. NaN is in no range.
_KEYWORDS: Mapping[str, _Keyword] = {
    "enum": (
        _is_list,
        lambda value, limit: value not in limit,
        lambda limit: f"one of {', '.join(map(str, limit))}",
    ),
    "format": (lambda limit: isinstance(limit, str), _breaks_format, lambda limit: f"a {limit}"),
    "minimum": (
        _is_number,
        lambda value, limit: _is_number(value) and not value >= limit,
        lambda limit: f"at least {limit}",
    ),
    "maximum": (
        _is_number,
        lambda value, limit: _is_number(value) and not value <= limit,
        lambda limit: f"at most {limit}",
    ),
    "minItems": (
        _is_number,
        lambda value, limit: isinstance(value, list) and len(value) < limit,
        lambda limit: f"at least {limit} entries",
    ),
    "maxItems": (
        _is_number,
        lambda value, limit: isinstance(value, list) and len(value) > limit,
        lambda limit: f"at most {limit} entries",
    ),
}


def _member_breaches(
    value: Mapping[str, Any], schema: Mapping[str, Any], path: str, level: int
) -> Iterator[Finding]:
    properties, required = schema.get("properties"), schema.get("required")
    parts = properties if isinstance(properties, dict) else {}
    for name in required if isinstance(required, list) else ():
        if isinstance(name, str) and name not in value:
            expected = _type_of(parts.get(name))
            wanted = expected[0] if expected else "something"
            yield _finding(_below(path, name), "nothing", wanted)
    for name, part in parts.items():
        if name in value:
            yield from schema_breaches(value[name], part, _below(path, name), level + 1)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _finding(path: str, seen: str, wanted: str) -> Finding:
    return Finding(rule=SCHEMA, path=named(path or "."), seen=seen, wanted=wanted)
