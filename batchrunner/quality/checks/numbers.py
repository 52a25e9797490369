"""Numbers that have moved by a factor: lost decimals, other units, hosts far from others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, NamedTuple

from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.quality.evidence import Comparison, Evidence, Watched, label_rises
from batchrunner.quality.sample_table import SampleTable
from batchrunner.quality.values import number_of

#: Least share of a field's values that are numbers.
NUMERIC = 0.5
#: Fewest jobs of both batches whose numbers are compared one by one.
MIN_PAIRS = 5
#: Factors, as decimal logarithms, from which on a number has jumped, and moved far.
JUMP, FAR = math.log10(4), math.log10(20)
#: How near to a power of ten a factor is that a lost decimal sign explains: 15% of price change.
NEAR = 0.17
#: Fewest numbers of a host that are compared with those of other hosts; and fewest such hosts.
MIN_OF_HOST, MIN_HOSTS = 4, 3
#: A host is far from the others by this many times what the numbers of one host are apart.
SPREADS = 0.8
#: Factors between units of one thing: weights, lengths, areas, volumes, times.
CONVERSIONS: Mapping[str, float] = {
    "pounds and kilograms": 2.20462,
    "ounces and grams": 28.3495,
    "miles and kilometres": 1.60934,
    "feet and metres": 3.28084,
    "inches and centimetres": 2.54,
    "square feet and square metres": 10.7639,
    "acres and hectares": 2.47105,
    "gallons and litres": 3.78541,
    "months and years": 12.0,
    "minutes and hours": 60.0,
}
#: Spread of factors around a conversion: units are converted exactly, and prices are not.
EXACT = 0.004


class _Numbers(NamedTuple):
    """The numbers of a field by row, with the share that has decimals."""

    by_row: Mapping[int, float]
    with_decimals: float


def _numbers(table: SampleTable, path: str) -> _Numbers | None:
    """Return the numbers of a field other than zero; None if it holds something else mostly."""
    found: dict[int, float] = {}
    decimals = 0
    values = table.values(path)
    for row, value in values.items():
        number = number_of(value)
        if number is not None and number.value:
            found[row] = number.value
            decimals += number.style != "whole"
    if not found or len(found) < NUMERIC * len(values):
        return None
    return _Numbers(found, decimals / len(found))


def moved_numbers(context: Comparison) -> Iterator[Evidence]:
    """Give the fields whose numbers have moved by a factor since the baseline."""
    if context.base is None:
        return
    for path in sorted(context.now.cells):
        now, base = _numbers(context.now, path), _numbers(context.base, path)
        if now is None or base is None:
            continue
        pairs = _pairs(context, now, base)
        if len(pairs) >= max(MIN_PAIRS, len(now.by_row) // 4):
            yield from _moved_one_by_one(context, path, pairs)
        else:
            yield from _moved_together(context, path, now, base)


# ---- the same jobs in both batches ----


def _pairs(context: Comparison, now: _Numbers, base: _Numbers) -> dict[int, tuple[float, float]]:
    """Return the numbers of a row now and of its job before."""
    assert context.base is not None
    before = context.base.row_of_key
    found = {}
    for row, value in now.by_row.items():
        other = before.get(context.now.rows[row].key)
        if other is not None and other in base.by_row:
            found[row] = (value, base.by_row[other])
    return found


def _moved_one_by_one(
    context: Comparison, path: str, pairs: Mapping[int, tuple[float, float]]
) -> Iterator[Evidence]:
    assert context.base is not None
    labels = {row: _step(*pair) for row, pair in pairs.items()}
    usual = _usual_rows(context, pairs)
    for label in sorted({each for each in labels.values() if each != _SAME}):
        hits = [row for row, each in labels.items() if each == label]
        if len({pairs[row] for row in hits}) < min(3, len(pairs)):
            continue
        is_scattered = len([1 for each in labels.values() if each not in (_SAME, label)])
        watched = Watched(
            kind="unit" if label in _UNIT_LABELS else "number",
            column=path,
            says=label,
            bad=len(hits) > is_scattered,
            usual=1.0,
            least=0.1 if label not in _UNIT_LABELS else 0.3,
            bad_rise=0.15,
            specific=True,
        )
        yield from label_rises(context, watched, labels, usual, label)


def _usual_rows(context: Comparison, pairs: Mapping[int, object]) -> dict[int, str]:
    """Return the same jobs in the baseline, where nothing has moved."""
    assert context.base is not None
    before = context.base.row_of_key
    return {before[context.now.rows[row].key]: _SAME for row in pairs}


_SAME = "as before"
_FAHRENHEIT = "is as degrees Fahrenheit are to Celsius, in the same jobs,"
_UNIT_LABELS = {
    _FAHRENHEIT,
    *(f"is as {units} are to each other, in the same jobs," for units in CONVERSIONS),
}


def _step(now: float, before: float) -> str:
    """Return how a number of a job has moved, where that has a likely cause."""
    ratio = now / before
    if ratio > 0:
        log = math.log10(ratio)
        power = round(log)
        if power and abs(log - power) <= NEAR:
            return f"is {_factor(power)} as large as before, in the same jobs,"
        for units, factor in CONVERSIONS.items():
            if abs(abs(math.log10(ratio)) - math.log10(factor)) < EXACT:
                return f"is as {units} are to each other, in the same jobs,"
    if abs(before) < 200 and (_is_fahrenheit(now, before) or _is_fahrenheit(before, now)):
        return _FAHRENHEIT
    return _SAME


def _is_fahrenheit(one: float, other: float) -> bool:
    return abs(one - (1.8 * other + 32)) <= 0.6 and abs(one - other) > 2


def _factor(power: int) -> str:
    return f"{10**power:,} times" if power > 0 else f"1/{10**-power:,}"


# ---- other jobs ----


def _moved_together(
    context: Comparison, path: str, now: _Numbers, base: _Numbers
) -> Iterator[Evidence]:
    assert context.base is not None
    ranges = _ranges(context.base, base)
    labels, before = (
        {
            row: _outside(value, ranges.get(table.rows[row].host, ranges[None]))
            for row, value in numbers.by_row.items()
        }
        for table, numbers in ((context.now, now), (context.base, base))
    )
    for label in ("above", "below"):
        hits = [row for row, each in labels.items() if each == label]
        if not hits:
            continue
        factor = _shift(context, hits, now, base)
        whole = max(now.with_decimals, base.with_decimals) < NUMERIC / 2
        near_power = abs(factor - round(factor)) <= NEAR and round(factor) != 0
        fell = whole and factor < 0
        watched = Watched(
            kind="number",
            column=path,
            says=f"is far {label} what it was, about {_times(factor)},",
            bad=(abs(factor) >= FAR or near_power) and not (fell and not near_power),
            bad_rise=0.15,
        )
        yield from label_rises(context, watched, labels, before, label)


def _ranges(base: SampleTable, numbers: _Numbers) -> dict[str | None, tuple[float, float]]:
    """Return what is usual, as logarithms, by host; None stands for all hosts."""
    logs: dict[str | None, list[float]] = {None: []}
    for row, value in numbers.by_row.items():
        logs[None].append(_log(value))
        logs.setdefault(base.rows[row].host, []).append(_log(value))
    return {host: _range(each) for host, each in logs.items() if host is None or len(each) > 4}


def _range(logs: list[float]) -> tuple[float, float]:
    ordered = sorted(logs)
    cut = len(ordered) // 20
    low, high = ordered[cut], ordered[-1 - cut]
    margin = max(JUMP, (high - low) * 0.25)
    return low - margin, high + margin


def _log(value: float) -> float:
    return math.log10(abs(value))


def _outside(value: float, usual: tuple[float, float]) -> str:
    log = _log(value)
    return "above" if log > usual[1] else "below" if log < usual[0] else "usual"


def _shift(context: Comparison, hits: list[int], now: _Numbers, base: _Numbers) -> float:
    """Return by how much these rows are off the middle of their hosts, as a logarithm."""
    assert context.base is not None
    middles: dict[str | None, list[float]] = {None: []}
    for row, value in base.by_row.items():
        middles[None].append(_log(value))
        middles.setdefault(context.base.rows[row].host, []).append(_log(value))
    middle = {host: median(each) for host, each in middles.items()}
    hosts = [context.now.rows[row].host for row in hits]
    moved = [
        _log(now.by_row[row]) - middle.get(host, middle[None])
        for row, host in zip(hits, hosts, strict=True)
    ]
    return median(moved)


def _times(log: float) -> str:
    factor = 10 ** abs(log)
    return f"{factor:,.0f} times" if log > 0 else f"1/{factor:,.0f}"


# ---- hosts of one batch ----


def far_hosts(context: Comparison) -> Iterator[Evidence]:
    """Give the hosts whose numbers are a factor of a hundred off those of all others."""
    for path in sorted(context.now.cells):
        numbers = _numbers(context.now, path)
        if numbers is not None:
            yield from _far_hosts(context, path, numbers)


def _far_hosts(context: Comparison, path: str, numbers: _Numbers) -> Iterator[Evidence]:
    by_host: dict[str, list[int]] = {}
    for row in numbers.by_row:
        by_host.setdefault(context.now.rows[row].host, []).append(row)
    middles = {
        host: median(_log(numbers.by_row[row]) for row in rows)
        for host, rows in by_host.items()
        if len(rows) >= MIN_OF_HOST
    }
    if len(middles) <= MIN_HOSTS:
        return
    usual, spread = median(middles.values()), _spread_of_hosts(numbers, by_host, middles)
    least = max(FAR, spread * SPREADS)
    far = {host for host, middle in middles.items() if abs(middle - usual) >= least}
    others = [middle for host, middle in middles.items() if host not in far]
    if not far or len(far) > len(middles) // 3 or max(others) - min(others) > FAR:
        return
    known = _far_before(context, path)
    for host in sorted(far - known):
        yield _far_host(context, path, host, middles[host] - usual, by_host[host], numbers)


def _spread_of_hosts(
    numbers: _Numbers, by_host: Mapping[str, list[int]], middles: Mapping[str, float]
) -> float:
    """Return how far the numbers of one host are apart, as a logarithm."""
    spreads = []
    for host in middles:
        logs = [_log(numbers.by_row[row]) for row in by_host[host]]
        spreads.append(max(logs) - min(logs))
    return median(spreads)


def _far_before(context: Comparison, path: str) -> set[str]:
    """Return the hosts that the baseline has: what is usual for them is known."""
    if context.base is None:
        return set()
    return {context.base.rows[row].host for row in context.base.cells.get(path, {})}


def _far_host(
    context: Comparison, path: str, host: str, log: float, rows: list[int], numbers: _Numbers
) -> Evidence:
    decimals: Any = [number_of(context.now.values(path)[row]) for row in rows]
    whole = all(each is None or each.style == "whole" for each in decimals)
    lost_sign = whole and numbers.with_decimals >= NUMERIC / 2 and log > 0
    count = context.now.scaled(rows)
    part = context.sizes[host] / (context.delivered or 1)
    is_bad = lost_sign and part >= 0.05 and context.base is None
    text = f"`{path}` of {host} is {_times(log)} what it is on other hosts, in {count:,} rows"
    if lost_sign:
        text += "; none of them has decimals"
    word = QualityWord.BAD if is_bad else QualityWord.LOOK
    return Evidence(
        QualityReason(kind="number", word=word, column=path, host=host, count=count, text=text),
        tuple(rows[:10]),
    )
