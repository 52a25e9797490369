"""Looks for short texts: as they stand, written together or apart, reordered, or in parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from batchrunner.grounding.folding import folded, is_unspaced, readable
from batchrunner.grounding.folding import words as words_of
from batchrunner.grounding.page_index import PageIndex, Segment

#: Texts with fewer words, written together, are found by chance.
_MIN_SQUEEZED_WORDS = 4
#: Longest text whose letters may be apart in the page (`Wi-Fi` for `WiFi`), in characters.
_MAX_SPREAD = 40
#: How far the words of one text may be apart beside their own length, in characters.
_WINDOW = 60
#: The same for two or three words: two people may stand beside each other.
_TIGHT = 8
#: Places of one word that are looked at.
_MAX_PLACES = 200
#: Shorter words with another ending are other words.
_MIN_INFLECTED = 6
_JOINTS = re.compile(r"[,;/|()·•\n\[\]]+|\s[-–—:]\s|:\s")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SCHEMA_ORG = re.compile(r"https?://(?:www\.)?schema\.org/(?=\w+$)")


class Hit(NamedTuple):
    """Where a value was found, and how well."""

    segment: Segment | None
    start: int = 0
    end: int = 0
    how: str = ""  #: empty: it stands there as it is
    shown: str = ""  #: the excerpt, where no place in the text is known

    @property
    def excerpt(self) -> str:
        """The text around the place."""
        if self.shown or self.segment is None:
            return self.shown
        return self.segment.excerpt(self.start, self.end)


def has_unspaced(text: str) -> bool:
    """Say whether a text holds a script that puts no spaces between words."""
    return not text.isascii() and any(map(is_unspaced, text))


def find_as_written(index: PageIndex, value: str) -> Iterator[Hit]:
    """Give places in which the words of a text stand one after the other, the best ones first."""
    words = words_of(value)
    if not words:
        return
    for segment in index.segments:
        yield from _one_after_the_other(segment, words)
    squeezed = "".join(words)
    if has_unspaced(squeezed) or len(words) >= _MIN_SQUEEZED_WORDS:
        for segment in index.segments:
            if squeezed in segment.squeezed:
                yield _in_words(segment, segment.squeezed, squeezed)


def _one_after_the_other(segment: Segment, words: Sequence[str]) -> Iterator[Hit]:
    spaced = f" {' '.join(words)} "
    if spaced in segment.spaced:
        for place in segment.places(words):
            yield Hit(segment, *place.span())
    elif spaced in segment.joined:
        yield _in_words(segment, segment.joined, spaced)


def _in_words(segment: Segment, text: str, part: str) -> Hit:
    at = text.find(part)
    return Hit(segment, shown=text[max(0, at - 20) : at + 60].strip())


def find_symbols(index: PageIndex, value: str) -> Hit | None:
    """Return the place of a text that has no letters and digits, such as a sign."""
    plain = readable(value).strip()
    for segment in index.segments if plain else ():
        at = segment.text.find(plain)
        if at >= 0:
            return Hit(segment, at, at + len(plain))
    return None


def find_spread(index: PageIndex, value: str) -> Hit | None:
    """Return the place of a text whose letters are grouped in another way: `Wi-Fi`, `AB 1234`."""
    squeezed = "".join(words_of(value))
    if not 4 <= len(squeezed) <= _MAX_SPREAD:
        return None
    pattern = re.compile(r"(?<!\w)" + r"[^\S\n]?".join(map(re.escape, squeezed)) + r"(?!\w)")
    for segment in index.segments:
        # The search takes long where the text cannot be there.
        if squeezed in segment.squeezed and (found := pattern.search(segment.folded)):
            return Hit(segment, *found.span())
    return None


def spellings(value: str) -> list[str]:
    """Return a short text, and the words inside a code such as `InStock` or `in_stock`."""
    short = _SCHEMA_ORG.sub("", value)
    apart = _CAMEL.sub(" ", short)
    return list(dict.fromkeys((value, short, apart)))


def find_reordered(index: PageIndex, value: str) -> Hit | None:
    """Return a place in which all words of a text stand near each other, some shortened."""
    words = list(dict.fromkeys(words_of(value)))
    if not 2 <= len(words) <= 24 or " " not in value.strip():
        return None
    for segment in index.segments:
        place = _near_each_other(segment, words, len(value), _WINDOW if len(words) > 3 else _TIGHT)
        if place:
            return Hit(segment, *place[:2], how=place[2])
    return None


def _near_each_other(
    segment: Segment, words: Sequence[str], length: int, room: int
) -> tuple[int, int, str] | None:
    text = segment.folded
    longest = max(words, key=len)
    if f" {longest} " not in segment.spaced:
        return None
    for count, place in enumerate(segment.places([longest])):
        if count >= _MAX_PLACES:
            return None
        left, right = max(0, place.start() - length - room), place.end() + length + room
        around = text[left:right].split()
        known = set(around)
        missing = [word for word in words if word not in known]
        if not missing:
            return place.start(), place.end(), ""
        if len(missing) * 3 <= len(words) and all(_shortened(word, known) for word in missing):
            return place.start(), place.end(), "abbreviated"
    return None


def _shortened(word: str, known: set[str]) -> bool:
    """Say whether a word stands shortened, or is short for one that stands there."""
    if any(char.isdigit() for char in word):
        return False
    return any(
        each[0] == word[0]
        and (len(each) == 1 or len(word) == 1 or _is_start(each, word) or _is_start(word, each))
        for each in known
        if each.isalpha()
    )


def _is_start(short: str, long: str) -> bool:
    return len(short) >= 2 and len(short) < len(long) and long.startswith(short)


def find_inflected(index: PageIndex, value: str) -> Hit | None:
    """Return the place of a single word with another ending: `Mondays` for `Monday`."""
    words = words_of(value)
    if len(words) != 1 or len(words[0]) < _MIN_INFLECTED or not words[0].isalpha():
        return None
    pattern = re.compile(rf"(?<!\w){words[0][:-1]}{words[0][-1]}?[^\W\d_]{{0,2}}(?!\w)")
    for segment in index.segments:
        for found in pattern.finditer(segment.folded) if words[0][:-1] in segment.folded else ():
            if found[0] != words[0]:
                return Hit(segment, *found.span(), how="in another form")
    return None


def find_parts(index: PageIndex, value: str) -> Hit | None:
    """Return that all parts of a text, between its commas and the like, are in the pages."""
    parts = [part.strip() for part in _JOINTS.split(value) if part.strip(" .\"'")]
    if not 2 <= len(parts) <= 30:
        return None
    first: Hit | None = None
    for part in parts:
        letters = folded(readable(part)).strip()
        hit = next(find_as_written(index, part), None) if letters else first
        if len(letters) < 2 or hit is None:
            return None
        first = first or hit
    return first and first._replace(how="put together from parts")
