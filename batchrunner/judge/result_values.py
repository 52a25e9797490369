"""A result's text → its value, and the single values in it with where they stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

#: What a text is that is no JSON; a value of its own, because `null` is one.
UNREADABLE: Final = object()
#: A result that is nested deeper, or holds more, is not looked at value by value.
MAX_DEPTH = 50
MAX_NODES = 20_000
#: Characters of a value that evidence shows.
MAX_SHOWN_LENGTH = 80

_DECODER = json.JSONDecoder(strict=False)


class TooLarge(Exception):
    """The result is nested too deep, or holds too much."""


class Leaf(NamedTuple):
    """A single value of a result, or a list or mapping in which nothing is."""

    path: str
    key: str  #: the name it has, or that of the list that it is in
    value: Any


def parse_result(result: str) -> Any:
    """Return the value of a result, looking into text that is itself JSON; or UNREADABLE."""
    value = _decoded(result)
    if isinstance(value, str) and (value.lstrip()[:1] in ("{", "[") or value.strip() == "null"):
        inner = _decoded(value)
        return value if inner is UNREADABLE else inner
    return value


def _decoded(text: str) -> Any:
    try:
        return _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return UNREADABLE


def leaves(value: Any) -> Iterator[Leaf]:
    """Give the single values of a result in their order; raises TooMuch at a limit."""
    count = 0
    stack: list[tuple[str, str, Any, int]] = [("", "", value, 0)]
    while stack:
        path, key, one, level = stack.pop()
        count += 1
        if level > MAX_DEPTH or count > MAX_NODES:
            raise TooLarge
        if one and isinstance(one, dict | list):
            stack += reversed([(*step, level + 1) for step in _inside(path, key, one)])
        else:
            yield Leaf(path or ".", key, one)


def _inside(path: str, key: str, one: Any) -> Iterator[tuple[str, str, Any]]:
    if isinstance(one, dict):
        for name, part in one.items():
            yield (f"{path}.{name}" if path else name), name, part
    else:
        for place, part in enumerate(one):
            yield f"{path}[{place}]", key, part


def shown(value: Any) -> str:
    """Return a value as evidence shows it: short, on one line, without what a terminal obeys."""
    if isinstance(value, dict | list):
        return f"{'a mapping' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = value[: MAX_SHOWN_LENGTH + 1] if isinstance(value, str) else _written(value)
    cut = text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 1] + "…"
    safe = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)
    return f'"{safe}"' if isinstance(value, str) else safe


def _written(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:  # a number of more digits than Python writes
        return "a very long number"


def named(path: str) -> str:
    """Return a path as evidence shows it; its names are what an agent chose to write."""
    return shown(path)[1:-1] if path != "." else path
