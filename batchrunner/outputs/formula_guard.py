"""Text → text that no spreadsheet takes for a formula, and back."""

from __future__ import annotations

import re

_TRIGGERS = "=+-@\t\r\n\0＝＋－＠"
#: What text in need of a guard begins with; most does not, and to ask that is quickest.
_SUSPECT = frozenset(_TRIGGERS + "'")
_FORMULA = re.compile(f"'*[{re.escape(_TRIGGERS)}]")
_GUARDED = re.compile(f"'+[{re.escape(_TRIGGERS)}]")
#: A number, or one with a unit as in "-2.1 °C": nothing in it that a formula could be made of.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?: ?[°%\w]+)?")


def guard(text: str) -> str:
    """
    Put a `'` before text that a spreadsheet may run as a formula.

    Numbers, with a unit or without, stay as they are. No two texts become the same: `unguard`
    undoes it.
    """
    if text[:1] not in _SUSPECT or not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def unguard(text: str) -> str:
    """Return the text that `guard` was given."""
    return text[1:] if _GUARDED.match(text) else text
