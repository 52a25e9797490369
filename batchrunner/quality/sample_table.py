"""The sampled rows of a profile by field: the values, types and list lengths of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from batchrunner.quality.profile import Profile, SampledRow
from batchrunner.quality.shares import Count
from batchrunner.quality.values import is_filled, type_of

#: Reads one feature of a value; None: the value does not have it.
Feature = Callable[[Any], str | None]


class SampleTable:
    """The sampled rows of a profile, and their cells by field."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.rows: list[SampledRow] = profile.sample()
        self._labels: dict[tuple[str, Feature], dict[int, str]] = {}

    @cached_property
    def cells(self) -> Mapping[str, Mapping[int, list[Any]]]:
        """The filled values of each field, by row."""
        found: dict[str, dict[int, list[Any]]] = defaultdict(dict)
        for number, row in enumerate(self.rows):
            for cell in row.cells:
                if is_filled(cell.value):
                    found[cell.path].setdefault(number, []).append(cell.value)
        return found

    @cached_property
    def lengths(self) -> Mapping[str, Mapping[int, int]]:
        """The length of each list, by row: of nested lists, of the longest."""
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for number, row in enumerate(self.rows):
            for each in row.containers:
                if each.length is not None:
                    known = found[each.path].get(number, -1)
                    found[each.path][number] = max(known, each.length)
        return found

    @cached_property
    def types(self) -> Mapping[str, Mapping[int, str]]:
        """The type of each field that holds something, by row."""
        found = {path: dict(self.labels(path, type_of)) for path in self.cells}
        for number, row in enumerate(self.rows):
            for each in row.containers:
                if each.length != 0:
                    name = "object" if each.length is None else "list"
                    found.setdefault(each.path, {}).setdefault(number, name)
        return found

    def labels(self, path: str, feature: Feature) -> Mapping[int, str]:
        """Return what a feature of a field is in each row that has it; in a list, mostly."""
        key = (path, feature)
        if key not in self._labels:
            self._labels[key] = dict(_labels(self.cells.get(path, {}), feature))
        return self._labels[key]

    def values(self, path: str) -> Mapping[int, Any]:
        """Return the first value of a field in each row that has it."""
        return {row: values[0] for row, values in self.cells.get(path, {}).items()}

    def by_host(self, rows: Iterable[int], hits: Iterable[int]) -> dict[str, Count]:
        """Count by host: of *rows*, in how many of them something happens."""
        total = Counter(self.rows[row].host for row in rows)
        found = Counter(self.rows[row].host for row in hits)
        return {host: Count(found[host], count) for host, count in total.items()}

    def scaled(self, rows: Iterable[int]) -> int:
        """Return for how many rows of the batch these rows of the sample stand."""
        return round(sum(self.profile.weight(self.rows[row].host) for row in rows))

    @cached_property
    def row_of_key(self) -> Mapping[str, int]:
        """The row of each job."""
        return {row.key: number for number, row in enumerate(self.rows)}


def _labels(cells: Mapping[int, list[Any]], feature: Feature) -> Iterable[tuple[int, str]]:
    for row, values in cells.items():
        if len(values) == 1:
            label = feature(values[0])
        else:
            found = Counter(each for value in values if (each := feature(value)) is not None)
            label = max(found, key=lambda each: (found[each], each)) if found else None
        if label is not None:
            yield row, label
