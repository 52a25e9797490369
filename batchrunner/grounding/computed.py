"""Explains a number by a simple computation from other values of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import permutations
from typing import Any

from batchrunner.grounding.mixed_search import price_parts
from batchrunner.grounding.numbers import canonical_value
from batchrunner.grounding.values import Leaf, name_words

#: Says whether a number is in the pages.
Known = Callable[[Decimal], bool]
#: Values beside a number that it may be computed from.
_MAX_BESIDE = 12
_MAX_ITEMS = 2000
#: Words in a field's name that say how it is computed.
_COUNTS = frozenset(
    {"count", "total", "number", "num", "quantity", "amount", "items", "results", "size", "length"}
    | {"anzahl", "gesamt", "nombre", "numero", "cantidad", "n"}
)

_DIFFERENCES = frozenset(
    {
        "difference",
        "diff",
        "saving",
        "savings",
        "saved",
        "save",
        "discount",
        "change",
        "gap",
        "net",
        "subtotal",
    }
    | {"margin", "profit", "ersparnis", "differenz", "rabatt", "economie", "ahorro", "descuento"}
)
_SUMS = frozenset(
    {"total", "sum", "overall", "gross", "subtotal", "combined", "all", "gesamt", "summe", "somme"}
    | {"suma", "totale", "totaal", "summa"}
)
_RATIOS = frozenset({"per", "ratio", "average", "avg", "mean", "unit", "pro", "je", "por", "par"})
_SHARES = frozenset(
    {"percent", "percentage", "pct", "discount", "share", "rate", "rabatt", "prozent", "saving"}
    | {"savings", "reduction", "descuento", "sconto", "desconto", "growth"}
)
#: A number with so many digits is not chance where a computation gives it.
_MANY_DIGITS = 4


def explain(leaf: Leaf, value: Decimal, result: Any, is_known: Known) -> str:
    """Return how a number follows from the values beside it; "" if it does not."""
    for name, part in _lists(leaf, result):
        if reason := _of_list(leaf, value, name, part, is_known):
            return reason
    beside = {
        name: number
        for name, part in list(leaf.parent.items())[:_MAX_BESIDE]
        if name != leaf.name and (number := number_of(part)) is not None and is_known(number)
    }
    return _of_two(leaf, value, beside)


def number_of(part: Any) -> Decimal | None:
    """Return the number that a value is, or the only one in its text."""
    if isinstance(part, bool):
        return None
    if isinstance(part, int | float):
        text = canonical_value(part)
        return Decimal(text) * (-1 if part < 0 else 1) if text else None
    price = price_parts(part) if isinstance(part, str) else None
    return Decimal(price[0][0]) if price else None


def _lists(leaf: Leaf, result: Any) -> Iterator[tuple[str, list[Any]]]:
    for source in (leaf.parent, result):
        if isinstance(source, Mapping):
            for name, part in source.items():
                if isinstance(part, list):
                    yield name, part
                elif isinstance(part, dict) and part is not leaf.parent:
                    yield name, list(part.values())
        elif isinstance(source, list):
            yield "", source


def _of_list(leaf: Leaf, value: Decimal, name: str, part: list[Any], is_known: Known) -> str:
    shown = name or "the list"
    if value == len(part) and (part or "") and _is_count(leaf, name):
        return f"the number of items in {shown}"
    for field, numbers in _columns(part[:_MAX_ITEMS]):
        of = f"{shown}[].{field}" if field else f"{shown}[]"
        total = sum(numbers, Decimal(0))
        if len(numbers) < 2 or not all(map(is_known, numbers)):
            continue
        if value == total:
            return f"the sum of {of}"
        if _rounds_to(total / len(numbers), value):
            return f"the average of {of}"
        if value in (min(numbers), max(numbers)):
            return f"the {'least' if value == min(numbers) else 'greatest'} of {of}"
    return ""


def _is_count(leaf: Leaf, name: str) -> bool:
    own = set(leaf.words)
    return bool(own & _COUNTS or own & set(name_words(name)))


def _columns(part: list[Any]) -> Iterator[tuple[str, list[Decimal]]]:
    if all(isinstance(each, dict) for each in part):
        for field in list(part[0])[:_MAX_BESIDE] if part else ():
            numbers = [number_of(each.get(field)) for each in part]
            known = [number for number in numbers if number is not None]
            if len(known) == len(numbers):
                yield field, known
    else:
        known = [number for each in part if (number := number_of(each)) is not None]
        if len(known) == len(part):
            yield "", known


def _of_two(leaf: Leaf, value: Decimal, beside: Mapping[str, Decimal]) -> str:
    named = frozenset(leaf.words)
    exact = len(canonical_digits(value)) >= _MANY_DIGITS
    for (one, first), (two, second) in permutations(beside.items(), 2):
        for sign, result in _operations(first, second, named, exact):
            if _rounds_to(result, value):
                return f"{one} {sign} {two}"
    numbers = list(beside.values())
    if len(numbers) >= 3 and value == sum(numbers, Decimal(0)) and (exact or named & _SUMS):
        return "the sum of the numbers beside it"
    return ""


def _operations(
    first: Decimal, second: Decimal, named: frozenset[str], exact: bool
) -> Iterator[tuple[str, Decimal]]:
    """
    Give what two numbers make, where the field's name speaks for it.

    A number with many digits is explained without that: it is not chance.
    """
    if exact or named & _DIFFERENCES:
        yield "-", first - second
    if exact or named & _SUMS:
        yield "+", first + second
        yield "×", first * second
    if second and (exact or named & _RATIOS):
        yield "/", first / second
        yield "× 1000 /", 1000 * first / second
    if second and named & _SHARES:
        yield "in percent less than", 100 * (second - first) / second
        yield "in percent of", 100 * first / second


def canonical_digits(value: Decimal) -> str:
    """Return the digits of a number without zeros at its ends."""
    return (canonical_value(value) or "").replace(".", "").strip("0")


def _rounds_to(exact: Decimal, value: Decimal) -> bool:
    """Say whether a number rounds, or is cut, to a value at the value's decimals."""
    exponent = value.as_tuple().exponent
    places = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    if places > 6:
        return abs(exact - value) < Decimal("1e-6")
    if abs(exact) > 10**15:
        return False
    return abs(abs(exact) - abs(value)) <= Decimal(5).scaleb(-places - 1)
