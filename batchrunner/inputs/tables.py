"""Recognizes a CSV or TSV file, and refuses it with a command that turns it into a job file."""

from __future__ import annotations

import shlex
from pathlib import Path

from batchrunner.errors import UsageError

#: Suffix of a table → the separator of its columns.
SEPARATORS = {".csv": ",", ".tsv": "\t"}


def refuse_table(path: Path) -> None:
    """
    Refuse a table, with a command that writes it as a job file: YAML is a superset of JSON.

    Raises:
        UsageError: The file is a table.
    """
    separator = SEPARATORS.get(path.suffix.lower())
    if separator is None:
        return
    made = path.with_suffix(".yaml").name
    script = (
        f"import csv, json; rows = csv.DictReader(open({path.name!r}, encoding='utf-8-sig', "
        f"newline=''), delimiter={separator!r}); "
        "print(json.dumps([{k: v for k, v in row.items() if v} for row in rows], indent=1))"
    )
    raise UsageError(
        f"{path} is a table, and a job file is YAML",
        next=f"where its columns are called url and goal (and id), this makes one of it:\n"
        f"    python3 -c {shlex.quote(script)} > {shlex.quote(made)}",
    )
