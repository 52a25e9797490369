"""Text as it is in a file: decoded, and its lines with their ends."""

from __future__ import annotations

import io
from typing import NamedTuple

from batchrunner.inputs.tables.content import Content


class Text(NamedTuple):
    """A file whose content is text."""

    content: Content
    encoding: str
    digest: str

    def lines(self) -> io.TextIOWrapper:
        """Return the lines from the first one on: each ends with its `\\n`, `\\r` or `\\r\\n`."""
        return io.TextIOWrapper(self.content.open(), encoding=self.encoding, newline="")
