"""Finished jobs → TSV: as CSV, with tabs between the cells."""

from __future__ import annotations

from functools import partial

from batchrunner.outputs.csv import write_csv
from batchrunner.outputs.export_format import Format

FORMAT = Format(
    name="tsv",
    help="one row per job, tab-separated",
    write=partial(write_csv, separator="\t"),
    suffixes=(".tsv", ".tab"),
)
