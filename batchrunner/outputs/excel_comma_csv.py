"""Finished jobs → CSV for Excel where 12,5 is a number: with `;` between the cells."""

from __future__ import annotations

from functools import partial

from batchrunner.outputs.csv import write_csv
from batchrunner.outputs.export_format import Format

FORMAT = Format(
    name="excel-comma",
    help="the same with commas in numbers, as in German or French",
    write=partial(write_csv, start="\ufeff", end="\r\n", separator=";", decimal=","),
)
