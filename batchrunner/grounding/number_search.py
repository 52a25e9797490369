"""Looks for numbers, and decides whether a small number stands there for the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from batchrunner.grounding.folding import is_unspaced
from batchrunner.grounding.found import Where
from batchrunner.grounding.numbers import NumberAt, is_common
from batchrunner.grounding.page_index import PageIndex, Segment
from batchrunner.grounding.text_search import Hit
from batchrunner.grounding.values import name_words
from batchrunner.grounding.words import CONCEPTS, CURRENCIES_OF, concepts_of

#: How far from a number the words may stand that say what it is, in characters.
_BEFORE, _AFTER = 60, 40
#: How far from a number the other values of the same thing may stand, in characters.
_NEAR = 600
_CLOSE = 150
_SIGN_AFTER = re.compile(r"[ \x01]?([^\w\s.,;:()]{1,3}|[^\W\d_]{1,8}\$?)")
_SIGN_BEFORE = re.compile(r"([^\w\s.,;:()]{1,3}|[^\W\d_]{1,8}[.$]?|[^\W\d_]{1,3}\$)[ \x01]?\Z")
_WORD = re.compile(r"[^\W\d_]+")
_SHARES = frozenset({"percent", "percentage", "discount", "rate", "pct", "share", "rabatt"})
#: A longest line that can be a label, in characters.
_MAX_LABEL = 40


class Subject(NamedTuple):
    """What a number is about: the words of its field, and what else its row says."""

    words: frozenset[str]  #: of the field's name
    concepts: frozenset[str]
    anchors: dict[int, list[int]]  #: where other values of the same row stand, by segment
    currencies: frozenset[str] = frozenset()  #: codes that its sign may stand for


def find_number(index: PageIndex, value: str, subject: Subject) -> Hit | None:
    """Return the place of a number; a common one counts only where it is about the same."""
    for segment in index.segments:
        for place in segment.numbers.get(value, ()):
            if not _currency_fits(segment, place, subject.currencies):
                continue
            if not is_common(value) or is_about(segment, place, subject):
                return Hit(segment, place.start, place.end)
    if len(value) >= 4 and "." not in value:
        return _in_address(index, value)
    return None


def _in_address(index: PageIndex, value: str) -> Hit | None:
    pattern = re.compile(rf"(?<!\d){value}(?!\d)")
    for addresses in index.addresses:
        for each in addresses:
            if value in each and pattern.search(each):
                return Hit(None, shown=each)
    return None


def signs_beside(segment: Segment, place: NumberAt) -> list[str]:
    """Return the sign or word right before and after a number, in lower case."""
    text = segment.text
    before = _SIGN_BEFORE.search(text, max(0, place.start - 10), place.start)
    after = _SIGN_AFTER.match(text, place.end)
    return [found[1].lower().strip(" .") for found in (before, after) if found]


def _currency_fits(segment: Segment, place: NumberAt, wanted: frozenset[str]) -> bool:
    if not wanted:
        return True
    shown = [CURRENCIES_OF[sign] for sign in signs_beside(segment, place) if sign in CURRENCIES_OF]
    return not shown or any(wanted & each for each in shown)


def is_about(segment: Segment, place: NumberAt, subject: Subject) -> bool:
    """Say whether a number in a page is about what a field is about."""
    start, end = segment.line_at(place.start)
    rest = segment.folded[start : place.start] + " " + segment.folded[place.end : end]
    if segment.where is not Where.TEXT and not _WORD.search(rest):
        return _key_fits(segment.key_at(place.start), subject)
    beside = _concept_beside(segment, place)
    if beside and subject.concepts:
        return bool(beside & subject.concepts)
    if _price_or_share(segment, place, subject):
        return True
    around = _around(segment, place, start, end)
    if _mentions(around, subject):
        return "time" not in beside or "time" in subject.concepts
    if beside:
        return False
    return _by_place(segment, place, subject, bool(_WORD.search(rest)))


def _key_fits(key: str, subject: Subject) -> bool:
    words = frozenset(name_words(key))
    return bool(words & subject.words or concepts_of(words) & subject.concepts)


def _concept_beside(segment: Segment, place: NumberAt) -> frozenset[str]:
    """Return what the word right after a number says that it counts."""
    after = segment.folded[place.end : place.end + 24].split("\n")[0].lstrip()
    if not after:
        return frozenset()
    return frozenset(
        concept
        for concept, words in CONCEPTS.items()
        if any(_starts_with(after, word) for word in words)
    )


def _starts_with(text: str, word: str) -> bool:
    if not text.startswith(word):
        return False
    return is_unspaced(word[0]) or not text[len(word) : len(word) + 1].isalpha()


def _price_or_share(segment: Segment, place: NumberAt, subject: Subject) -> bool:
    signs = signs_beside(segment, place)
    if subject.currencies or "price" in subject.concepts:
        return any(sign in CURRENCIES_OF for sign in signs)
    return "%" in signs and bool(subject.words & _SHARES)


def _around(segment: Segment, place: NumberAt, start: int, end: int) -> str:
    """Return the folded words near a number: of its line, and of the lines beside a short one."""
    if end - start <= _MAX_LABEL:
        start = segment.line_at(max(0, start - 2))[0]
        end = segment.line_at(min(len(segment.text), end + 1))[1]
    left, right = max(start, place.start - _BEFORE), min(end, place.end + _AFTER)
    return f" {' '.join(segment.folded[left:right].split())} "


def _mentions(around: str, subject: Subject) -> bool:
    if any(f" {word[:-1] if word.endswith('s') else word}" in around for word in subject.words):
        return True
    return any(
        (word if is_unspaced(word[0]) else f" {word} ") in around
        for concept in subject.concepts
        for word in CONCEPTS[concept]
    )


def _by_place(segment: Segment, place: NumberAt, subject: Subject, in_words: bool) -> bool:
    """Say whether a number stands beside the other values of its row, or behind a label."""
    anchors = subject.anchors.get(id(segment), [])
    distance = min((abs(each - place.start) for each in anchors), default=None)
    if in_words:
        return distance is not None and distance <= _CLOSE and not subject.concepts
    if distance is not None:
        return distance <= _NEAR
    return not subject.anchors and any(_labels(segment, place))


def _labels(segment: Segment, place: NumberAt) -> Iterator[bool]:
    start, end = segment.line_at(place.start)
    before = segment.text[segment.line_at(max(0, start - 2))[0] : start]
    after = segment.text[end + 1 : segment.line_at(min(len(segment.text), end + 1))[1]]
    for label in (before, after):
        yield len(label) <= _MAX_LABEL and bool(_WORD.search(label))
