"""Guards text against spreadsheets that would run it as a formula, and undoes that."""

from __future__ import annotations

import re

_TRIGGERS = "=+-@\t\r\n\0＝＋－＠"
#: First characters of text that may need a guard; the quickest check, as most text does not.
_SUSPECT = frozenset(_TRIGGERS + "'")
_FORMULA = re.compile(f"'*[{re.escape(_TRIGGERS)}]")
_GUARDED = re.compile(f"'+[{re.escape(_TRIGGERS)}]")
#: A number, with a unit or without, as in "-2.1 °C": it cannot be a formula.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?: ?[°%\w]+)?")


def guard(text: str) -> str:
    """
    Put a `'` before text that a spreadsheet may run as a formula.

    Numbers, with a unit or without, stay as they are. Different texts stay different, so `unguard`
    can undo it.
    """
    if text[:1] not in _SUSPECT or not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def unguard(text: str) -> str:
    """Return the text that `guard` was given."""
    return text[1:] if _GUARDED.match(text) else text
