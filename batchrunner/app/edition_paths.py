"""Puts the names of an edition into the name of a file that it is exported to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from batchrunner.app.clock import Here, now
from batchrunner.app.output_targets import Target
from batchrunner.errors import UsageError
from batchrunner.model import Batch, JobFile
from batchrunner.policy.calendar_slots import begin_of

EDITION, SERIES, DATE = "{edition}", "{series}", "{date}"


def targets_of_edition(targets: Sequence[Target], batch: Batch | JobFile) -> list[Target]:
    """
    Return the targets with `{edition}`, `{series}` and `{date}` filled in.

    A folder of such a name is made. Without an edition, `{date}` is today.

    Raises:
        UsageError: A name asks for an edition, and the batch is none.
    """
    return [replace(target, path=_filled(target.path, batch)) for target in targets]


def _filled(path: str, batch: Batch | JobFile) -> str:
    filled = path
    for name, value in _VALUES.items():
        if name in filled:
            filled = filled.replace(name, value(batch, path))
    if filled != path:
        Path(filled).parent.mkdir(parents=True, exist_ok=True)
    return filled


def _edition(batch: Batch | JobFile, path: str) -> str:
    if batch.edition is None:
        raise UsageError(
            f"{path} asks for an edition, and batch {batch.name!r} is none",
            next="add --every 1d, which begins an edition each day, or leave {edition} out",
            where=path,
        )
    return batch.edition


def _date(batch: Batch | JobFile, _: str) -> str:
    began = begin_of(batch.edition) if batch.edition else None
    return f"{began or now().astimezone(Here()):%Y-%m-%d}"


_VALUES: dict[str, Callable[[Batch | JobFile, str], str]] = {
    EDITION: _edition,
    SERIES: lambda batch, _: batch.series or batch.name,
    DATE: _date,
}
