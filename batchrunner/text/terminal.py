"""Text from outside → text that a terminal only shows."""

from __future__ import annotations

import re
from bisect import bisect_right
from unicodedata import category

from rich.cells import cell_len

#: Controls, invisible formatting as for bidirectional text, half characters, line separators.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Columns of a message of the API's that are shown; exports and --json have all that is kept.
SHOWN = 300
_LINE_END = re.compile(r"\r?\n")


def term_safe(text: str, *, one_line: bool = True) -> str:
    r"""
    Return *text* with all that could steer or mislead a terminal written out, as `\x1b`.

    Line ends become `⏎`, or stay where it need not be *one_line*; a tab becomes a space.
    Text that is safe comes back as it is, so to do it twice does no harm.
    """
    if text.isprintable():
        return text
    lines = _LINE_END.split(text.replace("\t", " "))
    return ("⏎" if one_line else "\n").join("".join(map(_visible, line)) for line in lines)


def _visible(char: str) -> str:
    if char.isprintable() or category(char) not in _UNSAFE:
        return char
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def shorten(text: str, width: int, *, middle: bool = False) -> str:
    """Cut one line of safe text to *width* columns with a `…` at its end, or in its *middle*."""
    if cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    tail = _tail(text, (width - 1) // 2) if middle else ""
    return f"{_head(text, width - 1 - cell_len(tail))}…{tail}"


def _head(text: str, width: int) -> str:
    # By prefixes, as the width of text is not the sum of its characters': some join the one before.
    end = bisect_right(range(1, len(text) + 1), width, key=lambda end: cell_len(text[:end]))
    return text[:end]


def _tail(text: str, width: int) -> str:
    # Measured behind the `…`, which a joining character would widen.
    places = range(1, len(text) + 1)
    length = bisect_right(places, width + 1, key=lambda length: cell_len(f"…{text[-length:]}"))
    return text[len(text) - length :]
