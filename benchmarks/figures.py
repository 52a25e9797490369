"""Figures of benchmarks: each stands beside its floor of the same run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

#: How often its committed ratio a ratio of CPU times may be.
FACTOR = 2.0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measurement and the floor that it is compared with, in the same unit."""

    part: str  #: the part of the benchmarks, for `--only`
    name: str
    unit: str
    ours: float
    floor: float
    floor_name: str
    cpu: bool = True  #: whether it is a time of a CPU, which a busy machine changes least

    @property
    def ratio(self) -> float:
        """How often the floor fits into ours."""
        return self.ours / self.floor if self.floor else float("inf")


def as_table(figures: Sequence[Figure]) -> str:
    """Return the figures as lines of aligned columns."""
    rows = [("part", "figure", "ours", "floor", "ratio", "unit", "the floor is")]
    rows += [
        (f.part, f.name, f"{f.ours:.3g}", f"{f.floor:.3g}", f"{f.ratio:.2f}", f.unit, f.floor_name)
        for f in figures
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = range(2, 5)
    cells = [
        cell.rjust(width) if index in numbers else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def as_json(figures: Iterable[Figure]) -> str:
    """Return the figures as a JSON array of objects, each with its ratio."""
    return json.dumps([{**asdict(f), "ratio": f.ratio} for f in figures], indent=1)


def slower(figures: Iterable[Figure], committed: Mapping[str, float]) -> list[str]:
    """Return a line for each ratio of CPU times that is more than twice the committed one."""
    return [
        f"{f.name}: {f.ratio:.2f} times its floor, and {committed[f.name]:.2f} when committed"
        for f in figures
        if f.cpu and f.name in committed and f.ratio > FACTOR * committed[f.name]
    ]
