"""Finds listed words in texts, whatever their case and punctuation, in bounded time."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Hashable, Iterable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar

#: Characters of a text in which words are looked for.
MAX_TEXT_LENGTH = 1000
#: Letters by which the phrases that may begin with a word are found.
_INDEXED = 3

#: Vowel signs of Hindi belong to words, although `\w` does not know them.
_BREAKS = re.compile(r"(?:[^\w\u0900-\u0963\u0966-\u097f]|_)+")
_PHRASE_BREAKS = re.compile(r"[^\w\u0900-\u0963\u0966-\u097f()|*^]+")
#: Marks that Arabic texts have or not, and the dot that lower case adds to a Turkish letter.
_LEFT_OUT = dict.fromkeys([*range(0x64B, 0x653), 0x640, 0x307])
#: A byte of ASCII text → its letter in lower case, or a space.
_ASCII_WORDS = bytes(ord(chr(byte).lower()) if chr(byte).isalnum() else 32 for byte in range(128))
_ASCII_WORDS += bytes(128)
#: Scripts without spaces, or whose words have endings: their words match anywhere in a text.
_UNSPACED = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")

K = TypeVar("K", bound=Hashable)


class Match(NamedTuple, Generic[K]):
    """Words in a text: what kind they are of, and where they begin in the plain text."""

    kind: K
    start: int


@lru_cache(maxsize=512)
def plain(text: str) -> str:
    """Return the words of the start of a text, with a space before, between and after them."""
    text = text[:MAX_TEXT_LENGTH]
    if text.isascii():  # the same as below, ten times as fast
        return f" {' '.join(text.encode().translate(_ASCII_WORDS).decode().split())} "
    return f" {_BREAKS.sub(' ', _folded(text)).strip()} "


def _folded(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return text.casefold().translate(_LEFT_OUT)


class Words(Generic[K]):
    """
    Phrases of several kinds.

    In a phrase `(a|b)` stands for either, `_` for any word, `*` for any letters, and a `^` in front
    for the start of the text.
    """

    def __init__(self, phrases: Iterable[tuple[K, str]]) -> None:
        self._by_start: dict[str, dict[K, list[str]]] = {}
        self._anywhere: list[tuple[K, str]] = []
        for kind, phrase in phrases:
            if _UNSPACED.search(phrase):
                self._anywhere.append((kind, _squeezed(plain(phrase))))
                continue
            written = _PHRASE_BREAKS.sub(" ", _folded(phrase))
            for start in set(_starts(written.removeprefix("^ "))):
                self._by_start.setdefault(start, {}).setdefault(kind, []).append(written)
        self._patterns = cache(self._compiled)
        # Most words begin no phrase: what a text's words begin with is looked up once.
        self._patterns_of = lru_cache(maxsize=4096)(self._patterns_after)

    def find(self, text: str) -> Iterator[Match[K]]:
        """Give the phrases in a plain text: those of scripts without spaces come last."""
        at, patterns_of, is_ascii = 0, self._patterns_of, text.isascii()
        for word in text.split():
            for kind, _, pattern in patterns_of(word[:_INDEXED], is_ascii):
                if pattern.match(text, at):
                    yield Match(kind, at)
            at += len(word) + 1
        if self._anywhere and not is_ascii and _UNSPACED.search(text):
            squeezed = _squeezed(text)
            for kind, phrase in self._anywhere:
                if (start := squeezed.find(phrase)) >= 0:
                    yield Match(kind, start)

    def whole(self, text: str) -> K | None:
        """Return the kind of the phrase that a plain text is."""
        word, is_ascii = text[1 : 1 + _INDEXED].partition(" ")[0], text.isascii()
        for kind, pattern, _ in self._patterns_of(word, is_ascii):
            if pattern.fullmatch(text, 0, len(text) - 1):
                return kind
        if self._anywhere and not is_ascii and _UNSPACED.search(text):
            squeezed = _squeezed(text)
            return next((kind for kind, phrase in self._anywhere if phrase == squeezed), None)
        return None

    def __contains__(self, text: str) -> bool:
        return next(self.find(text), None) is not None

    def _patterns_after(
        self, letters: str, is_ascii: bool
    ) -> tuple[tuple[K, re.Pattern[str], re.Pattern[str]], ...]:
        """Return what finds the phrases that a word of a text with these first letters begins."""
        start = f"{letters} "[:_INDEXED]
        found = (
            self._patterns(start[:length], is_ascii)
            for length in range(len(start) + 1)
            if start[:length] in self._by_start
        )
        return tuple(chain.from_iterable(found))

    def _compiled(
        self, start: str, is_ascii: bool
    ) -> list[tuple[K, re.Pattern[str], re.Pattern[str]]]:
        found = []
        for kind, all_phrases in self._by_start[start].items():
            phrases = [each for each in all_phrases if not (is_ascii and _needs_other(each))]
            if phrases:
                either = "|".join(map(_as_regex, phrases))
                found.append((kind, re.compile(either), re.compile(f"(?:{either})(?= )")))
        return found


def _needs_other(phrase: str) -> bool:
    """Say whether a phrase is in no ASCII text."""
    return "(" not in phrase and not phrase.isascii()


def _starts(phrase: str) -> Iterator[str]:
    """Give the first letters of the texts that a phrase stands for."""
    letters = re.match(r"[^ ()|*_]{0,3}", phrase)
    start = letters[0] if letters else ""
    rest = phrase[len(start) :]
    if len(start) == _INDEXED or rest[:1] in ("*", "_"):
        yield start
    elif rest[:1] in ("", " "):
        yield f"{start} "
    else:
        alternatives, after = _alternatives(rest)
        for each in alternatives:
            yield from _starts(start + each + after)


def _alternatives(text: str) -> tuple[list[str], str]:
    """Return what a group at the start of a text stands for, and the text after it."""
    depth, parts, begin = 0, [], 1
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if (sign == "|" and depth == 1) or depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
        if depth == 0:
            return parts, text[place + 1 :]
    raise ValueError(f"a group that is not closed: {text}")


def _as_regex(phrase: str) -> str:
    anchored = phrase.startswith("^")
    letters = phrase.removeprefix("^ ").replace("*", "[^ ]*").replace("_", "[^ ]+")
    return f"{'^' if anchored else ''} {letters}"


def _squeezed(text: str) -> str:
    return text.replace(" ", "")


def listed(file: str) -> dict[str, Any]:
    """Return what a data file of this package holds."""
    return tomllib.loads(files(__package__).joinpath(file).read_text(encoding="utf-8"))
