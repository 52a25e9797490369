"""Whether a text only reports a wall (captcha, login, access denied) or another failure."""

from __future__ import annotations

import re
from typing import NamedTuple

from batchrunner.judge.sentences import (
    MAX_SENTENCE_LENGTH,
    Concepts,
    Sentence,
    concepts_in,
    sentences_of,
)
from batchrunner.judge.vocabulary import ANSWERS, BOT_TITLES, LOGIN_TITLES, WORDS, Concept, plain

BOT_WALL = "bot_wall"
LOGIN_WALL = "login_wall"
REFUSAL = "refusal"

#: Longest title or text of a wall, in characters.
MAX_SIGN_LENGTH = 600
#: Longest text that a single word for a wall is enough for, in characters.
MAX_MENTION_LENGTH = 300
#: Least words of a sentence that can be content.
MIN_CONTENT_WORDS = 4

C = Concept


class _WallRule(NamedTuple):
    """What a sentence says that has all concepts of one set and at least one of another."""

    says: str
    all_of: Concepts
    one_of: Concepts = frozenset()

    def holds(self, found: Concepts) -> bool:
        return self.all_of <= found and (not self.one_of or bool(self.one_of & found))


def _rule(says: str, *all_of: Concept, one_of: tuple[Concept, ...] = ()) -> _WallRule:
    return _WallRule(says, frozenset(all_of), frozenset(one_of))


_HINDRANCE = (C.IN_THE_WAY, C.SELF, C.CANNOT, C.FAILED)
_RULES = (
    _rule(BOT_WALL, C.PROVE, C.HUMAN, one_of=(C.YOU, C.SELF)),
    _rule(BOT_WALL, C.CHALLENGE, one_of=(*_HINDRANCE, C.DENIED, C.YOU, C.TO_SEE, C.VISIT)),
    _rule(BOT_WALL, C.CHALLENGE, C.PAGE, one_of=(C.SHOWN, C.NEEDED)),
    _rule(BOT_WALL, C.GUARD, one_of=(*_HINDRANCE, C.VISIT, C.BARRED)),
    _rule(BOT_WALL, C.GUARD, C.ENTRY, one_of=(C.SHOWN, C.DENIED, C.NOTICED)),
    _rule(BOT_WALL, C.VISIT, one_of=(C.DENIED, C.BARRED, C.UNUSUAL, C.TOO_MUCH)),
    _rule(BOT_WALL, C.DENIED, C.ENTRY, one_of=(C.SELF, C.YOU, C.PAGE, C.PROGRAM, C.UNUSUAL)),
    _rule(BOT_WALL, C.BARRED, one_of=(C.YOU, C.SELF, C.VISIT, C.GUARD, C.CHALLENGE)),
    _rule(BOT_WALL, C.PROGRAM, C.NOTICED, one_of=(C.YOU, C.SELF, C.PAGE, C.ENTRY)),
    _rule(BOT_WALL, C.PROGRAM, C.DENIED, one_of=(C.SELF, C.YOU)),
    _rule(BOT_WALL, C.UNUSUAL, C.TRAFFIC, one_of=(C.YOU, C.SELF, C.NOTICED)),
    _rule(BOT_WALL, C.TOO_MUCH, one_of=(C.YOU, C.SELF, C.ENTRY)),
    _rule(BOT_WALL, C.PLACE, one_of=(C.CLOSED_TO, C.NEGATION)),
    _rule(BOT_WALL, C.AGE, C.PROVE),
    _rule(BOT_WALL, C.AGE, C.ENTER, one_of=(C.YOU, C.PROVE, C.NEEDED)),
    _rule(LOGIN_WALL, C.SIGN_IN, one_of=(*_HINDRANCE, C.TO_SEE, C.ONLY)),
    _rule(LOGIN_WALL, C.SIGN_IN, C.NEEDED, one_of=(C.PAGE, C.YOU)),
    _rule(LOGIN_WALL, C.SIGN_IN, C.PAGE, C.SHOWN),
    _rule(LOGIN_WALL, C.ACCOUNT, C.TO_SEE),
    _rule(LOGIN_WALL, C.PAYWALL, C.TO_SEE),
    _rule(LOGIN_WALL, C.ACCOUNT, C.NEEDED, one_of=(C.PAGE, C.SELF, C.ENTRY)),
    _rule(
        LOGIN_WALL, C.MEMBERS, C.ONLY, one_of=(C.PAGE, C.SHOWN, C.IN_THE_WAY, C.TO_SEE, C.SUBSCRIBE)
    ),
    _rule(LOGIN_WALL, C.PAYWALL, one_of=(*_HINDRANCE, C.YOU, C.SIGN_IN)),
    _rule(LOGIN_WALL, C.PAYWALL, C.SUBSCRIBE, one_of=(C.TO_SEE, C.NEEDED, C.SHOWN, C.ONLY)),
    _rule(LOGIN_WALL, C.MEMBERS, C.NEEDED, C.TO_SEE),
    _rule(LOGIN_WALL, C.FORM, one_of=(C.YOU, C.SIGN_IN)),
    _rule(REFUSAL, C.CANNOT, C.DO, one_of=(C.SELF, C.PAGE, C.MATTER)),
    _rule(REFUSAL, C.DECLINED),
    _rule(REFUSAL, C.FAILED),
    _rule(REFUSAL, C.COULD, C.NOT, C.LACK_OF),
    _rule(REFUSAL, C.BROKEN, C.BROKEN_PART),
    _rule(REFUSAL, C.ABSENT, C.MATTER),
    _rule(REFUSAL, C.HERE, C.NEGATION),
    _rule(REFUSAL, C.SPEAKER, C.NEGATION),
)
#: What a text is about that is known to report a failure.
_TOPICS = (
    _rule(BOT_WALL, C.CHALLENGE),
    _rule(BOT_WALL, C.GUARD),
    _rule(BOT_WALL, C.TOO_MUCH),
    _rule(BOT_WALL, C.DENIED, C.ENTRY),
    _rule(BOT_WALL, C.PROVE, C.HUMAN),
    _rule(BOT_WALL, C.PROGRAM, one_of=(C.NOTICED, C.DENIED)),
    _rule(BOT_WALL, C.UNUSUAL, C.TRAFFIC),
    _rule(BOT_WALL, C.PLACE, C.CLOSED_TO),
    _rule(BOT_WALL, C.AGE, one_of=(C.PROVE, C.ENTER, C.NEEDED, C.CANNOT)),
    _rule(LOGIN_WALL, C.SIGN_IN),
    _rule(LOGIN_WALL, C.PAYWALL),
    _rule(LOGIN_WALL, C.ACCOUNT, one_of=(C.NEEDED, C.TO_SEE)),
    _rule(LOGIN_WALL, C.MEMBERS, C.ONLY),
)
_SEGMENT = re.compile(r"\s[|–—·-]\s|[:：.!…]")
#: A sentence with one of these is about the visit itself.
_NARRATION = frozenset(
    (C.SELF, C.YOU, C.PAGE, C.CHALLENGE, C.GUARD, C.SIGN_IN, C.DECLINED, C.PAYWALL, C.BROKEN)
)
#: Fields for texts by other people, and for releases, rules and lessons.
_CONTENT = re.compile(
    r"(reviews?|comments?|quotes?)_(text|body)|reviews?|quotes?|testimonials?|lyrics|feedback"
    r"|transcript|tweets?|release_?notes|changelog|terms|policy|questions?|faqs?|headlines?"
    r"|definition|translation",
    re.IGNORECASE,
)
#: A site's name may stand before these.
_LOGIN_ENDS = tuple(LOGIN_TITLES)
#: The start of an answer to a question.
_ANSWER = re.compile(rf"\W*({'|'.join(ANSWERS)})\b\s*[,.:;!–—-]", re.IGNORECASE)


# ---- what a text says ----


def _says(rules: tuple[_WallRule, ...], found: Concepts) -> str | None:
    return next((rule.says for rule in rules if rule.holds(found)), None)


def is_about_a_wall(reason: str) -> bool:
    """Say whether the reason of a failure is a captcha, a login or a bot wall."""
    # A reason can be about a login and not a wall: a wrong password, a missing button.
    walls = {_claim(each) for each in sentences_of(reason)} & {BOT_WALL, LOGIN_WALL}
    return bool(walls) or complaint_in(reason) == BOT_WALL


def complaint_in(text: str) -> str:
    """Say what a text is about that is known to report a failure."""
    topics = {_says(_TOPICS, sentence.found) for sentence in sentences_of(text)}
    return next((wall for wall in (BOT_WALL, LOGIN_WALL) if wall in topics), REFUSAL)


def sign_in(text: str, key: str) -> str | None:
    """Say which wall a text is the title or the wording of; None if it is neither."""
    if len(text) > MAX_SIGN_LENGTH or _CONTENT.fullmatch(key) or _ANSWER.match(text):
        return None
    whole, first = plain(text), plain(_SEGMENT.split(text.strip(), maxsplit=1)[0])
    sentences = sentences_of(text)
    parts = {whole, first, *(each.words for each in sentences)}
    for rule, titles in ((BOT_WALL, BOT_TITLES), (LOGIN_WALL, LOGIN_TITLES)):
        if parts & titles:
            return rule
    if len(first.split()) <= MIN_CONTENT_WORDS and first.endswith(_LOGIN_ENDS):
        return LOGIN_WALL
    claims = [_claim(each) for each in sentences if C.SELF not in each.found]
    return next((wall for wall in (BOT_WALL, LOGIN_WALL) if wall in claims), None)


def statement_in(text: str, key: str) -> str | None:
    """Say which wall or failure a text reports that holds the whole answer; None if none."""
    if len(text) > MAX_SENTENCE_LENGTH or _CONTENT.fullmatch(key) or _ANSWER.match(text):
        return None
    sentences = sentences_of(text)
    claims = [_claim(each) for each in sentences]
    if not any(claims) or _answers(sentences, claims):
        return None
    wall = next((wall for wall in (BOT_WALL, LOGIN_WALL) if wall in claims), None)
    return wall or complaint_in(text)


def mentions_wall(text: str) -> str | None:
    """Say which wall a short text mentions; None if none."""
    if len(text) > MAX_MENTION_LENGTH or any(C.OPEN in each.found for each in sentences_of(text)):
        return None
    topic = complaint_in(text)
    return None if topic == REFUSAL else topic


def _claim(sentence: Sentence) -> str | None:
    """Say which wall or failure a sentence of an agent or a page reports; None if none."""
    found = sentence.found
    says = _says(_RULES, found)
    # Sentences about other people, about conditions or in general do not report this visit.
    others = C.OTHERS in found and not found & {C.MEMBERS, C.SELF, C.YOU, C.VISIT}
    if C.ABOUT in found or (others and says != REFUSAL):
        return None
    if says != BOT_WALL and C.CONDITION in found:
        return None
    is_open = C.OPEN in found and not found & {C.CANNOT, C.FAILED}
    return None if says != REFUSAL and is_open else says


def _answers(sentences: tuple[Sentence, ...], claims: list[str | None]) -> bool:
    """Say whether there is an answer next to the reported failure."""
    walled = any(claim not in (None, REFUSAL) for claim in claims)
    # A page that addresses its visitor has other sentences that are no answer.
    if walled and any(c and C.YOU in s.found for s, c in zip(sentences, claims, strict=True)):
        return False
    first = next(index for index, claim in enumerate(claims) if claim)
    # Sentences after a wall explain it; sentences after a failure may hold the answer.
    others = sentences[:first] if walled else sentences
    content = any(_is_content(each) and not _claim(each) for each in others)
    return content or any(map(_continues_with_answer, sentences))


def _is_content(sentence: Sentence) -> bool:
    return len(sentence.words.split()) >= MIN_CONTENT_WORDS and not sentence.found & _NARRATION


def _continues_with_answer(sentence: Sentence) -> bool:
    """Say whether an answer follows the reported failure in the same sentence."""
    for but in WORDS[C.BUT]:
        _, turn, rest = sentence.words.partition(but)
        if turn and len(rest.split()) >= MIN_CONTENT_WORDS:
            after = Sentence(f" {rest}", concepts_in(f" {rest}"))
            failed = _claim(after) or C.NEGATION in after.found
            return not failed and complaint_in(rest) == REFUSAL
    return False
