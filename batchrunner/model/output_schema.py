"""What an `output_schema` asks for, without all that two spellings of it may differ in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
#: Keyword → the value that is the same as none.
_SAYS_NOTHING = {"nullable": False, "minItems": 0, "required": [], "properties": {}}


def plain_schema(schema: Any) -> Any:
    """
    Return a schema that two schemas share if they accept the same results by definition.

    The order of keys and of names, and keywords that exclude nothing, make no difference.
    """
    return _plain_text(_canonical(schema))


@lru_cache(maxsize=256)  # all jobs of a batch may have the same one
def _plain_text(text: str) -> Any:
    return _plain(json.loads(text))


def _plain(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    found = {key: _value(key, value) for key, value in schema.items()}
    for key, nothing in _SAYS_NOTHING.items():
        needed = key == "properties" and "propertyOrdering" in found
        if found.get(key) == nothing and not needed:
            del found[key]
    if isinstance(found.get("anyOf"), list):
        return _union(found)
    return found


def _value(key: str, value: Any) -> Any:
    match key, value:
        case "properties", dict():
            return {name: _plain(each) for name, each in value.items()}
        case "items", _:
            return _plain(value)
        case "anyOf", list():
            return [_plain(each) for each in value]
        case (("required" | "enum"), list()):
            return sorted(set(map(str, value)))
        case _, float() if value.is_integer():
            return int(value)
        case _:
            return value


def _union(schema: dict[str, Any]) -> Any:
    """Return a union with its branches in one order, each once; null is said of the whole."""
    branches = [dict(each) for each in schema["anyOf"] if isinstance(each, Mapping)]
    has_null = [each.pop("nullable", False) for each in branches]
    distinct = {_canonical(each): each for each in branches}
    others = {key: value for key, value in schema.items() if key != "anyOf"}
    if any(has_null) and "type" not in others:
        others["nullable"] = True
    if len(distinct) == 1 and not others.keys() - {"nullable"}:
        return {**next(iter(distinct.values())), **others}
    return {**others, "anyOf": [distinct[key] for key in sorted(distinct)]}
