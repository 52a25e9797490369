"""Rows whose values stand in the neighbouring column, as after a slipped cell of a table."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from batchrunner.quality.evidence import Comparison, Evidence, Watched, rises, rows_by_host
from batchrunner.quality.fields import Cell
from batchrunner.quality.sample_table import SampleTable
from batchrunner.quality.values import class_of

#: Fewest rows from which is learned what a column holds.
MIN_LEARNED = 8
#: By how much more likely the values of a row must be one column further, as a logarithm: for the
#: whole row, and for each of the columns that count.
LIKELIER, LIKELIER_COLUMN = 6.0, 1.2
#: Fewest neighbouring columns that must have moved.
MIN_COLUMNS = 2
#: Without a baseline: largest share of the rows that may have moved; of more, they are usual.
MOST_MOVED = 0.4
#: Classes that are supposed to exist beside those that were seen.
_UNSEEN = 6.0

#: The class of a value → how many rows of a column have it.
Classes = Mapping[str, Counter[str]]


class Shift(NamedTuple):
    """Columns of a row whose values stand in their neighbours."""

    first: str
    last: str
    score: float


def shifted_columns(context: Comparison) -> Iterator[Evidence]:
    """Give the columns whose values stand in their neighbours."""
    learned = _classes(context.base) if context.base else _classes_without_moved(context.now)
    now = _shifts(context.now, learned)
    if not now:
        return
    rows = range(len(context.now.rows))
    before = context.base or context.now
    if context.base is None and len(now) > MOST_MOVED * len(rows):
        return
    usual = _shifts(before, learned) if context.base else {}
    base = before.by_host(range(len(before.rows)), usual)
    firsts = Counter((shift.first, shift.last) for shift in now.values())
    first, last = max(firsts, key=lambda each: (firsts[each], each))
    yield from rises(
        context,
        Watched(
            kind="shifted",
            column=first,
            says=f"to `{last}`: values stand in the neighbouring column",
            bad_rise=0.15,
            specific=True,
        ),
        context.now.by_host(rows, now),
        base,
        rows_by_host(context.now, now),
    )


def _classes_without_moved(table: SampleTable) -> Classes:
    """Learn from the rows of a batch itself, without those that seem to have moved."""
    seems = _shifts(table, _classes(table), LIKELIER / 3)
    return _classes(table, seems) if len(seems) <= MOST_MOVED * len(table.rows) else {}


def _classes(table: SampleTable, without: Collection[int] = ()) -> Classes:
    learned: dict[str, Counter[str]] = defaultdict(Counter)
    for number, row in enumerate(table.rows):
        if number in without:
            continue
        for cell in row.cells:
            learned[cell.path][class_of(cell.value)] += 1
    return {path: found for path, found in learned.items() if found.total() >= MIN_LEARNED}


def _shifts(table: SampleTable, learned: Classes, likelier: float = LIKELIER) -> dict[int, Shift]:
    """Return the most likely shift of each row that has one."""
    found: dict[int, Shift] = {}
    known: dict[tuple[tuple[str, str], ...], Shift | None] = {}
    for number, row in enumerate(table.rows):
        shifts = [
            shift
            for cells in _records(row.cells)
            if (shift := _shift_of(cells, learned, known, likelier)) is not None
        ]
        if shifts and len(shifts) * 2 >= len(_records(row.cells)):
            found[number] = max(shifts, key=lambda each: each.score)
    return found


def _records(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells that are side by side in one object, for each object of two or more."""
    records: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        if not cell.path.endswith("[]"):
            records[cell.record].append(cell)
    return [each for each in records.values() if len(each) >= MIN_COLUMNS]


def _shift_of(
    cells: Sequence[Cell],
    learned: Classes,
    known: dict[tuple[tuple[str, str], ...], Shift | None],
    likelier: float,
) -> Shift | None:
    key = tuple((cell.path, class_of(cell.value)) for cell in cells if cell.path in learned)
    if key not in known:
        known[key] = max(
            (each for step in (1, -1) if (each := _best(key, learned, step, likelier)) is not None),
            key=lambda each: each.score,
            default=None,
        )
    return known[key]


def _best(
    key: Sequence[tuple[str, str]], learned: Classes, step: int, likelier: float
) -> Shift | None:
    """Return the run of columns that is most likely shifted by one; None if none is likely."""
    best: Shift | None = None
    start, score, columns = 0, 0.0, 0
    for place, (path, found) in enumerate(key):
        source = place - step
        gain = 0.0
        if 0 <= source < len(key) and found != "empty":
            gain = _log(learned[key[source][0]], found) - _log(learned[path], found)
        if score + gain <= 0:
            start, score, columns = place + 1, 0.0, 0
            continue
        score += gain
        columns += gain >= LIKELIER_COLUMN
        likely = score >= likelier and columns >= MIN_COLUMNS
        if likely and (best is None or score > best.score):
            best = Shift(key[start][0], path, score)
    return best


def _log(classes: Counter[str], found: str) -> float:
    return math.log((classes[found] + 0.2) / (classes.total() + 0.2 * _UNSEEN))
