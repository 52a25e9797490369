"""Finished jobs → CSV, JSONL, …: one module per format, and the registry of all formats."""

from __future__ import annotations

from collections.abc import Mapping

from batchrunner.outputs import (
    csv,
    excel_comma_csv,
    excel_csv,
    jsonl,
    markdown,
    parquet,
    sqlite,
    tsv,
    xlsx,
)
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.formula_guard import guard, unguard
from batchrunner.outputs.table import ExportTable, Jobs, SelectedColumn, View

__all__ = [
    "FORMATS",
    "ExportTable",
    "Format",
    "Jobs",
    "SelectedColumn",
    "View",
    "Written",
    "format_of",
    "formats_help",
    "guard",
    "suffixes_help",
    "unguard",
]

#: Name of a format → the format. A new format is a module and its name in this line.
FORMATS: Mapping[str, Format] = {
    module.FORMAT.name: module.FORMAT
    for module in (csv, excel_csv, excel_comma_csv, tsv, jsonl, xlsx, parquet, sqlite, markdown)
}


def format_of(suffix: str) -> str | None:
    """Return the name of the format that the end of a file name selects, if there is one."""
    names = (name for name, format in FORMATS.items() if suffix.lower() in format.suffixes)
    return next(names, None)


def suffixes_help() -> str:
    """Return the file name ends to propose, one per format: ".csv or .jsonl"."""
    *others, last = [format.suffixes[0] for format in FORMATS.values() if format.suffixes]
    return f"{', '.join(others)} or {last}" if others else last


def formats_help() -> str:
    """Return what each format is, as one sentence for a help text."""
    return "; ".join(f"{format.name} is {format.help}" for format in FORMATS.values())
