"""Writes the rows that could not be loaded to a file, as they were and with their reasons."""

from __future__ import annotations

import csv
import filecmp
import io
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.input_request import InputRequest
from batchrunner.errors import UsageError
from batchrunner.inputs.mapping.cell_text import cell_text
from batchrunner.inputs.mapping.wording import overwrite
from batchrunner.inputs.tables import Row, Table
from batchrunner.outputs.json_values import write

_REASON = "reason"


class RefusedRows:
    """The rows of tables that are left out; they are written once all of them are known."""

    def __init__(self, request: InputRequest) -> None:
        """
        Begin with no rows.

        Raises:
            UsageError: The file for the rows is one that is loaded.
        """
        self._target = request.skip_invalid
        self._overwrite = request.overwrite
        self._style = request.style
        self._columns: dict[str, None] = {}
        self._count = 0
        if self._target is not None and not self._target.absolute().parent.is_dir():
            folder = self._target.parent
            raise UsageError(
                f"there is no folder {folder} for the rows with problems",
                next=f"make it: mkdir -p {shlex.quote(str(folder))}",
            )
        for path in request.paths:
            self._refuse_input(path)
        self._rows: Any = NamedTemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115

    def close(self) -> None:
        """Let go of the rows."""
        self._rows.close()

    def expect(self, path: Path, table: Table) -> None:
        """Make room for the columns of a table."""
        self._refuse_input(path)
        self._columns |= dict.fromkeys(column.name for column in table.columns)

    def add(self, table: Table, row: Row, reasons: list[str]) -> None:
        """Add a row."""
        names = [column.name for column in table.columns]
        cells = dict(zip(names, row.cells, strict=False))
        if row.problem is not None:  # its cells may not be all that there is
            whole = getattr(row.source, "text", row.source)
            reasons = [*reasons, f"the row as it was: {str(whole).rstrip()}"]
        self._rows.write(write({"cells": cells, "reason": "; ".join(reasons)}) + "\n")
        self._count += 1

    def write(self) -> Iterator[str]:
        """
        Write the rows to their file, and give a line about that.

        Raises:
            UsageError: Another file is there.
        """
        if self._target is None or not self._count:
            return
        with errors_for_people():
            folder = self._target.absolute().parent
            with NamedTemporaryFile("w", encoding="utf-8", newline="", dir=folder) as made:
                self._write(made)
                made.flush()
                self._put(Path(made.name))
        rows = "row" if self._count == 1 else "rows"
        yield f"{self._count:,} {rows} with problems left out, and written to {self._target}"

    def _put(self, made: Path) -> None:
        assert self._target is not None
        if self._target.exists() and not self._overwrite:
            if filecmp.cmp(made, self._target, shallow=False):
                return
            raise UsageError(
                f"{self._target} exists already, and is left as it is; nothing was loaded",
                next=f"name another file, or add {overwrite(self._style)}",
            )
        shutil.copyfile(made, self._target)

    def _write(self, target: Any) -> None:
        assert self._target is not None
        reason = _REASON
        while reason in self._columns:
            reason = f"batchrunner {reason}"
        if self._target.suffix.lower() in (".jsonl", ".ndjson"):
            for cells, why in self._read():
                target.write(write(cells | {reason: why}) + "\n")
            return
        delimiter = "\t" if self._target.suffix.lower() == ".tsv" else ","
        writer = csv.writer(target, delimiter=delimiter, lineterminator="\n")
        writer.writerow([*self._columns, reason])
        for cells, why in self._read():
            writer.writerow([*(cell_text(cells.get(name)) for name in self._columns), why])

    def _read(self) -> Iterator[tuple[dict[str, Any], str]]:
        from batchrunner.outputs.json_values import read

        self._rows.seek(0, io.SEEK_SET)
        for line in self._rows:
            found: Any = read(line)
            yield found["cells"], found["reason"]

    def _refuse_input(self, path: Path) -> None:
        if self._target is None or not self._target.exists() or not path.exists():
            return
        if os.path.samefile(self._target, path):
            raise UsageError(
                f"{self._target} is loaded: the rows with problems cannot be written over it",
                next="name another file for --skip-invalid",
            )
