"""Finished jobs → CSV for a double click in Excel: with a byte order mark and `\\r\\n`."""

from __future__ import annotations

from functools import partial

from batchrunner.outputs.csv import write_csv
from batchrunner.outputs.export_format import Format

FORMAT = Format(
    name="excel",
    help="CSV that Excel opens on a double click, with points in numbers",
    write=partial(write_csv, start="\ufeff", end="\r\n"),
)
