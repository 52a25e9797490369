"""The single values of a result, each with its field, its path and the values beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: A result that is nested deeper is searched for down to here.
MAX_DEPTH = 50
#: Longest field name, in characters; an agent may write a page as a name.
MAX_NAME_LENGTH = 200
_WORDS = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """A single value of a result."""

    path: str
    name: str  #: its field's name, or that of the list that it is in
    value: Any  #: a text, a number or a boolean
    parent: Mapping[str, Any]  #: the mapping that holds it; {} if there is none
    is_top: bool  #: whether it is a field of the result itself

    @property
    def words(self) -> list[str]:
        """The words of its field's name, in lower case: `pricePerUnit` has three."""
        return name_words(self.name)


def name_words(name: str) -> list[str]:
    """Return the words of a field's name, in lower case."""
    return [each.casefold() for each in _WORDS.findall(_CAMEL.sub(" ", name))]


def leaves(value: Any) -> Iterator[Leaf]:
    """Give the single values of a result in their order; null and empty ones are left out."""
    stack = [iter([Leaf(path="", name="", value=value, parent={}, is_top=False)])]
    while stack:
        leaf = next(stack[-1], None)
        if leaf is None:
            stack.pop()
        elif isinstance(leaf.value, dict | list):
            if leaf.value and len(stack) <= MAX_DEPTH:
                stack.append(_inside(leaf))
        elif leaf.value is not None and leaf.value != "":
            yield leaf if leaf.path else _whole(leaf)


def _whole(leaf: Leaf) -> Leaf:
    return Leaf(path=".", name="", value=leaf.value, parent={}, is_top=False)


def _inside(leaf: Leaf) -> Iterator[Leaf]:
    if isinstance(leaf.value, dict):
        for key, part in leaf.value.items():
            name = str(key)[:MAX_NAME_LENGTH]
            path = f"{leaf.path}.{name}" if leaf.path else name
            yield Leaf(path=path, name=name, value=part, parent=leaf.value, is_top=not leaf.path)
    else:
        for index, part in enumerate(leaf.value):
            yield Leaf(
                path=f"{leaf.path}[{index}]",
                name=leaf.name,
                value=part,
                parent=leaf.parent,
                is_top=False,
            )
