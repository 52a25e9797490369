"""Checks an output_schema against the subset of JSON Schema that the API accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_MAX_BYTES = 64 * 1024
_MAX_LEVELS = 10
_TYPES = ("object", "array", "string", "number", "integer", "boolean")
_FORMATS = ("date", "date-time", "duration", "time")

#: Keywords that are allowed only with certain types.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "enum": ("string",),
    "format": ("string",),
    "items": ("array",),
    "minItems": ("array",),
    "maxItems": ("array",),
    "minimum": ("number", "integer"),
    "maximum": ("number", "integer"),
}
_INSTEAD = {"oneOf": ' Use "anyOf" instead.', "const": ' Use "enum" instead.'}


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _count(value: Any) -> bool:
    return _number(value) and value >= 0 and value % 1 == 0


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(*values: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in values


#: Every keyword, the check of its value, and the words for a wrong value.
_KEYWORDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_one_of(*_TYPES), "one of " + ", ".join(_TYPES)),
    "nullable": (lambda value: isinstance(value, bool), "a boolean"),
    "properties": (lambda value: isinstance(value, dict), "an object"),
    "required": (_strings, "an array of strings"),
    "propertyOrdering": (
        lambda value: _strings(value) and len(set(value)) == len(value),
        "an array of unique strings",
    ),
    "items": (lambda value: isinstance(value, dict), "a schema"),
    "minItems": (_count, "a whole number"),
    "maxItems": (_count, "a whole number"),
    "enum": (_strings, "an array of strings"),
    "format": (_one_of(*_FORMATS), "one of " + ", ".join(_FORMATS)),
    "minimum": (_number, "a number"),
    "maximum": (_number, "a number"),
    "anyOf": (lambda value: isinstance(value, list), "an array of schemas"),
}


def complaint(schema: Mapping[str, Any]) -> str | None:
    """Return why the API refuses an output_schema; None if it accepts it."""
    if len(json.dumps(schema, ensure_ascii=False).encode("utf-8", "surrogatepass")) > _MAX_BYTES:
        return "output_schema exceeds the maximum size of 64 KB."
    return next(_of_top(schema), None)


def _of_top(schema: Mapping[str, Any]) -> Iterator[str]:
    if "anyOf" in schema:
        yield (
            'output_schema top-level "anyOf" is not supported at #. '
            'Top-level schema must declare "type": "object".'
        )
    if schema.get("type", "object") != "object":
        yield 'output_schema top-level "type" must be "object" at #.'
    yield from _of_node(schema, "#", level=1)


def _of_node(node: Any, at: str, *, level: int, branch: bool = False) -> Iterator[str]:
    if level > _MAX_LEVELS:
        yield f"output_schema exceeds the maximum nesting depth of {_MAX_LEVELS}."
        return
    if not isinstance(node, dict):
        yield f"output_schema node must be an object at {at}."
        return
    for keyword, value in node.items():
        yield from _of_keyword(node, keyword, value, at)
    yield from _of_names(node, at, branch=branch)
    for name, child in node.get("properties", {}).items():
        yield from _of_node(child, f"{at}/properties/{name}", level=level + 1)
    if "items" in node:
        yield from _of_node(node["items"], f"{at}/items", level=level + 1)
    for index, child in enumerate(node.get("anyOf", ())):
        yield from _of_node(child, f"{at}/anyOf/{index}", level=level + 1, branch=True)


def _of_keyword(node: Mapping[str, Any], keyword: str, value: Any, at: str) -> Iterator[str]:
    if keyword not in _KEYWORDS:
        instead = _INSTEAD.get(keyword, "")
        yield f'output_schema field "{keyword}" is not supported at {at}.{instead}'
        return
    if keyword == "type" and isinstance(value, list):
        named = next((each for each in value if each in _TYPES), "string")
        yield (
            f"output_schema type arrays are not supported at {at}. "
            f"Use 'type: \"{named}\", nullable: true' instead."
        )
        return
    fits, words = _KEYWORDS[keyword]
    if not fits(value):
        yield f'output_schema field "{keyword}" must be {words} at {at}.'
    types = _NEEDS.get(keyword)
    if types is not None and node.get("type") not in types:
        named = " or ".join(f'"{each}"' for each in types)
        yield f'output_schema field "{keyword}" requires type {named} at {at}.'


def _of_names(node: Mapping[str, Any], at: str, *, branch: bool) -> Iterator[str]:
    if "propertyOrdering" in node and "properties" not in node:
        yield f'output_schema field "propertyOrdering" requires "properties" at {at}.'
    for keyword in ("required", "propertyOrdering"):
        if keyword == "required" and branch:
            continue
        for name in node.get(keyword, ()):
            if name not in node.get("properties", {}):
                yield f'output_schema field "{keyword}" names unknown property "{name}" at {at}.'
