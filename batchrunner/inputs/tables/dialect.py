"""How the cells of a text are separated, and where its header is."""

from __future__ import annotations

import csv
import re
from collections import Counter
from typing import Final, NamedTuple

DELIMITERS: Final = ",;\t|"
#: Names that users may give for a delimiter that is hard to type.
DELIMITER_NAMES: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
#: A separator that no cell contains: the text has one column.
NO_DELIMITER: Final = "\x1f"
_SEP_LINE = re.compile(r'"?sep=(?P<delimiter>.)"?[,;\t|]*[ ]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_BLANKS_BEFORE_QUOTE = re.compile(r'[,;|] +"[^"\r\n]*"[ ]*(?:[,;|\r\n]|\Z)')
_URL = re.compile(r"\s*[a-zA-Z][a-zA-Z0-9+.-]*://")
#: What some programs write between cells, and a name hardly has.
_UNUSUAL = re.compile("[\x01-\x08\x1c-\x1f^~¦¬§!%&*]")
_BLANKS = re.compile(r"[ \u00a0]{2,}")
#: Share of rows that must fit a header below other lines, to believe that it is one.
_FITTING: Final = 0.6


class SampleRow(NamedTuple):
    """A row of the sample that is not blank."""

    line: int  #: from 1
    cells: list[str]


class Dialect(NamedTuple):
    """How cells are separated, and where the header is."""

    delimiter: str
    skip_blanks: bool  #: blanks in front of a cell do not count
    header: SampleRow | None  #: None: there is none
    above: int = 0  #: lines above the header that are no part of the table
    width: int = 0  #: cells of most rows in the sample, the header left out
    used: frozenset[int] = frozenset()  #: numbers of the cells that any row of the sample has
    other: str | None = None  #: what seems to separate the cells, and is none of DELIMITERS

    def is_used(self, number: int) -> bool:
        """Return whether a row has something in the column."""
        return number in self.used


class _Candidate(NamedTuple):
    delimiter: str
    rows: list[SampleRow]

    @property
    def widths(self) -> list[int]:
        return [len(row.cells) for row in self.rows]

    def score(self) -> tuple[float, int]:
        """Return how well the rows fit the first one, and how wide it is."""
        width, *others = self.widths
        if width == 1:
            return 0.0, 1
        fits = sum(1.0 if each == width else 0.5 if 1 < each < width else 0.0 for each in others)
        return (fits / len(others) if others else 1.0), width


def find_dialect(sample: str, *, is_whole: bool, delimiter: str | None = None) -> Dialect:
    """
    Return the dialect of a text by its first lines.

    *is_whole* says that the sample is the whole text; else its last line may be cut.
    """
    marked = _SEP_LINE.match(sample)
    first_line = 1
    if marked and (delimiter is None or delimiter == marked["delimiter"]):
        delimiter = marked["delimiter"]
        sample, first_line = sample[marked.end() :], 2
    skip_blanks = _BLANKS_BEFORE_QUOTE.search(sample) is not None
    found = [
        _Candidate(each, rows)
        for each in (delimiter or DELIMITERS)
        if (rows := _rows(sample, each, first_line, is_whole=is_whole, skip_blanks=skip_blanks))
    ]
    if not found:
        return Dialect(delimiter or ",", skip_blanks, None)
    return _chosen(found, is_given=delimiter is not None)._replace(skip_blanks=skip_blanks)


def _chosen(found: list[_Candidate], *, is_given: bool) -> Dialect:
    best = max(found, key=_Candidate.score)
    if best.score()[0] < _FITTING:
        below = [each for each in map(_below_others, found) if each is not None]
        if below:
            return max(below, key=lambda each: each.width)
    if best.score()[1] > 1 or is_given:
        return _with_header(best)
    return _one_column(found)


def _with_header(candidate: _Candidate) -> Dialect:
    header, *rows = candidate.rows
    used = {number for row in rows for number, cell in enumerate(row.cells) if cell.strip()}
    return Dialect(candidate.delimiter, False, header, 0, _usual_width(rows), frozenset(used))


def _rows(
    sample: str, delimiter: str, first_line: int, *, is_whole: bool, skip_blanks: bool
) -> list[SampleRow]:
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", sample)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=skip_blanks)
    rows, line = [], 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                rows.append(SampleRow(line + first_line - 1, cells))
            line = reader.line_num + 1
    except csv.Error:
        return rows
    return rows if is_whole or len(rows) < 3 else rows[:-1]


def _usual_width(rows: list[SampleRow]) -> int:
    widths = Counter(len(row.cells) - _blank_at_end(row.cells) for row in rows)
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    return width if count * 2 > len(rows) > 1 else 0


def _blank_at_end(cells: list[str]) -> int:
    return next((n for n, cell in enumerate(reversed(cells)) if cell.strip()), len(cells))


def _below_others(candidate: _Candidate) -> Dialect | None:
    """Return the dialect if most rows fit a header that has other lines above it."""
    widths = Counter(each for each in candidate.widths if each > 1)
    if not widths or len(candidate.rows) < 3:
        return None
    width = widths.most_common(1)[0][0]
    at = candidate.widths.index(width)
    rest = candidate.widths[at:]
    if at == 0 or len(rest) < 2 or rest.count(width) < _FITTING * len(rest):
        return None
    header = candidate.rows[at]
    above = header.line - 1
    first = candidate.rows[0]
    if any(map(_URL.match, header.cells)):
        return None
    if len(first.cells) > 1 and all(map(str.strip, first.cells)) and at == 1:
        return None  # a header that has another number of cells than its rows
    return Dialect(candidate.delimiter, False, header, above, width)


def _one_column(found: list[_Candidate]) -> Dialect:
    """Return a dialect for a header without a delimiter."""
    for candidate in found:
        rows = candidate.rows[1:]
        width = _usual_width(rows)
        fitting = [row for row in rows if len(row.cells) == width]
        if width > 1 and len(fitting) == len(rows) > 1:
            return _with_header(candidate)
    rows = found[0].rows
    lines = [found[0].delimiter.join(row.cells) for row in rows]
    return Dialect(NO_DELIMITER, False, rows[0], 0, 1, other=_other_delimiter(lines))


def _other_delimiter(lines: list[str]) -> str | None:
    """Return a character, or blanks, that each line has equally often, and the header too."""
    if len(lines) < 2 or _URL.match(lines[0]):
        return None
    unusual: list[str] = sorted(set(_UNUSUAL.findall(lines[0])))
    for character in unusual:
        counts = {line.count(character) for line in lines}
        if len(counts) == 1:
            return character
    wide = {len(_BLANKS.findall(line.strip())) for line in lines}
    return " " if len(wide) == 1 and wide != {0} else None
