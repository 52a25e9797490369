"""Guards text against spreadsheets that would run it as a formula, and undoes that."""

from __future__ import annotations

import re
from collections.abc import Callable

_TRIGGERS = "=+-@\t\r\n\0＝＋－＠"
#: First characters of text that may need a guard; the quickest check, as most text does not.
_SUSPECT = frozenset(_TRIGGERS + "'")
_FORMULA = re.compile(f"'*[{re.escape(_TRIGGERS)}]")
_GUARDED = re.compile(f"'+[{re.escape(_TRIGGERS)}]")
#: A number, with a unit or without, as in "-2.1 °C": it cannot be a formula.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?: ?[°%\w]+)?")
#: Where a spreadsheet begins a new cell inside of ours: Excel splits by the list separator of its
#: language, and does not see our quotes then.
_SEPARATOR = re.compile(r"([;\t\r\n])")
#: A part that is a formula there, also behind quotes and spaces.
_INNER_FORMULA = re.compile("['\"]*[+\\-＋－]|['\" \xa0]*[=@＝＠]")
#: An entry of a list, or a rule, as people and agents write them: no formula.
_INNER_TEXT = re.compile(r"[-+]+(?:[ \xa0][^=(|!]*)?")


def guard(text: str) -> str:
    """
    Put a `'` before text that a spreadsheet may run as a formula.

    Inside of text it is put behind a `;`, a tab or a line end, where some spreadsheets begin a new
    cell. Numbers, with a unit or without, and entries of lists stay as they are. Different texts
    stay different, so `unguard` can undo it.
    """
    if not text.isalnum() and _SEPARATOR.search(text):
        text = _each_part(text, _guarded_part)
    if text[:1] not in _SUSPECT or not _FORMULA.match(text) or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def unguard(text: str) -> str:
    """Return the text that `guard` was given."""
    return _each_part(text[1:] if _GUARDED.match(text) else text, _unguarded_part)


def _each_part(text: str, change: Callable[[str], str]) -> str:
    """Change each part behind a separator; return the very text where nothing changes."""
    first, *rest = _SEPARATOR.split(text)
    changed = [part if index % 2 == 0 else change(part) for index, part in enumerate(rest)]
    return text if changed == rest else "".join([first, *changed])


def _guarded_part(part: str) -> str:
    return f"'{part}" if _is_inner_formula(part) else part


def _unguarded_part(part: str) -> str:
    # What is guarded is a formula still, with one more quote, so that no two texts become one.
    return part[1:] if part.startswith("'") and _is_inner_formula(part[1:]) else part


def _is_inner_formula(part: str) -> bool:
    return bool(_INNER_FORMULA.match(part)) and not (
        _NUMBER.fullmatch(part) or _INNER_TEXT.fullmatch(part)
    )
