"""Opens a file as the table that its content shows it to be."""

from __future__ import annotations

import csv
import hashlib

from batchrunner.inputs.tables.content import Content, SeekableFile
from batchrunner.inputs.tables.csv_table import CsvTable
from batchrunner.inputs.tables.table import Column, Table, TableOptions
from batchrunner.inputs.tables.text import Text


def open_table(
    stream: SeekableFile,
    *,
    file: str,
    options: TableOptions = TableOptions(),  # noqa: B008
) -> Table:
    """
    Return the table in *stream*, which belongs to it from now on; *file* is shown in problems.

    The kind is recognized by the content; of kind `yaml` it has only `text`, for the YAML reader.

    Raises:
        UsageError: The file is of another kind; the message names it, and the way out.
        JobFileErrors: Its encoding or its header cannot be used.
    """
    content = Content(stream, file)
    text = Text(content, "utf-8-sig", hashlib.sha256(content.head).hexdigest())
    with text.lines() as lines:
        header = next(csv.reader(lines))
    columns = [Column(name.strip(), index, 1, 1) for index, name in enumerate(header)]
    return CsvTable(text, columns, delimiter=options.delimiter or ",", first_row=2)
