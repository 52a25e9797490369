"""YAML as nodes that keep the text as it was written, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from batchrunner.inputs.problem_log import Position

# Named tuples and no frozen dataclasses: a large file makes half a million of these, and they are
# made three times as fast.


class Scalar(NamedTuple):
    """One text, whatever YAML 1.1 would make of it."""

    start: Position
    end: Position
    text: str
    plain: bool  #: neither quoted, nor a block, nor tagged: may be a number, a boolean or null


class Items(NamedTuple):
    """A list."""

    start: Position
    end: Position
    nodes: tuple[Node, ...]


class Pairs(NamedTuple):
    """A mapping, its merge keys followed."""

    start: Position
    end: Position
    nodes: Mapping[str, tuple[Scalar, Node]]


Node = Scalar | Items | Pairs

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    spelling: value
    for value, words in {True: ("true", "yes", "on"), False: ("false", "no", "off")}.items()
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}
#: As many digits as any limit here has, and as a double can hold.
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,14})", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?")


def is_null(node: Node) -> bool:
    """Say whether the node is `null`, `~` or nothing at all."""
    return type(node) is Scalar and node.plain and node.text in _NULLS


def boolean(node: Node) -> bool | None:
    """Return what the node says where a boolean is expected, as YAML 1.1 reads it."""
    return _BOOLEANS.get(node.text) if type(node) is Scalar and node.plain else None


def whole(node: Node) -> int | None:
    """Return the whole number in decimal digits that the node is; `012` and `0x1f` are none."""
    if type(node) is Scalar and node.plain and _WHOLE.fullmatch(node.text):
        return int(node.text)
    return None


def decimal(node: Node) -> int | float | None:
    """Return the number that the node is, whole where it is written so."""
    if type(node) is Scalar and node.plain and _DECIMAL.fullmatch(node.text):
        return int(node.text) if _WHOLE.fullmatch(node.text) else float(node.text)
    return None


def describe(node: Node) -> str:
    """Return what the node is, as it can end the sentence 'it must be …, not …'."""
    if type(node) is Scalar:
        return _describe_text(node)
    return "a list" if type(node) is Items else "a mapping"


def _describe_text(node: Scalar) -> str:
    if is_null(node):
        return "nothing"
    text = node.text if len(node.text) <= 40 else node.text[:39] + "…"
    return f"`{text}`" if node.plain else f'the text "{text}"'
