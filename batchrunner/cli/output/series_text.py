"""A series as a table of its editions for people, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from batchrunner.app.budget import money
from batchrunner.model.editions import EditionSummary
from batchrunner.text.format import counted
from batchrunner.text.terminal import term_safe

_HEAD = ("EDITION", "JOBS", "SUCCEEDED", "FAILED", "COST", "BEGAN", "ENDED")


def series_lines(series: str, editions: Sequence[EditionSummary]) -> Iterator[str]:
    """Give a line for each edition, the newest first."""
    yield term_safe(f"series {series}: {counted(len(editions), 'edition')}")
    rows = [_HEAD, *(_row(edition) for edition in editions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        cells = [
            cell.rjust(width) if 0 < column < 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()


def _row(edition: EditionSummary) -> tuple[str, ...]:
    cost = f"{edition.steps} steps" if edition.cost is None else money(edition.cost)
    return (
        term_safe(edition.batch.edition or ""),
        str(edition.jobs),
        str(edition.succeeded),
        str(edition.failed),
        cost,
        _when(edition.began_at),
        _ended(edition),
    )


def _ended(edition: EditionSummary) -> str:
    if edition.open:
        return f"{counted(edition.open, 'job')} open"
    cancelled = f", {edition.cancelled} cancelled" if edition.cancelled else ""
    return f"{_when(edition.finished_at)}{cancelled}"


def _when(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "-"


def edition_as_json(edition: EditionSummary) -> dict[str, Any]:
    """Return an edition as a program wants it."""
    return {
        "batch": edition.batch.name,
        "edition": edition.batch.edition,
        "total": edition.jobs,
        "succeeded": edition.succeeded,
        "failed": edition.failed,
        "cancelled": edition.cancelled,
        "open": edition.open,
        "steps": edition.steps,
        "cost": None if edition.cost is None else f"{edition.cost:f}",
        "began_at": edition.began_at.isoformat(),
        "finished_at": edition.finished_at.isoformat() if edition.finished_at else None,
    }
