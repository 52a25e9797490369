"""The words for numbers, dates and short answers, loaded from `words.toml` and `months.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from batchrunner.grounding.folding import folded, readable, words


def _data(name: str) -> Any:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


_DATA = _data("words.toml")


def _folded(each: str) -> str:
    return " ".join(words(each))


def _sets(table: Mapping[str, Iterable[str]]) -> Mapping[str, frozenset[str]]:
    return {name: frozenset(map(_folded, each)) - {""} for name, each in table.items()}


#: A word after a number → how many zeros it stands for.
SCALES: Mapping[str, int] = {_folded(word): zeros for word, zeros in _DATA["scales"].items()}
#: The code of a currency → the signs and words that stand for it, in lower case.
CURRENCIES: Mapping[str, frozenset[str]] = {
    code: frozenset({code.lower(), *(readable(each).lower() for each in signs)})
    for code, signs in _DATA["currencies"].items()
}
#: A sign, word or code → the codes of the currencies that it may stand for.
CURRENCIES_OF: Mapping[str, frozenset[str]] = {
    sign: frozenset(code for code, signs in CURRENCIES.items() if sign in signs)
    for sign in frozenset().union(*CURRENCIES.values())
}
#: What a field may be about → the words that a page shows beside such a value.
CONCEPTS = _sets(_DATA["concepts"])
#: A short answer → what pages say where it holds.
SAME = {name: each | {_folded(name)} for name, each in _sets(_DATA["same"]).items()}
#: A word, or the start of one in scripts without spaces → the concepts that it speaks for.
CONCEPTS_OF: Mapping[str, frozenset[str]] = {
    word: frozenset(concept for concept, each in CONCEPTS.items() if word in each)
    for word in frozenset().union(*CONCEPTS.values())
}
#: Units by what they measure, with their size; a field's name may have one, a page another.
UNITS = (
    {"mg": "0.001", "g": "1", "gram": "1", "grams": "1", "kg": "1000", "t": "1000000"},
    {"ml": "1", "cl": "10", "dl": "100", "l": "1000", "liter": "1000", "litre": "1000"},
    {"mm": "1", "cm": "10", "m": "1000", "km": "1000000", "meter": "1000", "metres": "1000"},
    {"seconds": "1", "s": "1", "sec": "1", "min": "60", "mins": "60", "minutes": "60"}
    | {"minuten": "60", "h": "3600", "hr": "3600", "hours": "3600", "hour": "3600"}
    | {"stunden": "3600", "heures": "3600", "horas": "3600", "days": "86400", "tage": "86400"}
    | {"day": "86400", "weeks": "604800", "week": "604800", "wochen": "604800"},
    {"months": "1", "month": "1", "monate": "1", "years": "12", "year": "12", "jahre": "12"}
    | {"ans": "12", "anos": "12", "mois": "1", "meses": "1", "mesi": "1", "anni": "12"},
    {"kb": "0.001", "mb": "1", "gb": "1000", "tb": "1000000"},
    {"w": "1", "kw": "1000", "mw": "1000000"},
)
RELATIVE_DATES = _sets(_DATA["relative"])["days"]
#: A word for a number → the number.
NUMBER_WORDS: Mapping[str, str] = {_folded(word): each for word, each in _DATA["numbers"].items()}
#: The name of a month → the numbers of the months that it may mean.
MONTHS: Mapping[str, tuple[int, ...]] = {
    _folded(name): tuple(map(int, numbers.split()))
    for numbers, names in _data("months.toml")["months"].items()
    for name in names
}


def concepts_of(names: Iterable[str]) -> frozenset[str]:
    """Return what a field with these words in its name is about."""
    known = {folded(each) for each in names}
    spelled = f" {' '.join(map(folded, names))} "
    return frozenset(
        concept
        for concept, each in CONCEPTS.items()
        if concept in known or any(word in known or f" {word} " in spelled for word in each)
    )
