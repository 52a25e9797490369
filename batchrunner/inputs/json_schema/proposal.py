"""What people write in the place of a schema → the schema that they mean."""

from __future__ import annotations

import json
import re
from typing import Any

from batchrunner.inputs.field_types import did_you_mean
from batchrunner.inputs.json_schema.keywords import APPLICATORS, DEFINITIONS, KNOWN, TYPES
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, boolean, decimal, is_null

_WORDS = {
    **dict.fromkeys(("string", "str", "text", "varchar", "char", "url", "uri", "email"), "string"),
    **dict.fromkeys(("number", "num", "float", "double", "decimal", "numeric"), "number"),
    **dict.fromkeys(("price", "money", "currency"), "number"),
    **dict.fromkeys(("integer", "int", "long", "bigint", "count"), "integer"),
    **dict.fromkeys(("boolean", "bool", "flag", "true/false", "yes/no"), "boolean"),
    **dict.fromkeys(("array", "list"), "array"),
    **dict.fromkeys(("object", "dict", "map", "mapping"), "object"),
    **dict.fromkeys(("date",), "date"),
    **dict.fromkeys(("datetime", "date-time", "timestamp"), "date-time"),
    "time": "time",
    "duration": "duration",
}
_FORMATS = ("date", "date-time", "time", "duration")
#: `string[]`, `list[string]`, `array of strings`.
_LIST = re.compile(r"(?:(?P<first>[\w-]+)\[\]|(?:list|array)(?:\[| of |<)(?P<second>[\w-]+)[\]>]?)")
#: `string?`, `string | null`, `string or null`, `optional string`.
_OPTIONAL = re.compile(
    r"(?P<first>.+?)(?:\?| ?\| ?null| ?\| ?none| or null)|optional[ \[](?P<second>[^\]]+)\]?"
)
_NAMES = re.compile(r"[A-Za-z_][\w]*(?:\s*,\s*[A-Za-z_][\w]*)+")
#: Keywords that only a schema has; others are also common names of fields.
_CERTAIN = {*APPLICATORS, *DEFINITIONS, "properties", "$schema", "enum", "const", "required"}
_MAX_DEPTH = 6


def proposal(node: Node) -> str | None:
    """Return a schema for what is no schema but a list of fields, as JSON; None if it is one."""
    schema = _proposed(node)
    return None if schema is None else json.dumps(schema, ensure_ascii=False)


def _proposed(node: Node) -> dict[str, Any] | None:
    if isinstance(node, Pairs):
        return _object(_without_type(node), 1) if _lists_fields(node) else None
    if isinstance(node, Items) and node.nodes:
        first = node.nodes[0]
        if isinstance(first, Pairs):
            return _root({"items": {"type": "array", "items": _meant(first, 2)}})
        names = [each.text for each in node.nodes if isinstance(each, Scalar)]
        return _root({name: {"type": "string"} for name in names})
    if isinstance(node, Scalar) and _NAMES.fullmatch(node.text.strip()):
        return _root({name.strip(): {"type": "string"} for name in node.text.split(",")})
    return None


def _lists_fields(node: Pairs) -> bool:
    """Return whether the keys of a mapping are names of fields, not keywords."""
    if not node.nodes or node.nodes.keys() & _CERTAIN:
        return False
    unknown = [key for key in node.nodes if key not in KNOWN and not key.startswith("x-")]
    if any(_is_slip(key, node) for key in unknown):
        return False
    return bool(unknown) or any(
        key not in ("type", "format", "nullable") and _is_type(value)
        for key, (_, value) in node.nodes.items()
    )


def _is_slip(key: str, node: Pairs) -> bool:
    """Return whether a key is a keyword with a typing error, such as `propertys`."""
    close = did_you_mean(key, tuple(sorted(KNOWN))) or ""
    value = node.nodes[key][1]
    return (close == "did you mean `properties`?" and isinstance(value, Pairs)) or (
        bool(close) and _word(node, "type") in TYPES
    )


def _word(node: Pairs, key: str) -> str | None:
    value = node.nodes.get(key, (None, None))[1]
    return value.text if isinstance(value, Scalar) else None


def _is_type(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text.strip().lower() in _WORDS


def _without_type(node: Pairs) -> Pairs:
    if _word(node, "type") != "object":
        return node
    return node._replace(nodes={key: pair for key, pair in node.nodes.items() if key != "type"})


def _root(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _object(node: Pairs, level: int) -> dict[str, Any]:
    properties = {
        key.rstrip("?"): _meant(value, level + 1) for key, (_, value) in node.nodes.items()
    }
    required = [key for key in node.nodes if not key.endswith("?")]
    whole: dict[str, Any] = {"type": "object", "properties": properties}
    return {**whole, "required": required} if required else whole


def meant(node: Node) -> dict[str, Any]:
    """Return the schema that a value in the place of one stands for: a word, or an example."""
    return _meant(node, 2)


def _meant(node: Node, level: int) -> dict[str, Any]:
    if isinstance(node, Scalar):
        return _of_text(node)
    if level > _MAX_DEPTH:
        return {}
    if isinstance(node, Items):
        return {
            "type": "array",
            **({"items": _meant(node.nodes[0], level + 1)} if node.nodes else {}),
        }
    if not node.nodes or _lists_fields(node):
        return _object(_without_type(node), level)
    plain = _plain(node)
    return plain if isinstance(plain, dict) else {}


def _plain(node: Node) -> Any:
    if isinstance(node, Pairs):
        return {key: _plain(value) for key, (_, value) in node.nodes.items()}
    if isinstance(node, Items):
        return [_plain(each) for each in node.nodes]
    number, truth = decimal(node), boolean(node)
    if is_null(node) or (truth is not None and node.text.lower() in ("true", "false")):
        return truth
    return node.text if number is None else number


def _of_text(node: Scalar) -> dict[str, Any]:
    text = node.text.strip().lower()
    if is_null(node):
        return {"type": "string", "nullable": True}
    if optional := _OPTIONAL.fullmatch(text):
        inner = optional["first"] or optional["second"]
        return {**_of_word(inner), "nullable": True}
    if node.plain and boolean(node) is not None:
        return {"type": "boolean"}
    number = decimal(node)
    if number is not None:
        return {"type": "number"}
    return _of_word(text)


def _of_word(text: str) -> dict[str, Any]:
    if listed := _LIST.fullmatch(text):
        return {"type": "array", "items": _of_word(listed["first"] or listed["second"])}
    word = _WORDS.get(text) or _WORDS.get(text.removesuffix("s")) or "string"
    return {"type": "string", "format": word} if word in _FORMATS else {"type": word}
