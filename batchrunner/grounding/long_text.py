"""Decides whether a long text is taken from a page, reworded, or about something else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batchrunner.grounding.folding import readable
from batchrunner.grounding.folding import words as words_of
from batchrunner.grounding.numbers import numbers_in
from batchrunner.grounding.page_index import PageIndex, Segment
from batchrunner.grounding.text_search import Hit, find_as_written, has_unspaced

#: A text with at least so many words may be reworded.
MIN_WORDS = 6
_MAX_LENGTH = 20_000
_SENTENCE = re.compile(r"(?<=[.!?。！？…])\s*|\n+|\.\.\.")
#: Words with fewer letters say little.
_MIN_LETTERS = 4
_STEM = 5
#: Of the words that say much, so many have to be in the page.
_MIN_SHARE = 0.7
_PAIR = 2


def is_long(value: str) -> bool:
    """Say whether a text is long enough to be reworded."""
    words = words_of(value[:_MAX_LENGTH])
    return sum(map(str.isalpha, words)) >= MIN_WORDS or (
        has_unspaced(value) and len("".join(words)) >= 16
    )


def find_long(index: PageIndex, value: str) -> tuple[Hit | None, str]:
    """Return the place of a long text and how it differs; without a place, why it is absent."""
    text = value[:_MAX_LENGTH]
    sentences = [each.strip(" .…") for each in _SENTENCE.split(text) if each.strip(" .…")]
    hits = [next(find_as_written(index, each), None) for each in sentences[:50]]
    known = [hit for hit in hits if hit]
    if known and len(known) == len(hits):
        return known[0], ""
    missing = list(_missing_numbers(index, text))
    if missing:
        return None, f"the number {missing[0]} is not in the page"
    share = _pair_share(index, text) if has_unspaced(text) else _word_share(index, text)
    if share >= _MIN_SHARE:
        return known[0] if known else Hit(None), f"reworded, {share:.0%} of its words"
    if _other_language(index, text):
        names = list(_names(text))
        if names and all(next(find_as_written(index, each), None) for each in names):
            return known[0] if known else Hit(None), "in another language"
    return None, f"{share:.0%} of its words are in the page"


def _missing_numbers(index: PageIndex, text: str) -> Iterator[str]:
    grouped: dict[tuple[int, int], list[str]] = {}
    for each in numbers_in(readable(text)):
        grouped.setdefault((each.start, each.end), []).append(each.value)
    for values in grouped.values():
        if not any(value in segment.numbers for value in values for segment in index.segments):
            yield values[0]


def _word_share(index: PageIndex, text: str) -> float:
    heavy = {word for word in words_of(text) if len(word) >= _MIN_LETTERS and word.isalpha()}
    if not heavy:
        return 0.0
    found = sum(_is_known(index, word) for word in heavy)
    return found / len(heavy)


def _is_known(index: PageIndex, word: str) -> bool:
    stem = f" {word[: max(_STEM, len(word) - 3)]}"
    return any(stem in segment.spaced or stem in segment.joined for segment in index.segments)


def _pair_share(index: PageIndex, text: str) -> float:
    squeezed = "".join(words_of(text))
    pairs = {squeezed[at : at + _PAIR] for at in range(len(squeezed) - _PAIR + 1)}
    found = sum(any(pair in segment.squeezed for segment in index.segments) for pair in pairs)
    return found / len(pairs) if pairs else 0.0


_FUNCTION_WORDS = {
    "en": ["the", "and", "is", "are", "with", "for", "from", "this", "that", "was"],
    "de": ["der", "die", "das", "und", "ist", "mit", "fur", "von", "ein", "auf"],
    "fr": ["le", "la", "les", "et", "est", "avec", "pour", "une", "des", "dans"],
    "es": ["el", "los", "las", "una", "con", "para", "es", "del", "por", "en"],
    "it": ["il", "gli", "della", "con", "per", "una", "sono", "che", "di", "non"],
    "pt": ["os", "uma", "com", "para", "do", "da", "nao", "em", "que", "um"],
    "nl": ["het", "een", "van", "met", "voor", "zijn", "op", "niet", "aan", "bij"],
    "pl": ["jest", "oraz", "na", "dla", "sie", "przez", "od", "nie", "do", "z"],
}


def language_of(spaced: str) -> str:
    """Return the language that most frequent small words speak for; a script's name for others."""
    letters = spaced[:2000].replace(" ", "")
    foreign = sum(char > "\u036f" for char in letters)
    if letters and foreign * 2 > len(letters):
        return f"script {ord(max(letters)) >> 8}"
    spaced = spaced[:20_000]
    counts = {
        language: sum(min(spaced.count(f" {word} "), 20) for word in words)
        for language, words in _FUNCTION_WORDS.items()
    }
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= 2 else ""


def _language(segment: Segment) -> str:
    return segment.remember("language", lambda: language_of(segment.spaced))


def _other_language(index: PageIndex, text: str) -> bool:
    own = language_of(f" {' '.join(words_of(text))} ")
    pages = {_language(segment) for segment in index.segments[:2]} - {""}
    return bool(own and pages and own not in pages)


_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")


def _names(text: str) -> Iterator[str]:
    yield from _NAME.findall(text)[:20]
