"""Parses a result's text, and lists the single values in it with their paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

#: Stands for a text that is not JSON; `null` is a value.
NOT_JSON: Final = object()
#: A result that is nested deeper, or has more values, is not judged value by value.
MAX_DEPTH = 50
MAX_NODES = 20_000
#: Longest value that a finding shows, in characters.
MAX_SHOWN_LENGTH = 80

_DECODER = json.JSONDecoder(strict=False)


class TooLarge(Exception):
    """The result is nested too deep or has too many values."""


class Leaf(NamedTuple):
    """A single value of a result, or an empty list or mapping."""

    path: str
    key: str  #: its field's name, or that of the list it is in
    value: Any


def parse_result(result: str) -> Any:
    """Return the value of a result, or NOT_JSON; text that is itself JSON is parsed too."""
    value = _decoded(result)
    if isinstance(value, str) and (value.lstrip()[:1] in ("{", "[") or value.strip() == "null"):
        inner = _decoded(value)
        return value if inner is NOT_JSON else inner
    return value


def _decoded(text: str) -> Any:
    try:
        return _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return NOT_JSON


def leaves(value: Any) -> Iterator[Leaf]:
    """
    Give the single values of a result in their order.

    Raises:
        TooLarge: The result is nested too deep or has too many values.
    """
    count = 0
    stack: list[tuple[str, str, Any, int]] = [("", "", value, 0)]
    while stack:
        path, key, current, level = stack.pop()
        count += 1
        if level > MAX_DEPTH or count > MAX_NODES:
            raise TooLarge
        if current and isinstance(current, dict | list):
            stack += reversed([(*step, level + 1) for step in _inside(path, key, current)])
        else:
            yield Leaf(path or ".", key, current)


def _inside(path: str, key: str, parent: Any) -> Iterator[tuple[str, str, Any]]:
    if isinstance(parent, dict):
        for name, part in parent.items():
            yield (f"{path}.{name}" if path else name), name, part
    else:
        for index, part in enumerate(parent):
            yield f"{path}[{index}]", key, part


def shown(value: Any) -> str:
    """Return a value as a finding shows it: short, on one line, safe for a terminal."""
    if isinstance(value, dict | list):
        return f"{'a mapping' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = value[: MAX_SHOWN_LENGTH + 1] if isinstance(value, str) else _json_text(value)
    cut = text if len(text) <= MAX_SHOWN_LENGTH else text[: MAX_SHOWN_LENGTH - 1] + "…"
    safe = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)
    return f'"{safe}"' if isinstance(value, str) else safe


def _json_text(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:  # the number has more digits than Python converts
        return "a very long number"


def named(path: str) -> str:
    """Return a path as a finding shows it; its names come from the agent, so they may be unsafe."""
    return shown(path)[1:-1] if path != "." else path
