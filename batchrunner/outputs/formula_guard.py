"""Guards text against spreadsheets that would execute it, and undoes that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

#: Full-width signs count as the usual ones.
_SIGNS = str.maketrans("＝＋－＠", "=+-@")
#: What some spreadsheets drop at the start of a cell: blanks, quotes, invisible characters.
_DROPPED = (
    "'\"` \x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xa0"
    "\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
#: The quickest check: most text has no sign at a place where a cell may begin.
_MAY_BE_FORMULA = re.compile(f"(?:\\A|[;\t\r\n])[{_DROPPED}]*+[=+\\-@＝＋－＠]")
#: Where a spreadsheet begins a new cell inside of ours: Excel splits by the list separator of its
#: language, and does not see our quotes then.
_SEPARATOR = re.compile(r"([;\t\r\n])")
_QUOTED_START = re.compile(r"([;\t\r\n])'+")
_START = re.compile(f"[{_DROPPED}]*+([=+\\-@＝＋－＠][=+\\-@＝＋－＠ \xa0]*+)")

#: What can follow a `=` in a formula: an operand, a bracket, a string, a text of another script.
_OPERAND = re.compile(r"\s*+(?:[\w(\"'{#\[$\\.!]|[^\x00-\x7f])")
_EQUALS = (
    f"(?=[{_DROPPED}]*+[=＝](?![=＝])[=+\\-@＝＋－＠ \xa0]*+[^\\S\t\r\n]*+"
    "(?:[\\w(\"'{#\\[$\\\\.!]|[^\x00-\x7f]))"
)
_SIMPLE_EQUALS = re.compile("[=＝](?![=＝])")
#: Where a part with a `=` in front is executed: done at once, as a text may have millions.
_EQUALS_PART = re.compile(f"(?<=[;\t\r\n]){_EQUALS}")
_GUARDED_EQUALS_PART = re.compile(f"(?<=[;\t\r\n])'{_EQUALS}")
_OTHER_PART = re.compile(f"[;\t\r\n][{_DROPPED}]*+(?:[+\\-@＋－＠]|[=＝][=＝])")
_NUMBER_PART = re.compile(r"[+-][\d.,]++%?")
#: A function's call, but not the plural of "item(s)".
_CALL = re.compile(r"(?:[^\W\d]|[^\W\d][\d.]{1,5})\((?!(?:s|es|n|en|e|r|in|x)\))", re.IGNORECASE)
#: A function that speaks to the network or the system, with a blank before its bracket.
_ODD_CALL = re.compile(
    r"\b(?:HYPERLINK|WEBSERVICE|FILTERXML|IMAGE|IMPORT(?:XML|DATA|HTML|FEED|RANGE)|RTD|DDE|CALL|EXEC"
    r"|REGISTER(?:\.ID)?|INDIRECT)[ \xa0]+\([ \xa0]*[\"'$A-Za-z]",
    re.IGNORECASE,
)
#: Dynamic data exchange: a program, `|`, a topic, `!`.
_EXCHANGE = re.compile(r"[\w'\")\]]\|\S|\|[^|!]{0,1000}![\w$'\"]")
#: A cell or a name of another sheet or file.
_OTHER_SHEET = re.compile(r"['\]]![\w$'\"#]|!\$?[A-Za-z]{1,3}\$?\d")

_NUMBER = r"(?:\d++(?:[.,]\d++)*+|\.\d++)(?:[eE][+-]?\d++)?+"
_CELL = r"\$?[A-Za-z]{1,3}\$?[1-9]\d{0,6}(?::\$?[A-Za-z]{1,3}\$?\d{1,7})?(?!\w)"
_TERM = rf"[+\-( \xa0]*+(?:{_CELL}|{_NUMBER})[) \xa0%]*+"
_EXPRESSION = re.compile(rf"{_TERM}((?:[+\-*/^&<>=]{_TERM})*+)")
_HAS_CELL = re.compile(r"(?<![\d.])[A-Za-z]{1,3}\$?\d")
_WHOLE_CALL = re.compile(r"[A-Z][A-Z0-9.]+[ \xa0]+\([A-Z0-9:;,.+*/^$()\" \xa0-]*\)")
#: A phone number, also with its parts between hyphens, slashes or points.
_PHONE = re.compile(r"[\d \xa0()./-]+")
_MIN_PHONE_DIGITS = 7


def guard(text: str) -> str:
    """
    Put a `'` before text that a spreadsheet would execute.

    Text is executed if it begins with `=` and what follows can be an expression; or if it begins
    with `+`, `-` or `@` and has a call (`+SUM(1)`, `@HYPERLINK(…)`), a data exchange
    (`+cmd|' /C calc'!A0`), a cell of another sheet, or is nothing but cells and several numbers
    with operators between them (`-A1`, `-2+3`). Full-width signs count, and blanks, quotes and
    invisible characters before a sign do not help. The same holds behind a `;`, a tab or a line
    end inside of text, where some spreadsheets begin a new cell: there the `'` stands behind the
    separator.

    Everything else stays as it is: numbers with or without a unit (`-5%`, `-€5.00`), phone numbers
    (`+49 30 123456`), names (`@acme`), lists and rules (`- in stock`, `--`), words (`-foo bar`).
    Excel may show some of these as an error, but it runs nothing. Different texts stay different,
    so `unguard` can undo it.
    """
    if text.isalnum() or not _MAY_BE_FORMULA.search(text):
        return text
    is_whole = is_formula(text)
    text = guard_inside(text)
    return f"'{text}" if is_whole else text


def guard_inside(text: str) -> str:
    """Do what `guard` does behind separators, and leave the beginning as it is."""
    if not _MAY_BE_FORMULA.search(text):
        return text
    if _OTHER_PART.search(text):
        text = _each_other_part(text, _guarded_part)
    safe = _EQUALS_PART.sub("'", text)
    return text if safe == text else safe


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would execute the text if it were the whole cell."""
    start = _START.match(text)
    if start is None:
        return False
    # A `'` that `guard` puts behind a separator must not change what comes of this.
    rest = text[start.end() :]
    if "'" in rest:
        rest = _QUOTED_START.sub(r"\1", rest)
    lead = start[1].translate(_SIGNS)
    if lead[0] == "=" and lead[1:2] != "=":
        return bool(_OPERAND.match(rest))
    return bool(
        _CALL.search(rest)
        or _EXCHANGE.search(rest)
        or _OTHER_SHEET.search(rest)
        or _ODD_CALL.search(rest)
        or _is_computed(lead, _SEPARATOR.split(rest, maxsplit=1)[0])
    )


def _is_computed(lead: str, rest: str) -> bool:
    """Whether a text behind its first signs is a calculation, with nothing else in it."""
    if _WHOLE_CALL.fullmatch(rest):
        return True
    expression = _EXPRESSION.fullmatch(rest)
    if expression is None:
        return False
    if _HAS_CELL.search(rest):
        return True
    is_phone = (
        lead[0] == "+"
        and _PHONE.fullmatch(rest)
        and sum(map(str.isdigit, rest)) >= _MIN_PHONE_DIGITS
    )
    return bool(expression[1]) and not is_phone


def cut_at_separators(text: str, length: int) -> Iterator[str]:
    """Cut a long text into parts of at least so many characters that can be guarded one by one."""
    start = 0
    while start < len(text):
        separator = _SEPARATOR.search(text, start + length)
        end = separator.start() if separator else len(text)
        yield text[start:end]
        start = end


def unguard(text: str) -> str:
    """Return the text that `guard` was given."""
    is_whole = text.startswith("'") and is_formula(text[1:])
    text = _GUARDED_EQUALS_PART.sub("", text[1:] if is_whole else text)
    return _each_other_part(text, _unguarded_part) if _OTHER_PART.search(text) else text


def _each_other_part(text: str, change: Callable[[str], str]) -> str:
    """Change each part behind a separator that does not begin with `=`."""
    first, *rest = _SEPARATOR.split(text)
    changed = [part if index % 2 == 0 else change(part) for index, part in enumerate(rest)]
    return text if changed == rest else "".join([first, *changed])


def _guarded_part(part: str) -> str:
    return f"'{part}" if _is_other_formula(part) else part


def _unguarded_part(part: str) -> str:
    # What is guarded is a formula still, with one more quote, so that no two texts become one.
    return part[1:] if part.startswith("'") and _is_other_formula(part[1:]) else part


def _is_other_formula(part: str) -> bool:
    if _NUMBER_PART.fullmatch(part):
        return False
    start = _START.match(part)
    return start is not None and not _SIMPLE_EQUALS.match(start[1]) and is_formula(part)
