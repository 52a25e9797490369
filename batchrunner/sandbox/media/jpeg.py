"""Draws a page as a small JPEG: a mosaic of its words."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

#: Squares of 8 pixels.
_WIDTH, _HEIGHT = 40, 30
_PAPER, _INK, _BAR = 245, 70, 120

_UNSEEN = re.compile(r"<(script|style|head)\b.*?</\1>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_BREAK = re.compile(r"<(?:/?(?:p|div|tr|li|h\d|section|table)|br)\b[^>]*>", re.IGNORECASE)
#: Longest text that is drawn.
_MAX_CHARACTERS = 20_000

# The standard table for even areas: the number of codes of each length, and their values.
_AREA_COUNTS = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_AREA_VALUES = bytes(range(12))
#: The only code for details of a square: no details.
_DETAIL_COUNTS, _DETAIL_VALUES = bytes((1, *(0,) * 15)), b"\0"


def jpeg_of(html: str, step: int) -> bytes:
    """Return the picture of a step; the same step gives the same picture, other steps others."""
    return _jpeg([_row(line, step) for line in _lines(html, step)])


def _lines(html: str, step: int) -> Iterator[str]:
    """Yield one line for each row of squares: a bar, then the page's words."""
    yield ""
    text = _TAG.sub(" ", _BREAK.sub("\n", _UNSEEN.sub(" ", html[:_MAX_CHARACTERS])))
    words = [" ".join(line.split()) for line in text.split("\n")]
    shown = [line for line in words if line][: _HEIGHT - 1]
    yield from shown
    yield from [" "] * (_HEIGHT - 1 - len(shown))


def _row(line: str, step: int) -> list[int]:
    if not line:
        bar = (step + 1) % _WIDTH
        return [_INK] * bar + [_BAR] * (_WIDTH - bar)
    half = [line[start : start + 2].strip() for start in range(0, 2 * (_WIDTH - 2), 2)]
    return [_PAPER, *(_INK + 80 * (len(each) < 2) if each else _PAPER for each in half), _PAPER]


def _jpeg(rows: list[list[int]]) -> bytes:
    """Return even grey squares as a baseline JPEG."""
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
            _segment(0xDB, b"\0" + b"\x08" * 64),
            _segment(0xC0, struct.pack(">BHHBBBB", 8, 8 * _HEIGHT, 8 * _WIDTH, 1, 1, 0x11, 0)),
            _segment(0xC4, b"\x00" + _AREA_COUNTS + _AREA_VALUES),
            _segment(0xC4, b"\x10" + _DETAIL_COUNTS + _DETAIL_VALUES),
            _segment(0xDA, b"\1\1\0\0\x3f\0"),
            _squares(rows),
            b"\xff\xd9",
        )
    )


def _segment(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content


def _squares(rows: list[list[int]]) -> bytes:
    codes, before = _codes(), 0
    bits: list[str] = []
    for shade in (shade for row in rows for shade in row):
        change, before = shade - before - (128 if not bits else 0), shade
        size = abs(change).bit_length()
        code_value = change if change >= 0 else change + (1 << size) - 1
        bits.append(codes[size] + (f"{code_value:0{size}b}" if size else "") + "0")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _codes() -> list[str]:
    codes: list[str] = []
    code = 0
    for length, count in enumerate(_AREA_COUNTS, 1):
        for _ in range(count):
            codes.append(f"{code:0{length}b}")
            code += 1
        code <<= 1
    return codes
