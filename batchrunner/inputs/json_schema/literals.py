"""Values that `enum` and `const` list → schemas of the API, whose `enum` takes only text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from batchrunner.inputs.json_schema.joining import NULL, Shape, items, scalar, typed, unite
from batchrunner.inputs.json_schema.keywords import NULL as NULL_TYPE
from batchrunner.inputs.nodes import Node, Pairs, Scalar, decimal, is_null

_BOOLEANS = {word: value for value in (True, False) for word in (str(value), str(value).lower())}


#: A number with more digits than a bound may have.
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
_LONG = "a long number"


class Literals(NamedTuple):
    """The schema of listed values, and whether it fits other values, too."""

    shape: Shape
    is_wider: bool


def literals(listed: Iterable[Node], types: tuple[str, ...], like: Node) -> Literals:
    """Return the schema of those listed values that have one of the types; empty: of all."""
    by_type: dict[str, list[Node]] = {}
    for node in listed:
        by_type.setdefault(_type_of(node, types), []).append(node)
    allowed = {*types, *(("integer", _LONG) if {"integer", "number"} & set(types) else ())}
    kept = {name: nodes for name, nodes in by_type.items() if not types or name in allowed}
    shapes: list[Shape] = []
    is_wider = False
    for name, nodes in kept.items():
        if name in ("integer", "number"):
            shapes += _numbers(name, nodes)
        elif name == "string":
            words = [scalar(node.text, node) for node in nodes if isinstance(node, Scalar)]
            shapes.append(typed("string", nodes[0], enum=items(words, nodes[0])))
        elif name == _LONG:
            shapes.append(typed("number", nodes[0]))
            is_wider = True
        else:
            shapes.append(NULL if name == NULL_TYPE else typed(name, nodes[0]))
            is_wider |= name in ("object", "array") or (name == "boolean" and len(nodes) == 1)
    return Literals(unite(shapes, like), is_wider)


def _type_of(node: Node, types: tuple[str, ...]) -> str:
    if not isinstance(node, Scalar):
        return "object" if isinstance(node, Pairs) else "array"
    if not node.plain:
        return "string"
    if is_null(node):
        return NULL_TYPE
    if node.text in _BOOLEANS:
        return "boolean"
    if types and not set(types) & {"integer", "number"}:
        return "string"
    number = decimal(node)
    if number is None:
        return _LONG if _NUMBER.fullmatch(node.text) else "string"
    return "integer" if number % 1 == 0 else "number"


def _numbers(name: str, nodes: list[Node]) -> Iterator[Shape]:
    """Give ranges that have exactly these numbers: whole numbers in a row share one."""
    numbers = sorted({value for node in nodes if (value := decimal(node)) is not None})
    first = last = None
    for number in numbers:
        if first is not None and name == "integer" and last is not None and number == last + 1:
            last = number
            continue
        if first is not None and last is not None:
            yield _range(name, first, last, nodes[0])
        first = last = number
    if first is not None and last is not None:
        yield _range(name, first, last, nodes[0])


def _range(name: str, first: float, last: float, like: Node) -> Node:
    return typed(name, like, minimum=scalar(first, like), maximum=scalar(last, like))
