"""Splits names and sentences into comparable word stems."""

from __future__ import annotations

import re

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]+")
#: Shorter words, such as `for` or the units in a table's header, mean nothing here.
_MIN_LENGTH = 3
_COMMON = frozenset(("the", "and", "for", "its", "their", "with", "from", "per", "this", "that"))


def stems_of(text: str) -> list[str]:
    """Return the stems of a name (`monthlyPrice`, `plan_name`, `Area (km²)`) or a sentence."""
    parts = (word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text)))
    return [_stem(word) for word in parts if len(word) >= _MIN_LENGTH and word not in _COMMON]


def snake(text: str) -> str:
    """Return a label as a key: `First ascent` → `first_ascent`."""
    return "_".join(word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text)))


def _stem(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 3:
        return word[:-1]
    return word
