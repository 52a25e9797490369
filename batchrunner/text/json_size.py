"""How much memory JSON text takes once it is parsed, and how deep it is, without parsing it."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import accumulate

#: Text that takes more than this is not parsed: it is kept, and set aside where it is read.
MAX_PARSED_BYTES = 96 * 1024**2
#: Shorter text is parsed whatever it contains.
ALWAYS_PARSED_LENGTH = 256 * 1024

#: A whole string, so that nothing inside it counts.
STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
#: Text that neither begins nor ends inside a string: 65,536 characters, or more in long strings.
_PIECE = re.compile(rf'(?:[^"]{{1,64}}+|{STRING}){{1,1024}}+', re.DOTALL)
_STRING = re.compile(STRING, re.DOTALL)

#: Digits of an integer that may be too large for a float.
_LONG_INTEGER = 300

#: Bytes that each character may stand for, once the text around it is parsed.
_BYTES_BY_SIGN = {"{": 240, "[": 72, ",": 96, ":": 144}
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")
#: A bracket → 1 or -1, as a signed byte.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
#: Bytes of a string beside its characters.
_STRING_BYTES = 64
#: Bytes per character of a string with escapes: `\\u` may stand for a character that widens all.
_WIDE = 4


def is_parsable(text: str) -> bool:
    """Whether parsing *text* takes at most MAX_PARSED_BYTES."""
    if len(text) <= ALWAYS_PARSED_LENGTH:
        return True
    widened = len(text) * (_WIDE if "\\u" in text or not text.isascii() else 1)
    if widened > MAX_PARSED_BYTES:
        return False
    if widened + _sign_bytes(text) + text.count('"') // 2 * _STRING_BYTES <= MAX_PARSED_BYTES:
        return True
    size = widened
    for outside, strings in _without_strings(text):
        size += _sign_bytes(outside) + strings * _STRING_BYTES
        if size > MAX_PARSED_BYTES:
            return False
    return True


def is_nested_deeper(text: str, levels: int) -> bool:
    """
    Whether objects and lists in JSON text are nested in more than so many levels.

    Parsers differ in their limit, and that of Python depends on the call stack.
    """
    if text.count("[") + text.count("{") <= levels:
        return False
    outside = "".join(without for without, _ in _without_strings(text))
    steps = outside.encode("ascii", "ignore").translate(_STEPS, delete=_NO_BRACKETS)
    return max(accumulate(array("b", steps)), default=0) > levels


def may_have_long_integer(text: str) -> bool:
    """Return whether there may be an integer that is too large for a float; a quick check."""
    # Such an integer covers one of these places, and has half of its digits on one side of it.
    half = _LONG_INTEGER // 2
    return any(
        text[at].isdigit()
        and (text[at - half + 1 : at].isdigit() or text[at : at + half].isdigit())
        for at in range(_LONG_INTEGER - 1, len(text), _LONG_INTEGER)
    )


def pieces(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """
    Give the start and end of pieces of JSON text, none of which begins or ends inside a string.

    Raises:
        ValueError: A string is not closed.
    """
    at, end = start, len(text) if end is None else end
    while at < end:
        piece = _PIECE.match(text, at, end)
        if piece is None:
            raise ValueError("a string that is not closed")
        yield at, piece.end()
        at = piece.end()


def without_strings(piece: str) -> str:
    """Return a piece without its strings."""
    if "\\" in piece:
        return _STRING.sub("", piece)
    return "".join(piece.split('"')[::2])  # the same, faster


def _without_strings(text: str) -> Iterator[tuple[str, int]]:
    """Give the text outside strings piece by piece, with the number of strings left out."""
    try:
        for start, end in pieces(text):
            piece = text[start:end]
            if "\\" in piece:
                yield _STRING.subn("", piece)
            else:
                yield without_strings(piece), piece.count('"') // 2
    except ValueError:
        return  # it is not JSON, and a parser stops where this does


def _sign_bytes(text: str) -> int:
    return sum(text.count(sign) * size for sign, size in _BYTES_BY_SIGN.items())
