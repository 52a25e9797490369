"""What a single text of a result is: a wall, an error page, a word for nothing, or an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple

from batchrunner.judge.answer import begins_with_json
from batchrunner.judge.rules import (
    BROKEN_JSON,
    EMPTY,
    GENERAL_RULES,
    HTML,
    PLACEHOLDER,
    REFUSAL,
    SCHEMA_ECHO,
    WALLS,
)
from batchrunner.judge.words import Words, listed, plain

#: A longer text is an answer, whatever words are in it; unless a page's own words begin it.
MAX_JUDGED_LENGTH = 800
#: Where the words of a longer text have to begin, in characters.
MAX_START = 250
#: Longest text in which a word of each of two lists means something.
MAX_PAIRED_LENGTH = 300
#: Characters before the words of a wall in a sentence that is the page's own.
MAX_BEFORE_WALL = 25
MAX_SENTENCES = 6
#: Longest text that is judged by the words before its first comma.
MAX_SEGMENTED = 80

_SITE = re.compile(r"\s[|–—·-]\s|\s::\s|\s»\s")
_MAY_BE_JSON = re.compile(r"""(?:```+\w*\s*)?(?:\{\s*["']|\[\s*[{"\[])""")
_HTML = re.compile(r"<(?:!doctype|html|head|body|\?xml)\b", re.IGNORECASE)
_TEMPLATE = re.compile(
    r"<[a-z][^<>]{0,40}>|\[[^\]\[]{1,40}\]|\{+[^{}]{0,40}\}+|\$\{[^}]{1,40}\}|%[a-z_]{1,30}%|"
    r"\W{0,3}x{2,9}(?:[.,:/-]x{1,9}){0,4}\W{0,3}|(?=.*(?:yy|dd))[ymdhs年月日년월일:/.,\sT-]{5,20}|"
    r"[〇○◯●]{2,9}.{0,10}",
    re.IGNORECASE,
)
#: Signs that stand for nothing.
_DASHES = re.compile(r"[-–—_.…/*?~|:\s]+")
#: Addresses and numbers that stand for any.
_SAMPLE = re.compile(
    r"[^@\s]{1,40}@(?:example|test|domain|email|yourdomain|mustermann|company)\.[a-z]{2,4}|"
    r"(?:\+?\d{1,3}[ -]?)?\(?0?123\)?[ -]?456[ -]?789\d?",
    re.IGNORECASE,
)
_ZERO = re.compile(r"\D{0,4}0+(?:[.,:]0+)?\s?\D{0,4}")
_SENTENCE_END = re.compile(r"(?:[.!?…]+(?=\s|$)|[\n。！？])[\s.!?…]*")
_SEGMENT_END = re.compile(r"[.!?…,;\n。！？，、]")
_FIRST_WORD = re.compile(r"([^\W\d_]{1,10})(?:\s*[,.;:!–—、。，]|\s+-\s|$)")


class WordGroup(NamedTuple):
    """Words of one kind in the data file."""

    rule: str
    certain: bool  #: the page itself says so
    absence: bool  #: it only says that there is nothing
    weak: bool  #: it is an answer where it is the only value


class TextFinding(NamedTuple):
    """What a text is, if it is not an answer."""

    rule: str
    certain: bool = False  #: the words of a wall itself
    absence: bool = False  #: it only says that there is nothing
    is_title: bool = False  #: the text is just these words
    start: int = 0  #: where the words begin
    weak: bool = False  #: it is an answer where it is the only value


_ORDER = tuple(GENERAL_RULES)


def finding_in(text: str) -> TextFinding | None:
    """Say what a text is if it is not an answer; None if it may be one."""
    text = text.strip()
    if text.startswith(("<", "`", "{", "[")):
        if _HTML.match(text):
            return TextFinding(HTML)
        if _MAY_BE_JSON.match(text) and not begins_with_json(text):
            return TextFinding(BROKEN_JSON)
    return _finding_in(text[: MAX_JUDGED_LENGTH + 1])


@lru_cache(maxsize=1024)
def _finding_in(text: str) -> TextFinding | None:
    words = plain(text)
    if _TEMPLATE.fullmatch(text):
        return TextFinding(SCHEMA_ECHO, is_title=True)
    if _DASHES.fullmatch(text) or _SAMPLE.fullmatch(text):
        return TextFinding(PLACEHOLDER, absence=not words.strip(), is_title=True)
    if "://" in text and " " not in text:
        return None
    if (group := _whole().whole(words)) or (group := _titled(text)):
        return TextFinding(group.rule, group.certain, group.absence, True, weak=group.weak)
    return None if begins_with_answer(text) else _finding_in_words(text, words)


def _finding_in_words(text: str, words: str) -> TextFinding | None:
    """Say what a text is by the listed words inside it."""
    title = _begins_with_title(text)
    if title and title.certain:
        return TextFinding(title.rule, certain=True)
    found = [part for part in _parts_in(text, words) if not _follows_an_answer(part, words)]
    if found:
        certain = [part for part in found if part.certain and _is_said_by_the_page(text, words)]
        first = min(certain or found, key=lambda part: (_ORDER.index(part.rule), not part.absence))
        return first._replace(certain=bool(certain))
    if title:
        return TextFinding(title.rule)
    rule = _paired(words) if len(text) <= MAX_PAIRED_LENGTH else None
    return TextFinding(rule, absence=rule == REFUSAL, start=len(words)) if rule else None


def _is_said_by_the_page(text: str, words: str) -> bool:
    """Say whether a sentence begins with a wall's own words, and no agent reports it."""
    return words not in _agent() and any(
        match.kind.certain and match.start <= MAX_BEFORE_WALL
        for sentence in islice(_SENTENCE_END.split(text), MAX_SENTENCES)
        for match in _parts().find(plain(sentence))
    )


def _paired(words: str) -> str | None:
    """Return the rule of a pair of lists with words of both in a text."""
    for index in sorted({match.kind for match in _first_of_pairs().find(words)}):
        rule, other = _pairs()[index]
        # An agent's report of its steps is an answer if there is a number in it.
        if rule == EMPTY and any(sign.isdigit() for sign in words):
            continue
        if words in other:
            return rule
    return None


def begins_with_answer(text: str) -> bool:
    """Say whether a text begins with a yes or a no, as the answer to a question."""
    first = _FIRST_WORD.match(text)
    return first is not None and first[1].casefold() in _answers()


def _titled(text: str) -> WordGroup | None:
    """Return the group of a title that has a site's name after it or before it."""
    if len(text) > 100 or not _SITE.search(text):
        return None
    for part in _SITE.split(text):
        if group := _whole().whole(plain(part)):
            return group if group.rule not in (PLACEHOLDER, EMPTY) else None
    return None


def _begins_with_title(text: str) -> WordGroup | None:
    """Return the group of a wall's or an error page's title that is the first sentence."""
    text = text.strip("`~ \n")
    for ends, is_certain in ((_SENTENCE_END, True), (_SEGMENT_END, False)):
        group = _whole().whole(plain(ends.split(text, maxsplit=1)[0]))
        if group and group.rule not in (PLACEHOLDER, EMPTY) and not group.weak:
            is_short = is_certain or len(text) <= MAX_SEGMENTED
            return group._replace(certain=group.certain and is_certain) if is_short else None
    return None


def _parts_in(text: str, words: str) -> Iterator[TextFinding]:
    for group, start in _parts().find(words):
        if len(text) <= MAX_JUDGED_LENGTH or start <= MAX_START:
            yield TextFinding(group.rule, group.certain, group.absence, start=start)


def _follows_an_answer(part: TextFinding, words: str) -> bool:
    """Say whether a number comes well before a refusal: `41 rooms. I could not find the price`."""
    before = words[: part.start]
    return part.rule == REFUSAL and len(before) > 12 and any(sign.isdigit() for sign in before)


def is_zero(text: str) -> bool:
    """Say whether a text is just a zero, perhaps with a currency."""
    return len(text) < 20 and "0" in text and _ZERO.fullmatch(text.strip()) is not None


def is_sample_text(text: str) -> bool:
    """Say whether a text is an address or a number that stands for any."""
    return _SAMPLE.fullmatch(text.strip()[:80]) is not None


def is_about_a_wall(text: str) -> bool:
    """Say whether a reason for a failure is a wall."""
    words = plain(text)
    group = _whole().whole(words)
    rules = [group.rule] if group else [part.rule for part in _parts_in(text, words)]
    return any(rule in WALLS for rule in rules)


def is_said_by_agent(text: Any) -> bool:
    """Say whether a text begins like an agent's report of what it saw or did."""
    return isinstance(text, str) and plain(text) in _agent()


def mentions_wall(name: str) -> str | None:
    """Return the rule of the wall that the name of a field names, such as `captcha_detected`."""
    group = _whole().whole(plain(name))
    rules = [group.rule] if group else [match.kind.rule for match in _parts().find(plain(name))]
    return next((rule for rule in rules if rule in WALLS), None)


@cache
def _groups() -> list[tuple[WordGroup, dict[str, Any]]]:
    entries = listed("words.toml")["words"]
    return [
        (
            WordGroup(
                each["rule"],
                each.get("certain", False),
                each.get("absence", False),
                each.get("weak", False),
            ),
            each,
        )
        for each in entries
    ]


@cache
def _whole() -> Words[WordGroup]:
    return Words(
        (group, word)
        for group, each in _groups()
        if each["how"] == "whole"
        for word in each["words"]
    )


@cache
def _parts() -> Words[WordGroup]:
    return Words(
        (group, word)
        for group, each in _groups()
        if each["how"] == "part"
        for word in each["words"]
    )


@cache
def _first_of_pairs() -> Words[int]:
    """Return the first words of all pairs, each with its pair's index."""
    pairs = enumerate(listed("words.toml")["pairs"])
    return Words((index, word) for index, each in pairs for word in each["first"])


@cache
def _pairs() -> list[tuple[str, Words[str]]]:
    """Return the rule of each pair, and its second words."""
    return [
        (each["rule"], Words(("", word) for word in each["second"]))
        for each in listed("words.toml")["pairs"]
    ]


@cache
def _answers() -> frozenset[str]:
    return frozenset(listed("goal_words.toml")["answers"]["all"])


@cache
def _agent() -> Words[str]:
    """Return the words with which agents begin a report of what they saw."""
    return Words(("", word) for word in listed("goal_words.toml")["agent"]["all"])
