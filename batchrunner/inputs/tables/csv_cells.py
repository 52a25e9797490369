"""Where the cells of a CSV record are in its text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_QUOTED = re.compile(r'"(?:[^"]|"")*+(?P<close>"?)', re.DOTALL)
_BREAK = re.compile(r"\r\n|\r|\n")
_LINE_END = re.compile(r"(?:\r\n|\r|\n)\Z")


class Span(NamedTuple):
    """Where a cell is in the text of its record."""

    start: int
    end: int  #: after its closing quote, or before the delimiter
    is_closed: bool  #: the quote is closed, and nothing but a delimiter or the end follows


class TextPlace(NamedTuple):
    """A position in a record of several lines."""

    line_offset: int
    column: int  #: from 1
    line_text: str


def spans(record: str, delimiter: str, *, skip_blanks: bool = False) -> Iterator[Span]:
    """Give where each cell of a record is."""
    record = _LINE_END.sub("", record)
    at = 0
    while True:
        if skip_blanks:
            at += len(record[at:]) - len(record[at:].lstrip(" "))
        quoted = _QUOTED.match(record, at)
        end = quoted.end() if quoted else at
        following = record.find(delimiter, end)
        stop = following if following >= 0 else len(record)
        if quoted:
            yield Span(at, end, bool(quoted["close"]) and end == stop)
        else:
            yield Span(at, stop, True)
        if following < 0:
            return
        at = following + 1


def text_place(record: str, at: int) -> TextPlace:
    """Return the line and column of an index into the text of a record."""
    breaks = list(_BREAK.finditer(record, 0, at))
    start = breaks[-1].end() if breaks else 0
    following = _BREAK.search(record, at)
    end = following.start() if following else len(record)
    return TextPlace(len(breaks), at - start + 1, record[start:end])
