"""Parses a result's text, and lists the single values in it with their paths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from batchrunner.text.json_size import is_parsable

#: Stands for a text that is not JSON; `null` is a value.
NOT_JSON: Final = object()
#: Stands for a text whose value would take too much memory.
SET_ASIDE: Final = object()
#: A result that is nested deeper, or has more values, is not judged value by value.
MAX_DEPTH = 50
MAX_NODES = 20_000
#: Longest value that a finding shows, in characters.
MAX_SHOWN_LENGTH = 80
#: Characters of a field's name that are judged and shown; an agent may write a page as a name.
MAX_NAME_LENGTH = 200

_DECODER = json.JSONDecoder(strict=False)


class TooLarge(Exception):
    """The result is nested too deep or has too many values."""


class PathStep(NamedTuple):
    """One step of the path to a value: from the value around it, by a name or an index."""

    before: PathStep | None
    to: str | int


class Leaf(NamedTuple):
    """A single value of a result, or an empty list or mapping."""

    step: PathStep | None  #: the last step of its path; None if it is the whole result
    key: str  #: its field's name, or that of the list it is in; the start of a long name
    value: Any

    @property
    def path(self) -> str:
        """Return its path as text: made when it is shown, as a result may have many values."""
        step, parts = self.step, list[str]()
        while step is not None:
            parts.append(f"[{step.to}]" if isinstance(step.to, int) else f".{step.to}")
            step = step.before
        return "".join(reversed(parts)).removeprefix(".") or "."

    @property
    def is_top_field(self) -> bool:
        """Whether it is a field of the result itself."""
        step = self.step
        return step is not None and step.before is None and isinstance(step.to, str)


def parse_result(result: str) -> Any:
    """
    Return the value of a result, NOT_JSON or SET_ASIDE; text that is itself JSON is parsed too.
    """
    value = _decoded(result)
    if isinstance(value, str) and (value.lstrip()[:1] in ("{", "[") or value.strip() == "null"):
        inner = _decoded(value)
        return value if inner is NOT_JSON else inner
    return value


def _decoded(text: str) -> Any:
    if not is_parsable(text):
        return SET_ASIDE
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
    if not (value and isinstance(value, dict | list)):
        yield Leaf(None, "", value)
        return
    count = 1
    stack = [_inside(None, "", value)]
    while stack:
        leaf = next(stack[-1], None)
        if leaf is None:
            stack.pop()
            continue
        count += 1
        if len(stack) > MAX_DEPTH or count > MAX_NODES:
            raise TooLarge
        if leaf.value and isinstance(leaf.value, dict | list):
            stack.append(_inside(leaf.step, leaf.key, leaf.value))
        else:
            yield leaf


def _inside(step: PathStep | None, key: str, parent: Any) -> Iterator[Leaf]:
    if isinstance(parent, dict):
        for name, part in parent.items():
            short = name[:MAX_NAME_LENGTH]
            yield Leaf(PathStep(step, short), short, part)
    else:
        for index, part in enumerate(parent):
            yield Leaf(PathStep(step, index), key, part)


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
