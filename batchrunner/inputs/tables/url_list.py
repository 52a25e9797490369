"""A plain list of urls: one a line; lines that begin with `#` are comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from batchrunner.inputs.tables.place import Place
from batchrunner.inputs.tables.table import Column, Row, Table
from batchrunner.inputs.tables.text import Text

_URL = re.compile(
    r"(?:[a-zA-Z][a-zA-Z0-9+.-]*://|www\.)\S+|(?:[\w-]+\.)+[a-zA-Z]{2,}(?:[:/?#]\S*)?"
)
#: Share of lines that must be urls.
_URLS: Final = 0.8
_DELIMITERS: Final = ",;|"


class UrlList(Table):
    """A table of one column, `url`, which has no header."""

    def __init__(self, text: Text) -> None:
        super().__init__(file=text.content.name, kind="urls", digest=text.digest)
        text.check_lines()
        self._text = text
        self.columns = (Column("url", 0, 1, 1),)

    def _rows(self) -> Iterator[Row]:
        """Give the lines; blank ones and comments are left out."""
        with self._text.lines() as lines:
            for number, line in enumerate(lines, start=1):
                url = line.strip()
                if url and not url.startswith("#"):
                    yield Row(number, [url], line)

    def place(self, row: Row, number: int | None) -> Place:
        """Return where the url is."""
        line = (row.source or "").rstrip("\r\n")
        column = len(line) - len(line.lstrip()) + 1
        return Place(row.line, column, line, column, len(line.strip()))

    def _is_changed(self) -> bool:
        return self._text.content.is_changed()

    def close(self) -> None:
        """Let go of the file."""
        self._text.content.close()


def is_url_list(sample: str) -> bool:
    """Return whether the lines of a text are urls, and not rows of a table."""
    lines = [line for raw in sample.splitlines() if (line := raw.strip()) and line[0] != "#"]
    if not lines or not _URL.fullmatch(lines[0]):
        return False
    if sum(1 for line in lines if _URL.fullmatch(line)) < _URLS * len(lines):
        return False
    return not any(_separates(each, lines) for each in _DELIMITERS)


def _separates(delimiter: str, lines: list[str]) -> bool:
    counts = {line.count(delimiter) for line in lines}
    return len(lines) > 1 and len(counts) == 1 and counts != {0}
