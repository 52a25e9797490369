"""Yes and no, and short answers such as `InStock`, which pages say in other words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchrunner.grounding.folding import is_unspaced
from batchrunner.grounding.folding import words as words_of
from batchrunner.grounding.found import Status, Where
from batchrunner.grounding.page_index import PageIndex, Segment
from batchrunner.grounding.text_search import Hit, spellings
from batchrunner.grounding.values import Leaf, name_words
from batchrunner.grounding.words import CURRENCIES, CURRENCIES_OF, SAME

_OPPOSITE = {"in_stock": "out_of_stock", "out_of_stock": "in_stock"}
_STOCK_WORDS = frozenset(
    {"stock", "instock", "available", "availability", "soldout", "verfugbar", "lieferbar"}
)
_EMPTY_WORDS = frozenset(["is", "has", "are", "can", "does", "the", "a"])


def _groups(value: str) -> list[str]:
    plain = {" ".join(words_of(each)) for each in spellings(value)}
    return [name for name, each in SAME.items() if plain & each]


def yes_or_no(value: str) -> bool | None:
    """Return what a text such as `yes` or `nein` says; None if it says something else."""
    plain = " ".join(words_of(value))
    return True if plain in SAME["yes"] else False if plain in SAME["no"] else None


def find_same(index: PageIndex, leaf: Leaf, value: str) -> Hit | None:
    """Return the place where a page says a short answer in other words."""
    for group in _groups(value):
        if hit := _find_group(index, group):
            return hit
        if group == "yes" or group == "no":
            return None
    if hit := _find_currency(index, value):
        return hit
    names = set(leaf.words)
    code = value.strip().lower()
    if names & {"language", "lang", "locale"} and code[:2] in index.languages:
        return Hit(None, how="the language of the page")
    return None


def _find_currency(index: PageIndex, value: str) -> Hit | None:
    """Return a place where a number stands with a sign or code of a currency."""
    wanted = CURRENCIES_OF.get(value.strip().lower(), frozenset())
    for segment in index.segments if wanted else ():
        for sign in sorted({sign for code in wanted for sign in CURRENCIES[code]}, key=len):
            pattern = (
                rf"(?:\d[-–,.]{{0,3}}\s?|^|(?<!\w)){re.escape(sign)}(?!\w)|{re.escape(sign)}\s?\d"
            )
            if found := re.search(pattern, segment.text, re.IGNORECASE | re.MULTILINE):
                return Hit(segment, *found.span())
    return None


def _find_group(index: PageIndex, group: str) -> Hit | None:
    for segment in index.segments:
        for word in SAME[group]:
            for hit in _places(segment, word):
                if not _inside_opposite(hit, group):
                    return hit._replace(how="said in other words")
    return None


def _places(segment: Segment, phrase: str) -> Iterator[Hit]:
    if is_unspaced(phrase[0]):
        at = segment.folded.find(phrase)
        while at >= 0:
            yield Hit(segment, at, at + len(phrase))
            at = segment.folded.find(phrase, at + 1)
    elif f" {phrase} " in segment.spaced:
        for place in segment.places(phrase.split()):
            yield Hit(segment, *place.span())


def _inside_opposite(hit: Hit, group: str) -> bool:
    """Say whether a place is part of the opposite: `available` in `not available`."""
    opposite = _OPPOSITE.get(group)
    if opposite is None or hit.segment is None or not hit.end:
        return False
    text = hit.segment.folded[max(0, hit.start - 24) : hit.end + 24]
    around = f" {' '.join(text.split())} "
    own = " ".join(hit.segment.folded[hit.start : hit.end].split())
    return any(
        own in phrase and (phrase in around if is_unspaced(phrase[0]) else f" {phrase} " in around)
        for phrase in SAME[opposite]
        if len(phrase) > len(own)
    )


def is_contradicted(value: str, hit: Hit) -> bool:
    """Say whether a short answer stands only inside its opposite."""
    return any(_inside_opposite(hit, group) for group in _groups(value))


def find_boolean(index: PageIndex, leaf: Leaf) -> tuple[Hit | None, Status] | None:
    """
    Return what a page says about yes or no: where, and whether it follows or stands there.

    Without a place, the page says the opposite. None: the page says nothing.
    """
    words = set(leaf.words) - _EMPTY_WORDS
    if hit := _in_data(index, leaf):
        return hit, Status.GROUNDED
    if words & _STOCK_WORDS:
        positive = "out_of_stock" if words & {"out", "soldout", "unavailable"} else "in_stock"
        group = positive if leaf.value else _OPPOSITE[positive]
        if hit := _find_group(index, group):
            return hit, Status.DERIVED
        return (None, Status.ABSENT) if _find_group(index, _OPPOSITE[group]) else None
    if leaf.value and words and (hit := _named_beside(index, sorted(words))):
        return hit, Status.DERIVED
    return None


def _in_data(index: PageIndex, leaf: Leaf) -> Hit | None:
    wanted = "true" if leaf.value else "false"
    for segment in index.segments:
        if segment.where is Where.TEXT:
            continue
        for start, key in segment.keys:
            if name_words(key) == leaf.words and segment.text.startswith(wanted, start):
                return Hit(segment, start, start + len(wanted))
    return None


def _named_beside(index: PageIndex, words: list[str]) -> Hit | None:
    for segment in index.segments:
        for place in segment.places(words[:1]) if f" {words[0]} " in segment.spaced else ():
            around = segment.folded[max(0, place.start() - 60) : place.end() + 60].split()
            if all(word in around for word in words):
                return Hit(segment, *place.span(), how="named in the page")
    return None
