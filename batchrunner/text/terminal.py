"""Makes text from outside safe for a terminal, and shortens it."""

from __future__ import annotations

import re
from bisect import bisect_right
from unicodedata import category

from rich.cells import cell_len

#: Control characters, invisible formatting, lone surrogates, line separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Columns of an API message that are shown; exports and --json have the whole message.
SHOWN = 300
_LINE_END = re.compile(r"\r?\n")
#: What moves the cursor only as text does.
_LAYOUT = ("\n", "\r\n", "\t")
_PARTS = re.compile(r"(\r?\n|\t)")


def term_safe(text: str, *, one_line: bool = True) -> str:
    r"""
    Return *text* with everything that could control or mislead a terminal escaped, as `\x1b`.

    Line ends become `⏎`, or stay if *one_line* is false; a tab becomes a space. Safe text is
    returned unchanged, so escaping twice does no harm.
    """
    if text.isprintable():
        return text
    lines = _LINE_END.split(text.replace("\t", " "))
    return ("⏎" if one_line else "\n").join("".join(map(_visible, line)) for line in lines)


def screen_safe(text: str) -> str:
    """Return text of several lines as `term_safe` does, with its line ends and tabs as they are."""
    if text.isprintable():
        return text
    return "".join(
        part if part in _LAYOUT else "".join(map(_visible, part)) for part in _PARTS.split(text)
    )


def _visible(char: str) -> str:
    if char.isprintable() or category(char) not in _UNSAFE_CATEGORIES:
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def shorten(text: str, width: int, *, middle: bool = False) -> str:
    """Cut a line of safe text to *width* columns, with a `…` at its end or in its *middle*."""
    if cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    tail = _tail(text, (width - 1) // 2) if middle else ""
    return f"{_head(text, width - 1 - cell_len(tail))}…{tail}"


def _head(text: str, width: int) -> str:
    # Measured on prefixes: some characters combine with the one before, so widths do not add up.
    end = bisect_right(range(1, len(text) + 1), width, key=lambda end: cell_len(text[:end]))
    return text[:end]


def _tail(text: str, width: int) -> str:
    # Measured behind the `…`: a combining character would widen it.
    places = range(1, len(text) + 1)
    length = bisect_right(places, width + 1, key=lambda length: cell_len(f"…{text[-length:]}"))
    return text[len(text) - length :]
