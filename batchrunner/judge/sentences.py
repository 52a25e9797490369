"""Splits a text into sentences and finds the concepts in each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from batchrunner.judge.vocabulary import WORDS, Concept, plain

#: A longer text is content, whatever it says; only this much of a reason is read.
MAX_SENTENCE_LENGTH = 1500

Concepts = frozenset[Concept]
_Words = Mapping[str, Sequence[tuple[str, Concept]]]

_END = re.compile(r"[.;\n]{1,3}(?=\s|$)|[!?。！？；]|\s{3,}")
#: An internet address: it stands for the visitor.
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
#: First words of a sentence without a subject.
_NO_SUBJECT = ("unable", "failed", "could", "couldn", "cannot", "can", "impossible", "not")


class Sentence(NamedTuple):
    """A sentence as `plain` spells it, and the concepts in it."""

    words: str
    found: Concepts


def _words() -> tuple[_Words, _Words, Sequence[tuple[str, Concept]]]:
    by_first: dict[str, list[tuple[str, Concept]]] = defaultdict(list)
    by_stem: dict[str, list[tuple[str, Concept]]] = defaultdict(list)
    anywhere: list[tuple[str, Concept]] = []
    for concept in Concept:
        for word in WORDS[concept]:
            if word[0] != " ":
                anywhere.append((word, concept))
            elif " " in word[1:]:
                by_first[word.split()[0]].append((word, concept))
            else:
                by_stem[word[1:4]].append((word, concept))
    return by_first, by_stem, anywhere


#: Phrases by their first word, words by their first three letters, and words found anywhere.
_BY_FIRST, _BY_STEM, _ANYWHERE = _words()


def concepts_in(words: str) -> Concepts:
    """Return the concepts in a text that `plain` has spelled."""
    found = {concept for word, concept in _ANYWHERE if word in words}
    at = 0
    for each in words.split():
        for word, concept in (*_BY_FIRST.get(each, ()), *_BY_STEM.get(each[:3], ())):
            if words.startswith(word, at):
                found.add(concept)
        at += len(each) + 1
    return frozenset(found)


def sentences_of(text: str) -> tuple[Sentence, ...]:
    """Return the sentences at the start of a text, without those that have no word."""
    return _sentences_of(text[:MAX_SENTENCE_LENGTH])


@lru_cache(maxsize=64)
def _sentences_of(text: str) -> tuple[Sentence, ...]:
    spelled = [plain(part) for part in _END.split(_ADDRESS.sub(" your ip ", text))]
    return tuple(Sentence(words, _concepts_of(words)) for words in spelled if words.strip())


def _concepts_of(words: str) -> Concepts:
    found = concepts_in(words)
    # A missing subject is the agent itself.
    no_subject = words.split(maxsplit=1)[0] in _NO_SUBJECT and Concept.CANNOT in found
    return found | {Concept.SELF} if no_subject else found
