"""Lists the single values of a result with their paths, and shows values in findings."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

#: A result that is nested deeper, or has more values, is not judged value by value.
MAX_DEPTH = 50
MAX_NODES = 20_000
#: Longest value that a finding shows, in characters.
MAX_SHOWN_LENGTH = 80
#: Characters of a field's name that are judged and shown; an agent may write a page as a name.
MAX_NAME_LENGTH = 200


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


def leaves(value: Any) -> Iterator[Leaf]:
    """
    Give the single values of a result, those of an object or list before those inside of them.

    Raises:
        TooLarge: The result is nested too deep or has too many values.
    """
    if not (value and isinstance(value, dict | list)):
        yield Leaf(None, "", value)
    for container in containers(value):
        yield from direct_leaves(container)


def containers(value: Any) -> Iterator[Leaf]:
    """
    Give the objects and lists of a result that are not empty, the outer ones first.

    Raises:
        TooLarge: The result is nested too deep or has too many values.
    """
    count, stack = 0, [iter((Leaf(None, "", value),) if _is_container(value) else ())]
    while stack:
        leaf = next(stack[-1], None)
        if leaf is None:
            stack.pop()
            continue
        count += len(leaf.value)
        if len(stack) > MAX_DEPTH or count > MAX_NODES:
            raise TooLarge
        yield leaf
        if any(map(_is_container, parts_of(leaf.value))):
            stack.append(each for each in _inside(leaf) if _is_container(each.value))


def direct_leaves(container: Leaf) -> Iterator[Leaf]:
    """Give the single values that are directly in an object or list."""
    return (leaf for leaf in _inside(container) if not _is_container(leaf.value))


def parts_of(value: dict[str, Any] | list[Any]) -> Collection[Any]:
    """Return what is directly in an object or list."""
    return value.values() if isinstance(value, dict) else value


def _is_container(value: Any) -> bool:
    return type(value) in (dict, list) and bool(value)


def _inside(parent: Leaf) -> Iterator[Leaf]:
    value, step, key = parent.value, parent.step, parent.key
    if isinstance(value, dict):
        for name, part in value.items():
            short = name[:MAX_NAME_LENGTH]
            yield Leaf(PathStep(step, short), short, part)
    else:
        for index, part in enumerate(value):
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
