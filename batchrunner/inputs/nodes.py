"""Nodes of YAML, which keep the text as it was written and its position."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from batchrunner.inputs.problem_log import Position

# Named tuples, as a large file has half a million nodes: creating a frozen dataclass takes three
# times as long.


class Scalar(NamedTuple):
    """A single value as text, whatever its type is in YAML 1.1."""

    start: Position
    end: Position
    text: str
    plain: bool  #: not quoted, no block and no tag: may be a number, a boolean or null


class Items(NamedTuple):
    """A list."""

    start: Position
    end: Position
    nodes: tuple[Node, ...]


class Pairs(NamedTuple):
    """A mapping, with its merge keys resolved."""

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
#: As many digits as a double holds exactly, and more than any limit has.
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,14})", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?")


def is_null(node: Node) -> bool:
    """Return whether the node is `null`, `~` or empty."""
    return type(node) is Scalar and node.plain and node.text in _NULLS


def boolean(node: Node) -> bool | None:
    """Return the boolean of YAML 1.1 that the node is, else None."""
    return _BOOLEANS.get(node.text) if type(node) is Scalar and node.plain else None


def whole(node: Node) -> int | None:
    """Return the whole number in decimal digits that the node is; not for `012` and `0x1f`."""
    if type(node) is Scalar and node.plain and _WHOLE.fullmatch(node.text):
        return int(node.text)
    return None


def decimal(node: Node) -> int | float | None:
    """Return the number that the node is: an int if it is written as one."""
    if type(node) is Scalar and node.plain and _DECIMAL.fullmatch(node.text):
        return int(node.text) if _WHOLE.fullmatch(node.text) else float(node.text)
    return None


def describe(node: Node) -> str:
    """Describe the node, as the end of the sentence 'it must be …, not …'."""
    if type(node) is Scalar:
        return _describe_text(node)
    return "a list" if type(node) is Items else "a mapping"


def _describe_text(node: Scalar) -> str:
    if is_null(node):
        return "nothing"
    text = node.text if len(node.text) <= 40 else node.text[:39] + "…"
    return f"`{text}`" if node.plain else f'the text "{text}"'
