"""A text → its sentences, and the concepts in each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from batchrunner.judge.vocabulary import Concept, plain

#: What is longer is content, whatever is said in it; of a reason, only so much is read.
MAX_SENTENCE_LENGTH = 1500

Concepts = frozenset[Concept]
_Words = Mapping[str, Sequence[tuple[str, Concept]]]

_END = re.compile(r"[.;\n]{1,3}(?=\s|$)|[!?。！？；]|\s{3,}")
#: An internet address, which stands for the visitor.
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
#: How a sentence begins that leaves out who could not.
_LEFT_OUT = ("unable", "failed", "could", "couldn", "cannot", "can", "impossible", "not")


class Sentence(NamedTuple):
    """A sentence, spelled as `plain` spells it, and what it speaks of."""

    words: str
    found: Concepts


def _words() -> tuple[_Words, _Words, Sequence[tuple[str, Concept]]]:
    by_first: dict[str, list[tuple[str, Concept]]] = defaultdict(list)
    by_stem: dict[str, list[tuple[str, Concept]]] = defaultdict(list)
    anywhere: list[tuple[str, Concept]] = []
    for concept in Concept:
        for word in concept.value:
            if word[0] != " ":
                anywhere.append((word, concept))
            elif " " in word[1:]:
                by_first[word.split()[0]].append((word, concept))
            else:
                by_stem[word[1:4]].append((word, concept))
    return by_first, by_stem, anywhere


#: Words by their first, stems by their first three letters, and words that stand anywhere.
_BY_FIRST, _BY_STEM, _ANYWHERE = _words()


def concepts_in(words: str) -> Concepts:
    """Return the concepts that are in a text, which is spelled as `plain` spells it."""
    found = {concept for word, concept in _ANYWHERE if word in words}
    at = 0
    for each in words.split():
        for word, concept in (*_BY_FIRST.get(each, ()), *_BY_STEM.get(each[:3], ())):
            if words.startswith(word, at):
                found.add(concept)
        at += len(each) + 1
    return frozenset(found)


@lru_cache(maxsize=64)
def sentences_of(text: str) -> tuple[Sentence, ...]:
    """Return the sentences of a text's beginning, without those in which no word is."""
    said = [
        plain(part) for part in _END.split(_ADDRESS.sub(" your ip ", text[:MAX_SENTENCE_LENGTH]))
    ]
    return tuple(Sentence(words, _meant(words)) for words in said if words.strip())


def _meant(words: str) -> Concepts:
    found = concepts_in(words)
    # Who is left out is the one who speaks.
    left_out = words.split(maxsplit=1)[0] in _LEFT_OUT and Concept.CANNOT in found
    return found | {Concept.SELF} if left_out else found
