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
from batchrunner.inputs.json_schema.changes import Changes
from batchrunner.inputs.json_schema.joining import value_of
from batchrunner.inputs.json_schema.keywords import FORMATS, KNOWN, RULES, TYPES, TYPES_FOR
from batchrunner.inputs.json_schema.proposal import meant, proposal
from batchrunner.inputs.json_schema.rewriting import Rewriter, TooLarge
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar, decimal, is_null
from batchrunner.inputs.problem_log import ProblemLog

#: Maximum size of a schema, as compact JSON in UTF-8.
MAX_SCHEMA_BYTES = 64 * 1024
#: Maximum levels of a schema; the root is the first.
MAX_SCHEMA_DEPTH = 10

#: Keywords of JSON Schema that the API refuses, and what to do about them.
_INSTEAD = {
    "$ref": "name a schema under `$defs`",
    "allOf": "write its schemas together as one",
    "oneOf": "use `anyOf`",
    "const": "use `enum` with one value",
    **dict.fromkeys(("$dynamicRef", "$recursiveRef"), "write the schema out where it is used"),
    **dict.fromkeys(RULES, "remove it; `expect` can check results"),
    **dict.fromkeys(
        ("dependentRequired", "dependentSchemas"), "remove it; `expect` can check results"
    ),
}


#: Every keyword that may be meant by a misspelt one.
_NAMES = tuple(sorted(KNOWN))


class _At(NamedTuple):
    """The position of a node in a schema."""

    path: str = "#"
    level: int = 1
    in_branch: bool = False  #: a branch of an anyOf, where `required` may name outer properties

    def below(self, *steps: object, branch: bool = False) -> _At:
        pointer = [str(step).replace("~", "~0").replace("/", "~1") for step in steps]
        return _At("/".join((self.path, *pointer)), self.level + 1, branch)


@dataclass(frozen=True, kw_only=True)
class OutputSchema:
    """A schema for the result of a run."""

    expected: str = "a schema"

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the schema as the API takes it, and note what had to be changed."""
        file = value_of(node, "from") if isinstance(node, Pairs) and len(node.nodes) == 1 else None
        if not isinstance(file, Scalar):
            return _read(node, name, log)
        included = log.included(file.text, file)
        if included is None or included.root is None:
            return INVALID
        if included.value is None:
            included.value = _read(included.root, "`output_schema`", included.log)
        value: dict[str, Any] | Refused = included.value
        return value


def _read(node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
    if shown := proposal(node):
        log.add(f"{name} lists fields, and is no JSON Schema", node, f"write {shown}")
        return INVALID
    trial = log.trial()
    schema = _Reader(name, trial if isinstance(node, Pairs) else log).schema(node, _At())
    if trial.problems() and isinstance(node, Pairs):
        return _rewritten(node, name, log)
    return schema if schema is not INVALID and _is_small(schema, node, name, log) else INVALID


def _rewritten(node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
    """Return a schema that is not in the API's part of JSON Schema, rewritten to it."""
    changes = Changes()
    rewriter = Rewriter(node, name, log, changes)
    try:
        rewritten = rewriter.rewritten()
    except TooLarge:
        return INVALID
    schema = _Reader(name, log).schema(rewritten, _At())
    if rewriter.has_failed or schema is INVALID or not _is_small(schema, node, name, log):
        return INVALID
    for line in changes.lines():
        log.warn_odd("`output_schema`", line, "", node)
    return schema


def _is_small(schema: Any, node: Node, name: str, log: ProblemLog) -> bool:
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_SCHEMA_BYTES:
        log.add(f"{name} has {size:,} bytes as JSON; {MAX_SCHEMA_BYTES:,} are allowed", node)
    return size <= MAX_SCHEMA_BYTES


def _for_other_text(node: Node) -> str:
    """Return a tip for what stands in the place of a whole schema."""
    text = node.text.strip() if isinstance(node, Scalar) else ""
    if text.startswith("{"):
        return "remove the quotes around it"
    if text.lower().endswith((".json", ".yaml", ".yml")):
        return f"write {json.dumps({'from': text})}"
    return 'write {"type": "object", "properties": {"name": {"type": "string"}}}'


class _Reader:
    """Reads one schema; *name* says which."""

    def __init__(self, name: str, log: ProblemLog) -> None:
        self._name = name
        self._log = log

    def schema(self, node: Node, at: _At) -> dict[str, Any] | Refused:
        """Return the schema that the node is."""
        if type(node) is not Pairs:
            tip = _for_other_text(node) if at.level == 1 else f"write {json.dumps(meant(node))}"
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
        tip = _INSTEAD.get(key) or did_you_mean(key, _NAMES) or "remove it"
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
        choice = Choice(words=TYPES)
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
    for key, types in TYPES_FOR.items():
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
        tip = 'wrap it: {"type": "object", "properties": {"items": …}}'
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
    "format": _typed(Choice(words=FORMATS)),
    "minimum": _Reader.number,
    "maximum": _Reader.number,
    "anyOf": _Reader.branches,
}
