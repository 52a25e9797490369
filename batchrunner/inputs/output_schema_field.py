"""The key `output_schema` of a job file: the part of JSON Schema that the API accepts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from batchrunner.inputs.field_types import (
    INVALID,
    Boolean,
    Choice,
    FieldType,
    Refused,
    WholeNumber,
    did_you_mean,
    refuse,
)
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, decimal, is_null
from batchrunner.inputs.problem_log import ProblemLog

#: Maximum size of a schema, as compact JSON in UTF-8.
MAX_SCHEMA_BYTES = 64 * 1024
#: Maximum levels of a schema; the root is the first.
MAX_SCHEMA_DEPTH = 10

_TYPES = ("object", "array", "string", "number", "integer", "boolean")
_FORMATS = ("date", "date-time", "duration", "time")

#: Keyword → the values of `type` that it applies to.
_TYPES_FOR = {
    "enum": ("string",),
    "format": ("string",),
    "items": ("array",),
    "minItems": ("array",),
    "maxItems": ("array",),
    "minimum": ("number", "integer"),
    "maximum": ("number", "integer"),
}
#: Keywords of JSON Schema that the API refuses, and what to do about them.
_INSTEAD = {
    "oneOf": "use `anyOf`",
    "allOf": "write its schemas together as one",
    "const": "use `enum` with one value",
    "$ref": "write the schema out, or use a YAML alias",
    **dict.fromkeys(("$defs", "definitions"), "write the schemas out where they are used"),
    **dict.fromkeys(
        ("title", "description", "examples", "default", "$schema", "$id", "$comment"),
        "remove it, and say it in the goal",
    ),
}


class _At(NamedTuple):
    """The position of a node in a schema."""

    path: str = "#"
    level: int = 1
    in_branch: bool = False  #: inside an anyOf, where `required` may name outer properties

    def below(self, *steps: object, branch: bool = False) -> _At:
        pointer = [str(step).replace("~", "~0").replace("/", "~1") for step in steps]
        return _At("/".join((self.path, *pointer)), self.level + 1, self.in_branch or branch)


@dataclass(frozen=True, kw_only=True)
class OutputSchema:
    """A schema for the result of a run."""

    expected: str = "a schema"

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the schema as JSON values."""
        reader = _Reader(name, log)
        schema = reader.schema(node, _At())
        if schema is INVALID:
            return INVALID
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode(errors="surrogatepass"))
        if size > MAX_SCHEMA_BYTES:
            log.add(f"{name} has {size:,} bytes as JSON; {MAX_SCHEMA_BYTES:,} are allowed", node)
            return INVALID
        return schema


class _Reader:
    """Reads one schema; *name* says which."""

    def __init__(self, name: str, log: ProblemLog) -> None:
        self._name = name
        self._log = log

    def schema(self, node: Node, at: _At) -> dict[str, Any] | Refused:
        """Return the schema that the node is."""
        if type(node) is not Pairs:
            tip = "write at least `type: string`"
            return refuse(f"{self._name} at {at.path}", "a mapping", node, self._log, tip)
        if at.level > MAX_SCHEMA_DEPTH:
            message = f"{self._name} is deeper than {MAX_SCHEMA_DEPTH} levels at {at.path}"
            self._log.add(message, node)
            return INVALID
        values = {key: self._keyword(key, *pair, at) for key, pair in node.nodes.items()}
        faults = tuple(_faults(values, node, at))
        for fault in faults:
            self._log.add(f"{fault.message} of {self._name}", fault.node, fault.tip)
        return INVALID if faults or INVALID in values.values() else values

    def _keyword(self, key: str, key_node: Scalar, value: Node, at: _At) -> Any:
        read = _KEYWORDS.get(key)
        if read is not None:
            return read(self, value, key, at)
        tip = _INSTEAD.get(key) or did_you_mean(key, tuple(_KEYWORDS)) or "remove it"
        self._log.add(f"{self._name} does not support `{key}` at {at.path}", key_node, tip)
        return INVALID

    def _called(self, key: str, at: _At) -> str:
        return f"`{key}` at {at.path} of {self._name}"

    # ---- one method per kind of keyword ----

    def typed(self, type_: FieldType, node: Node, key: str, at: _At) -> Any:
        """Return a value of one type."""
        return type_.read(node, self._called(key, at), self._log)

    def type(self, node: Node, key: str, at: _At) -> Any:
        """Return one of the types."""
        choice = Choice(words=_TYPES)
        if isinstance(node, Items):
            tip = "use `type: string` with `nullable: true`"
            return refuse(self._called(key, at), choice.expected, node, self._log, tip)
        return choice.read(node, self._called(key, at), self._log)

    def properties(self, node: Node, key: str, at: _At) -> Any:
        """Return the schemas of the properties."""
        if not isinstance(node, Pairs):
            return refuse(self._called(key, at), "a mapping", node, self._log)
        values = {
            name: self.schema(value, at.below(key, name)) for name, (_, value) in node.nodes.items()
        }
        return INVALID if INVALID in values.values() else values

    def items(self, node: Node, key: str, at: _At) -> Any:
        """Return the schema of a list's entries."""
        return self.schema(node, at.below(key))

    def branches(self, node: Node, key: str, at: _At) -> Any:
        """Return the schemas of an anyOf."""
        if not isinstance(node, Items) or not node.nodes:
            return refuse(self._called(key, at), "a list of schemas", node, self._log)
        values = [
            self.schema(branch, at.below(key, index, branch=True))
            for index, branch in enumerate(node.nodes)
        ]
        return INVALID if INVALID in values else values

    def texts(self, node: Node, key: str, at: _At) -> Any:
        """Return a list of text, each as it was written."""
        called = self._called(key, at)
        if not isinstance(node, Items):
            return refuse(called, "a list of text", node, self._log)
        values = [self._text(item, f"an entry of {called}") for item in node.nodes]
        return INVALID if INVALID in values else values

    def _text(self, node: Node, called: str) -> Any:
        if type(node) is not Scalar or is_null(node):
            return refuse(called, "text", node, self._log, "quote it if it is meant as text")
        return node.text

    def number(self, node: Node, key: str, at: _At) -> Any:
        """Return a bound, whole or not."""
        value = decimal(node)
        if value is None:
            return refuse(self._called(key, at), "a number", node, self._log)
        return value


# ---- which keywords need each other ----


class _Fault(NamedTuple):
    """A keyword that does not fit, and its node."""

    node: Node
    message: str
    tip: str | None = None


def _faults(values: Mapping[str, Any], node: Pairs, at: _At) -> Iterator[_Fault]:
    if at.level == 1:
        yield from _wrong_root(values, node)
    for key, types in _TYPES_FOR.items():
        if key in values and values.get("type") not in (*types, INVALID):
            needed = " or ".join(f"`type: {name}`" for name in types)
            yield _Fault(node.nodes[key][0], f"`{key}` at {at.path} needs {needed}")
    if "propertyOrdering" in values and "properties" not in values:
        tip = "add `properties`, or remove it"
        message = f"`propertyOrdering` at {at.path} needs `properties`"
        yield _Fault(node.nodes["propertyOrdering"][0], message, tip)
    else:
        yield from _wrong_names("propertyOrdering", values, node, at)
    if not at.in_branch:
        yield from _wrong_names("required", values, node, at)


def _wrong_root(values: Mapping[str, Any], node: Pairs) -> Iterator[_Fault]:
    key = "anyOf" if "anyOf" in values else "type"
    if "anyOf" in values or values.get("type", "object") not in ("object", INVALID):
        tip = "put it under `properties` of an object"
        yield _Fault(node.nodes[key][0], "`type: object` must be the top", tip)


def _wrong_names(key: str, values: Mapping[str, Any], node: Pairs, at: _At) -> Iterator[_Fault]:
    listed = node.nodes[key][1] if values.get(key, INVALID) is not INVALID else None
    if not isinstance(listed, Items):
        return
    properties = node.nodes.get("properties")
    known = properties[1].nodes if properties and isinstance(properties[1], Pairs) else {}
    names = values[key]
    for index, (name, entry) in enumerate(zip(names, listed.nodes, strict=True)):
        if name not in known:
            message = f"`{key}` at {at.path} names `{name}`, which is not in `properties`"
            yield _Fault(entry, message, did_you_mean(name, tuple(known)))
        elif key == "propertyOrdering" and name in names[:index]:
            yield _Fault(entry, f"`{key}` at {at.path} names `{name}` twice")


_Read = Callable[[_Reader, Node, str, _At], Any]


def _typed(type_: FieldType) -> _Read:
    """Return the reader of a keyword with a single value."""
    return lambda reader, node, key, at: reader.typed(type_, node, key, at)


_KEYWORDS: Mapping[str, _Read] = {
    "type": _Reader.type,
    "nullable": _typed(Boolean()),
    "properties": _Reader.properties,
    "required": _Reader.texts,
    "propertyOrdering": _Reader.texts,
    "items": _Reader.items,
    "minItems": _typed(WholeNumber(minimum=0)),
    "maxItems": _typed(WholeNumber(minimum=0)),
    "enum": _Reader.texts,
    "format": _typed(Choice(words=_FORMATS)),
    "minimum": _Reader.number,
    "maximum": _Reader.number,
    "anyOf": _Reader.branches,
}
