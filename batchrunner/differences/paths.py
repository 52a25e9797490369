"""Paths to values of a result: `price`, `tags[3]`, `offers[sku=A1].price`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

WHOLE = "."
#: Longest text of a key in a path, in characters.
_MAX_KEY_LENGTH = 60
_ESCAPED = re.compile(r"[.\[\]\\=\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class KeyedElement(NamedTuple):
    """The element of a list whose field *name* has this value."""

    name: str
    value: str


#: A field of an object, an index of a list, or an element of a list found by its key.
Step: TypeAlias = str | int | KeyedElement


def path_text(steps: Iterable[Step]) -> str:
    """Return a path as people read it."""
    return "".join(_parts(steps)) or WHOLE


def below(parent: str, name: str) -> str:
    """Return the generic path of a field of an object; the root's is an empty text."""
    return f"{parent}.{escaped(name)}" if parent else escaped(name)


def escaped(name: str) -> str:
    r"""Return a field's name as paths show it: `\.` is a dot of the name."""
    # Most names are identifiers, and this check is quicker than a search.
    return name if name.isidentifier() else _ESCAPED.sub(_escape, name) or '""'


def key_text(value: Any) -> str:
    """Return the text of an element's key: 7 and "7" are the same key."""
    return value if isinstance(value, str) else json.dumps(value)


def _parts(steps: Iterable[Step]) -> Iterator[str]:
    is_first = True
    for step in steps:
        if isinstance(step, str):
            yield escaped(step) if is_first else f".{escaped(step)}"
        elif isinstance(step, int):
            yield f"[{step}]"
        else:
            text = step.value
            cut = text if len(text) <= _MAX_KEY_LENGTH else f"{text[: _MAX_KEY_LENGTH - 1]}…"
            yield f"[{escaped(step.name)}={_ESCAPED_KEY.sub(_escape, cut)}]"
        is_first = False


_ESCAPED_KEY = re.compile(r"[\[\]\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return f"\\{char}" if char in ".[]\\=" else f"\\u{ord(char):04x}"
