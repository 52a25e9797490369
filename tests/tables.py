"""Opens tables of bytes, and says what came of it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from batchrunner.errors import UsageError
from batchrunner.inputs.tables import TableOptions, open_table
from batchrunner.model.problems import JobFileErrors, Problem


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What came of a file: rows, problems, or a refusal."""

    kind: str = ""
    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)  #: without those that have a problem
    lines: list[int] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    refusal: UsageError | None = None


def load(data: bytes | str, file: str = "t.csv", **options: Any) -> Loaded:
    """Return what comes of a file."""
    content = data.encode() if isinstance(data, str) else data
    try:
        table = open_table(io.BytesIO(content), file=file, options=TableOptions(**options))
        rows = list(table.rows())
        assert [row.cells for row in table.rows()] == [row.cells for row in rows]
    except JobFileErrors as errors:
        return Loaded(problems=errors.problems)
    except UsageError as error:
        return Loaded(refusal=error)
    good = [row for row in rows if row.problem is None]
    bad = [row.problem for row in rows if row.problem is not None]
    with table:
        return Loaded(
            kind=table.kind,
            columns=[column.name for column in table.columns],
            rows=[list(row.cells) for row in good],
            lines=[row.line for row in good],
            warnings=table.log.warnings(),
            problems=(*table.log.problems(), *bad),
        )
