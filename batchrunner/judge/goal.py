"""What a goal asks for, and what it says to answer when there is nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property, lru_cache
from itertools import islice
from typing import Any

from batchrunner.judge.rules import ERROR_PAGE, NOT_READY, WALLS
from batchrunner.judge.words import Words, listed, plain

#: Characters of a goal that are read.
MAX_GOAL_LENGTH = 4000
#: Shorter texts are no copy of a goal.
MIN_COPY_LENGTH = 20

_PARTS = re.compile(r"[.,;:!?\n。、，；：！？]|\band then\b|\bthen\b")
_EMPTY_LIST = re.compile(r"(?<![\w\]])\[\s?\]")
_SENTENCE_ENDS = re.compile(r"[.!?\n。！？؟]")
#: A sentence or what is in brackets, and the sign that ends it.
_SENTENCES = re.compile(r"([^.;\n。；()（）\[\]]+)([.;\n。；()（）\[\]]|$)")
#: Fields of a result that are looked for in a goal.
MAX_FIELDS = 50
_NULL = re.compile(
    r"\b(null|none|nothing|blank|empty|leer|vide|vac[ií]o|vazio|vuoto|leeg)|空|빈 |пуст"
)


class Goal:
    """A job's goal; it is read only if a result looks wrong."""

    def __init__(self, text: str, fields: frozenset[str] = frozenset()) -> None:
        self.text = text[:MAX_GOAL_LENGTH]
        self.fields = fields  #: fields that the job's schema or `expect` names

    @cached_property
    def plain(self) -> str:
        """Return its words."""
        pieces = (self.text[at : at + 900] for at in range(0, len(self.text), 900))
        return " ".join(plain(piece).strip() for piece in pieces).join((" ", " "))

    @cached_property
    def says_what_if_nothing(self) -> bool:
        """Whether it says what to answer when there is nothing."""
        names_empty = _EMPTY_LIST.search(self.text) is not None
        return (names_empty or self.plain in _words("nothing")) and not self._forbids_nothing

    @cached_property
    def _forbids_nothing(self) -> bool:
        """Whether one of its parts says that an empty answer is none."""
        if self.plain not in _words("forbids"):
            return False
        return any(plain(part) in _words("forbids") for part in _PARTS.split(self.text))

    def allows_nothing_in(self, fields: Iterable[str]) -> bool:
        """Whether it says so for these fields: for those that it names there, or else for all."""
        if not self.says_what_if_nothing:
            return False
        names = {plain(name) for name in islice(fields, MAX_FIELDS)} - {"  "}
        covered = set[str]()
        for part in self._parts_about_nothing:
            mentioned = {name for name in names if name in part}
            if not mentioned:
                return True
            covered |= mentioned
        return covered == names or not self._parts_about_nothing

    @cached_property
    def _parts_about_nothing(self) -> list[str]:
        """Return the sentences and brackets that say what to answer when there is nothing."""
        found, before = list[str](), ""
        for part, sign in _SENTENCES.findall(self.text):
            words = plain(before + part)
            if words in _words("nothing"):
                found.append(words)
            before = part.split()[-1] + " " if sign in "(（[" and part.split() else ""
        return found

    @cached_property
    def may_be_none(self) -> bool:
        """Whether it is a question that "no", "none" or an empty list answers."""
        if self.says_what_if_nothing or self._forbids_nothing:
            return not self._forbids_nothing
        for sentence in _SENTENCE_ENDS.split(self.text):
            # After several fields, the question is about one more of them.
            if any(plain(part) in _words("either") for part in _PARTS.split(sentence)[:2]):
                return True
        return False

    @cached_property
    def allows_null(self) -> bool:
        """Whether it says to answer with null or nothing."""
        return self.says_what_if_nothing and bool(_NULL.search(self.text.casefold()))

    @cached_property
    def asks_for_quoted_text(self) -> bool:
        """Whether it asks for what others wrote about anything, such as titles and reviews."""
        return self.plain in _words("quoted_text")

    @cached_property
    def asks_for_words(self) -> bool:
        """Whether it asks for words that a page shows, or how to do something."""
        return self.plain in _words("speech")

    def is_about_access(self, text: Any) -> bool:
        """Whether a refusal says that the page could not be seen, not that nothing is there."""
        return isinstance(text, str) and plain(text) in _words("access")

    def asks_for(self, rule: str) -> bool:
        """Whether it asks for what a rule would find, as opposed to saying how to get past it."""
        asked = _asked_by(self)
        return rule in asked or (ERROR_PAGE in asked and rule in (*WALLS, NOT_READY))

    def requests(self, field: str) -> bool:
        """Whether it asks for a field of a result, by its name or for what is in such a field."""
        if field in self.fields:
            return True
        name = plain(field)
        kinds = {match.kind for match in _words("requested").find(name)}
        return bool(name.strip()) and (name in self._asking or bool(kinds & _requested_by(self)))

    def requests_only_if(self, fields: set[str]) -> bool:
        """Whether each sentence that speaks of such fields says when to answer with them."""
        if fields & self.fields:
            return False
        speaking = [
            words
            for words in map(plain, _SENTENCE_ENDS.split(self.text))
            if fields & {match.kind for match in _words("requested").find(words)}
        ]
        return bool(speaking) and all(words in _words("condition") for words in speaking)

    def mentions(self, field: str) -> bool:
        """Whether it speaks of what is in such a field, perhaps only of what to do about it."""
        return field in {match.kind for match in _words("requested").find(self.plain)}

    @cached_property
    def _asking(self) -> str:
        """Return its parts, without those that say how to handle banners, logins and the like."""
        return "|".join(_parts(self))

    def contains(self, text: str) -> bool:
        """Whether these words are in it: it says that they may be the answer."""
        words = plain(text)
        return bool(words.strip()) and words in self.plain

    def is_copied_in(self, text: str) -> bool:
        """Whether a text repeats it, or a good part of it."""
        words = plain(text[:MAX_GOAL_LENGTH]).strip()
        whole = self.plain.strip()[: len(words)] if len(self.text) > 900 else self.plain.strip()
        if min(len(words), len(whole)) < MIN_COPY_LENGTH:
            return False
        return whole in words or (words in whole and 2 * len(words) > len(whole))


@lru_cache(maxsize=64)
def goal_of(text: str, fields: frozenset[str] = frozenset()) -> Goal:
    """Return a goal; many jobs have the same one."""
    return Goal(text, fields)


@lru_cache(maxsize=2048)
def holds_quoted_text(field: str) -> bool:
    """Say whether a field with this name holds what others wrote, such as `review_text`."""
    return plain(field) in _words("quoted_text")


@lru_cache(maxsize=64)
def _asked_by(goal: Goal) -> frozenset[str]:
    return frozenset(_found_in(_parts(goal), _words("asks")))


@lru_cache(maxsize=64)
def _requested_by(goal: Goal) -> frozenset[str]:
    return frozenset(_found_in(_parts(goal), _words("requested")))


def _parts(goal: Goal) -> Iterator[str]:
    """Give its parts, without those that say how to handle banners, logins and the like."""
    for part in _PARTS.split(goal.text):
        words = plain(part)
        if words not in _words("instructs"):
            yield words


def _found_in(parts: Iterable[str], words: Words[str]) -> Iterator[str]:
    for part in parts:
        for match in words.find(part):
            yield match.kind


@cache
def _words(section: str) -> Words[str]:
    """Return the words of a section of the data file, each with the name of its part."""
    return Words(_phrases(listed("goal_words.toml")[section]))


def _phrases(section: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, words in section.items():
        for phrase in words["all"] if isinstance(words, dict) else words:
            yield name, phrase
