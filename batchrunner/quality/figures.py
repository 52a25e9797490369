"""The figures of a batch's fields and hosts, beside those of its baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from batchrunner.quality.profile import Profile
from batchrunner.quality.sample_table import SampleTable
from batchrunner.quality.values import currency_of, language_of, number_of, unit_of

#: Fields and hosts that a report has.
MAX_FIELDS, MAX_HOSTS = 200, 200
#: Different signs of one kind that are named.
MAX_SIGNS = 3
#: Least share of a field's values that are numbers.
NUMERIC = 0.5


@dataclass(frozen=True, kw_only=True)
class FieldFigures:
    """What is known of one field."""

    path: str
    filled: int  #: rows that hold something
    asked: int  #: delivered rows of the goals that ever have this field
    coverage: float  #: the share of these rows that hold something
    before: float | None  #: the same in the baseline; None without one
    types: tuple[str, ...] = ()  #: the most frequent first
    distinct: int = 0  #: different values in the sample
    numbers: tuple[float, float, float] | None = None  #: least, median and largest
    signs: tuple[str, ...] = ()  #: currencies, units and languages
    length: float | None = None  #: median length of a list


@dataclass(frozen=True, kw_only=True)
class HostFigures:
    """What is known of the rows of one host."""

    host: str
    rows: int
    delivered: int
    suspect: int
    failed: int
    rows_before: int | None  #: rows in the baseline; None without one
    #: Share of the delivered rows that hold something, by field, with that of the baseline.
    coverage: tuple[tuple[str, float, float | None], ...] = ()


def field_figures(profile: Profile, baseline: Profile | None) -> list[FieldFigures]:
    """Return the figures of each field, those that most rows hold first."""
    table = SampleTable(profile)
    before = baseline.filled() if baseline else {}
    paths = {**profile.filled(), **{path: 0 for path in before if path not in profile.filled()}}
    paths |= {path: 0 for path in profile.empty() if path not in paths}
    ranked = sorted(paths, key=lambda path: (-profile.filled().get(path, 0), path))
    return [_figures(table, baseline, path) for path in ranked[:MAX_FIELDS]]


def _figures(table: SampleTable, baseline: Profile | None, path: str) -> FieldFigures:
    filled = table.profile.filled().get(path, 0)
    asked = table.profile.asked(path, baseline)
    asked_before = 0 if baseline is None else baseline.asked(path, table.profile)
    values = [value for row in table.cells.get(path, {}).values() for value in row]
    numbers = [each.value for value in values if (each := number_of(value)) is not None]
    lengths = table.lengths.get(path)
    types = Counter(table.types.get(path, {}).values())
    return FieldFigures(
        path=path,
        filled=filled,
        coverage=_share(filled, asked),
        asked=asked,
        before=None if baseline is None else _share(baseline.filled().get(path, 0), asked_before),
        types=tuple(name for name, _ in types.most_common()),
        distinct=len({str(value) for value in values}),
        numbers=_spread(numbers) if len(numbers) > NUMERIC * len(values) else None,
        signs=_signs(table, path),
        length=median(lengths.values()) if lengths else None,
    )


def _share(filled: int, asked: int) -> float:
    return filled / asked if asked else 0.0


def _spread(numbers: Sequence[float]) -> tuple[float, float, float] | None:
    return (min(numbers), median(numbers), max(numbers)) if numbers else None


def _signs(table: SampleTable, path: str) -> tuple[str, ...]:
    found: list[str] = []
    for feature in (currency_of, unit_of, language_of):
        counts = Counter(table.labels(path, feature).values())
        if counts.total() * 2 >= len(table.cells.get(path, ())):
            found += [label for label, _ in counts.most_common(MAX_SIGNS)]
    return tuple(each for each in dict.fromkeys(found) if each != "no unit")


def host_figures(profile: Profile, baseline: Profile | None) -> list[HostFigures]:
    """Return the figures of each host, those with most rows first."""
    names = sorted(profile.hosts, key=lambda name: (-profile.hosts[name].rows, name))
    return [_host_figures(profile, baseline, name) for name in names[:MAX_HOSTS]]


def _host_figures(profile: Profile, baseline: Profile | None, name: str) -> HostFigures:
    host = profile.hosts[name]
    before = baseline.hosts.get(name) if baseline else None
    filled = profile.filled_by_host()[name]
    filled_before = baseline.filled_by_host().get(name, {}) if baseline else {}
    delivered_before = before.delivered if before else 0
    paths = sorted(set(filled) | set(filled_before))[:MAX_FIELDS]
    return HostFigures(
        host=name,
        rows=host.rows,
        delivered=host.delivered,
        suspect=host.suspect,
        failed=host.failed,
        rows_before=None if baseline is None else (before.rows if before else 0),
        coverage=tuple(
            (
                path,
                filled.get(path, 0) / host.delivered if host.delivered else 0.0,
                filled_before.get(path, 0) / delivered_before if delivered_before else None,
            )
            for path in paths
        ),
    )
